"""The rows that a recipe trains and tests on, with the truth of each: every file is read once."""

from collections.abc import Callable

from trainer.dataset.groups import membership_column, with_membership
from trainer.dataset.label_rules import with_labels
from trainer.dataset.targets import Truth, truth, with_tables
from trainer.errors import AbsentColumnError, DataError
from trainer.ingest.recorded_files import load
from trainer.ingest.recording import Recording
from trainer.recipe.document import Recipe, Regression
from trainer.recipe.label_section import LABEL


def training_rows(
    recipe: Recipe, *, opened: Callable[[str], object] = str
) -> tuple[Recording, Truth]:
    """Read the signals, the target and the column of the split in one pass over the files.

    Args:
        recipe: names the files, the signals, the target and the split.
        opened: called with each file's name before it is read.

    Raises:
        DataError: a file, a label or a table does not fit the recipe.
    """
    recording = _loaded(recipe, opened)
    if recipe.labels:
        recording = with_labels(recording, recipe.labels, recipe.data)
    known = with_membership(truth(recording, recipe), recording, recipe)
    return with_tables(recording, known), known


def _loaded(recipe: Recipe, opened: Callable[[str], object]) -> Recording:
    """The rows with every column that the target, the labels and the split need.

    Raises:
        DataError: see `training_rows`.
    """
    is_number, column = isinstance(recipe.target, Regression), recipe.label_column
    targets = [] if column is None else [column]
    texts = [*([] if is_number else targets), membership_column(recipe)]
    made = {None, LABEL} if recipe.labels else {None}
    largest = [name for rule in recipe.labels for name in rule.largest_of]
    try:
        return load(
            recipe.data,
            recipe.signals,
            texts=[name for name in texts if name not in made and name is not None],
            numbers=targets if is_number else [*dict.fromkeys(largest)],
            opened=opened,
            copies="duplicated-files" in recipe.checks.allow,
        )
    except AbsentColumnError as exc:
        if is_number or column not in exc.columns:
            raise
        raise DataError(
            f"{exc}; where no column has the labels, [[labels]] makes them by rules (files, "
            f"until_row, spans, largest_of) with target.column = '{LABEL}', and [[data.beside]] "
            "takes them from another file with a line for each row"
        ) from exc
