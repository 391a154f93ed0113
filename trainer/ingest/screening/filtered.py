"""Leaves out the rows that do not meet the recipe's `data.where`, and counts them."""

from collections.abc import Collection, Iterator
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from trainer.errors import DataError
from trainer.ingest.columns import Columns
from trainer.recipe.selection.row_filter import RowFilter

_MAX_SHOWN = 10


class Filtered:
    """The filter of the rows of all files.

    Attributes:
        columns: names of the columns that it needs; none without a filter.
    """

    def __init__(self, where: RowFilter | None) -> None:
        self.columns = () if where is None else where.columns
        self._where = where
        self._rows = self._left_out = self._unknown = 0
        self._seen: dict[str, set[str]] = {}

    def kept(self, columns: Columns) -> NDArray[np.bool_] | None:
        """Mark the rows of a block that meet the condition, `[rows]`; None without a filter.

        Raises:
            DataError: a row has no number where the condition needs one.
        """
        if self._where is None:
            return None

        def isin(column: str, wanted: Collection[str]) -> NDArray[np.bool_]:
            texts = columns.texts(column)
            seen = self._seen.setdefault(column, set())
            seen.update(islice(texts.names, max(0, _MAX_SHOWN - len(seen))))
            return np.array([name in wanted for name in texts.names])[texts.codes]

        numbers = {column: columns.numbers(column) for column in self._where.numbers}
        verdict = self._where.judge(numbers, isin)
        self._rows += len(columns)
        self._left_out += int((~verdict.met).sum())
        self._unknown += int((~verdict.met & ~verdict.unmet).sum())
        return verdict.met

    def check(self) -> None:
        """Refuse, after the last file, a condition that no row meets.

        Raises:
            DataError: with some of the texts that the columns of the condition have.
        """
        if self._where is None or self._left_out < self._rows:
            return
        texts = "".join(
            f"; column '{column}' has {', '.join(sorted(filter(None, seen)))}"
            for column, seen in self._seen.items()
        )
        missing = f", {self._unknown} because a number is missing" if self._unknown else ""
        raise DataError(
            f"data.where '{self._where.text}' leaves out all {self._rows} rows{missing}{texts}; "
            "correct it"
        )

    def notes(self) -> Iterator[str]:
        """A sentence on the rows that were left out, after the last file."""
        if not self._left_out:
            return
        missing = f", {self._unknown} of them because a number is missing" if self._unknown else ""
        yield (
            f"data.where leaves out {self._left_out} of {self._rows} rows{missing}; windows go on "
            "across them where the pause is no longer than window.max_gap_s"
        )
