"""The group or part that a row belongs to, as a column says that the recipe names."""

from dataclasses import replace

import numpy as np

from trainer.dataset.targets import Truth
from trainer.errors import DataError
from trainer.ingest.recording import Recording
from trainer.recipe.document import Recipe
from trainer.recipe.split_section import GroupSplit, PredefinedSplit


def membership_column(recipe: Recipe) -> str | None:
    """The column that `split.column` names, unless it is the column of the assets."""
    split = recipe.split
    column = split.column if isinstance(split, GroupSplit | PredefinedSplit) else None
    return None if _is_the_asset(column, recipe) else column


def with_membership(known: Truth, recording: Recording, recipe: Recipe) -> Truth:
    """Add the text of the column `split.column` to the truth of each row, if the recipe names it.

    Raises:
        DataError: a row has no text in that column.
    """
    split = recipe.split
    column = split.column if isinstance(split, GroupSplit | PredefinedSplit) else None
    if column is None:
        return known
    if _is_the_asset(column, recipe):
        return replace(known, member=np.array(recording.assets, dtype=object)[recording.asset])
    member = recording.texts[column]
    unnamed = np.flatnonzero(member == "")
    if len(unnamed):
        more = f" and {len(unnamed) - 1} more" if len(unnamed) > 1 else ""
        raise DataError(
            f"{recording.place(unnamed[0])}{more}, column '{column}': is empty; split.column must "
            "say of every row where it belongs"
        )
    return replace(known, member=member)


def _is_the_asset(column: str | None, recipe: Recipe) -> bool:
    data = recipe.data
    return column == data.asset_column and data.asset_from is None and data.run is None
