"""Recorded rows of any origin, in time order: what windows are built from and replay plays."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

LATE = "rows were not in time order: sorted"


@dataclass(frozen=True, slots=True)
class Recording:
    """Rows in time order; those of several assets are interleaved.

    Attributes:
        channels: name of each signal.
        assets: name of each asset.
        asset: index into `assets`, a whole number, `[rows]`.
        times_ns: event time, nanoseconds since 1970, `[rows]`; without a time axis the row number.
        timed: whether there is a time axis.
        values: `[rows, channels]` as recorded, NaN = no value; float32 where all files hold no
            more than that, otherwise float64.
        files: name of each file, and `file` and `line`: where a row came from, `[rows]`.
        digests: sha256 of each file by its name.
        notes: what was cleaned, and what a reader should know.
        reported: whether the row's message carried the signal at all, with a value or without,
            `[rows, channels]`; None where every row is a sample, which has all of them.
        texts: further columns that were asked for as text, by column: object `[rows]`, "" where
            there is none.
        numbers: further columns that were asked for as numbers, by column: float64 `[rows]`, NaN
            where there is none.
    """

    channels: tuple[str, ...]
    assets: tuple[str, ...]
    asset: NDArray[Any]
    times_ns: NDArray[np.int64]
    timed: bool
    values: NDArray[Any]
    files: tuple[str, ...]
    file: NDArray[Any]
    line: NDArray[Any]
    digests: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    reported: NDArray[np.bool_] | None = None
    texts: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    numbers: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self.times_ns)

    def place(self, row: int) -> str:
        """File and line of a row, as error messages name it."""
        return f"{self.files[self.file[row]]} line {self.line[row]}"

    def take(self, rows: NDArray[Any]) -> "Recording":
        """Some of the rows: a mask, or indices in rising order."""
        return replace(
            self,
            asset=self.asset[rows],
            times_ns=self.times_ns[rows],
            values=self.values[rows],
            file=self.file[rows],
            line=self.line[rows],
            reported=None if self.reported is None else self.reported[rows],
            texts={column: texts[rows] for column, texts in self.texts.items()},
            numbers={column: numbers[rows] for column, numbers in self.numbers.items()},
        )

    def in_time_order(self) -> tuple["Recording", int]:
        """The rows by time, those of one time as they are; and how many were late.

        A row is late if it is older than the one before of the same asset. The arrays of this
        recording are sorted where they are, and are not to be used any more.
        """
        if not (self.times_ns[1:] < self.times_ns[:-1]).any():
            return self, 0
        late = int((self._steps() < 0).sum())
        order = np.argsort(self.times_ns, kind="stable")
        for channel in range(len(self.channels)):  # one at a time: all at once would be twice
            self.values[:, channel] = self.values[order, channel]
        ordered = replace(
            self,
            asset=self.asset[order],
            times_ns=self.times_ns[order],
            file=self.file[order],
            line=self.line[order],
            reported=None if self.reported is None else self.reported[order],
            texts={column: texts[order] for column, texts in self.texts.items()},
            numbers={column: numbers[order] for column, numbers in self.numbers.items()},
        )
        return ordered, late

    @property
    def rows_per_sample(self) -> int:
        """How many rows a sample takes at most: one, or a message of each signal."""
        is_whole = self.reported is None or bool(self.reported.all())
        return 1 if is_whole else len(self.channels)

    def rank(self) -> NDArray[np.int64]:
        """Each row's position among the rows of its asset, from 0."""
        order = np.argsort(self.asset, kind="stable")
        counts = np.bincount(self.asset, minlength=len(self.assets))
        starts = np.repeat(np.cumsum(counts) - counts, counts)
        rank = np.empty(len(self), dtype=np.int64)
        rank[order] = np.arange(len(self)) - starts
        return rank

    def period_ms(self) -> float | None:
        """Median time between an asset's rows, whole milliseconds unless it is below one.

        Where rows are messages, that of the signal which comes least often: samples wait for it.
        None without a time axis, or where the rows have no time between them.
        """
        if not self.timed:
            return None
        carrying = [slice(None)] if self.reported is None else list(self.reported.T)
        steps = [self._steps(rows) for rows in carrying]
        period = max(float(np.median(one)) if len(one) else 0.0 for one in steps) / 1e6
        return (round(period) if period >= 1 else period) or None

    def longest_pause(self) -> tuple[int, int]:
        """The row after the longest time without one of the same asset, and that time, ns."""
        order = np.argsort(self.asset, kind="stable")
        steps = np.diff(self.times_ns[order])
        steps[np.diff(self.asset[order]) != 0] = 0
        if not len(steps):
            return 0, 0
        longest = int(steps.argmax())
        return int(order[longest + 1]), int(steps[longest])

    def _steps(self, rows: Any = slice(None)) -> NDArray[np.int64]:  # noqa: ANN401  whatever indexes an array
        """Nanoseconds from each of the rows to the next of the same asset."""
        asset, times_ns = self.asset[rows], self.times_ns[rows]
        order = np.argsort(asset, kind="stable")
        steps: NDArray[np.int64] = np.diff(times_ns[order])[np.diff(asset[order]) == 0]
        return steps
