"""Long tables: a row is one value of one signal, as historians export and store them.

    time                  tag       value  quality
    2025-03-01T00:00:00Z  pressure  4.2    192
    2025-03-01T00:00:00Z  flow      31     192
    2025-03-01T00:00:05Z  pressure  4.3    0

Each row becomes a message that carries one signal; those of one asset and one time become one.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.errors import DataError
from trainer.ingest.columns import Columns, Texts
from trainer.ingest.csv_dialect import missing
from trainer.ingest.recording import Recording
from trainer.recipe.row_source import LongTable

_MAX_NAMES = 10_000


class LongColumns(Columns):
    """A block of a long table, in which every name is a column that only its own rows have.

    Args:
        columns: the block as it was read.
        long: where names and values are.
        wanted: the names that are read.
        na_values: further texts that mean "no value".

    Attributes:
        seen: the different names in the block.
        wanted: which rows are of a name that is read, `[rows]`.
    """

    def __init__(
        self, columns: Columns, long: LongTable, wanted: Sequence[str], na_values: Collection[str]
    ) -> None:
        super().__init__(columns.frame, columns.name, columns.marks, na_values, {})
        named = columns.texts(long.name, words=True)
        found = np.array(named.names, dtype=object)[named.codes]
        self.seen = {name for name in named.names if name}
        self._value = long.value
        self._na_values = na_values
        self._rows = {name: found == name for name in wanted}
        self.wanted = np.isin(named.codes, [i for i, n in enumerate(named.names) if n in {*wanted}])
        self.carried = self.frame[[]].assign(**self._rows)

    def keep(self, rows: NDArray[np.bool_]) -> None:
        """Leave out the rows that are not marked."""
        super().keep(rows)
        self._rows = {name: mask[rows] for name, mask in self._rows.items()}

    def numbers(self, column: str, codes: Mapping[str, float] | None = None) -> NDArray[Any]:
        """Read a column, or the values of a name; NaN stands for no value, and for other names."""
        if column not in self._rows:
            return super().numbers(column, codes)
        read = self._part(column).numbers(column, codes)
        values = np.full(len(self), np.nan, dtype=read.dtype)
        values[self._rows[column]] = read
        return values

    def texts(self, column: str, *, words: bool = False) -> Texts:
        """Read a column of labels, or the labels of a name; "" stands for other names."""
        if column not in self._rows:
            return super().texts(column, words=words)
        read = self._part(column).texts(column, words=words)
        codes = np.full(len(self), len(read.names), dtype=np.int32)
        codes[self._rows[column]] = read.codes
        return Texts(codes, (*read.names, ""))

    def _part(self, name: str) -> Columns:
        """The rows of one name, with their values as a column of that name."""
        value = self.frame.loc[self._rows[name], [self._value]].set_axis([name], axis=1)
        return Columns(value, self.name, self.marks, self._na_values, {})


class Tags:
    """The names of a long table that a recipe reads, over all files.

    Args:
        long: where names and values are; None if the files are not long tables.
        wanted: the names that must be there.
    """

    def __init__(self, long: LongTable | None, wanted: Sequence[str]) -> None:
        self._long = long
        self._wanted = tuple(dict.fromkeys(wanted))
        self._seen: dict[str, None] = {}

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the files must have for these names."""
        return self._wanted if self._long is None else (self._long.name, self._long.value)

    def read(self, columns: Columns, na_values: Collection[str]) -> LongColumns | None:
        """A block with a column for each name, all rows still in it; None if files are not long."""
        if self._long is None:
            return None
        long = LongColumns(columns, self._long, self._wanted, na_values)
        self._seen.update(dict.fromkeys(name for name in self._wanted if name in long.seen))
        if len(self._seen) < _MAX_NAMES:
            self._seen.update(dict.fromkeys(sorted(long.seen)))
        return long

    def check(self) -> None:
        """Refuse, after the last file, names that no row has.

        Raises:
            DataError: with the names that are there.
        """
        if self._long is None:
            return
        place = f"column '{self._long.name}' of data.long"
        if mistake := missing([*self._seen], self._wanted, place):
            raise DataError(mistake.replace("has no column", "has no name"))


def merged(recording: Recording) -> tuple[Recording, int]:
    """Make one row of all rows of an asset and a time; the last value of a name counts.

    Args:
        recording: a row for each value; `reported` says which signal it is of.

    Returns:
        The rows in time order without those that no signal is of, and the number of values that
        were replaced by another of the same name, asset and time.
    """
    if recording.reported is None or not len(recording):
        return recording, 0
    order = np.lexsort((recording.times_ns, recording.asset))
    asset, times_ns = recording.asset[order], recording.times_ns[order]
    begins = np.flatnonzero(np.diff(asset, prepend=-1) | (np.diff(times_ns, prepend=0) != 0))
    reported = recording.reported[order]
    channels = zip(recording.values[order].T, reported.T, strict=True)
    values = np.column_stack([_last(one, has, begins, np.nan) for one, has in channels])
    carried = np.logical_or.reduceat(reported, begins, axis=0)
    numbers = {
        column: _last(one[order], ~np.isnan(one[order]), begins, np.nan)
        for column, one in recording.numbers.items()
    }
    texts = {
        column: _last(one[order], one[order] != "", begins, "")
        for column, one in recording.texts.items()
    }
    rows = replace(
        recording.take(order[begins]), values=values, reported=carried, numbers=numbers, texts=texts
    )
    in_time = np.argsort(rows.times_ns, kind="stable")
    rows = rows.take(in_time[carried[in_time].any(axis=1)])
    if rows.reported is not None and rows.reported.all():
        rows = replace(rows, reported=None)
    return rows, int(reported.sum()) - int(carried.sum())


def _last(
    values: NDArray[Any], has: NDArray[np.bool_], begins: NDArray[np.intp], otherwise: object
) -> NDArray[Any]:
    """The last value of each group that has one, `[groups]`; groups begin at `begins`."""
    place = np.maximum.reduceat(np.where(has, np.arange(len(values)), -1), begins)
    last = values[place]
    last[place < begins] = otherwise
    return last
