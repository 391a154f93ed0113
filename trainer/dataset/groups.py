"""Which group or part a row belongs to, where the recipe's `split.column` says it."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.dataset.targets import Truth
from trainer.errors import DataError
from trainer.ingest.recorded_files import load
from trainer.ingest.recording import Recording
from trainer.recipe.document import Recipe
from trainer.recipe.split_section import GroupSplit, PredefinedSplit


def with_membership(known: Truth, recording: Recording, recipe: Recipe) -> Truth:
    """The truth with the text of `split.column` at each row, if there is one.

    The files are read once more for it: a recording carries one column beside its signals.

    Raises:
        DataError: the column is not there, a row has no text in it, or the files have changed.
    """
    split = recipe.split
    column = split.column if isinstance(split, GroupSplit | PredefinedSplit) else None
    if column is None:
        return known
    if column == recipe.data.asset_column and recipe.data.asset_from is None:
        return replace(known, member=np.array(recording.assets, dtype=object)[recording.asset])
    read = load(recipe.data, recipe.signals, label=column)
    if read.digests != recording.digests or read.labels is None:
        raise DataError("the files were changed while they were read; train again")
    _check_named(read, column, read.labels)
    return replace(known, member=read.labels)


def _check_named(read: Recording, column: str, member: NDArray[Any]) -> None:
    unnamed = np.flatnonzero(member == "")
    if len(unnamed):
        more = f" and {len(unnamed) - 1} more" if len(unnamed) > 1 else ""
        raise DataError(
            f"{read.place(unnamed[0])}{more}, column '{column}': is empty; split.column must say "
            "of every row where it belongs"
        )
