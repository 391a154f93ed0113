"""The rows that a recipe trains and tests on, with the truth of each: every file is read once."""

from collections.abc import Callable

from trainer.dataset.groups import membership_column, with_membership
from trainer.dataset.targets import Truth, truth, with_tables
from trainer.ingest.recorded_files import load
from trainer.ingest.recording import Recording
from trainer.recipe.document import Recipe, Regression


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
    is_number = isinstance(recipe.target, Regression)
    targets = [] if recipe.label_column is None else [recipe.label_column]
    member = membership_column(recipe)
    recording = load(
        recipe.data,
        recipe.signals,
        texts=[*([] if is_number else targets), *([] if member is None else [member])],
        numbers=targets if is_number else [],
        opened=opened,
    )
    known = with_membership(truth(recording, recipe), recording, recipe)
    return with_tables(recording, known), known
