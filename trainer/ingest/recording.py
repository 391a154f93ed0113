"""Recorded rows of any origin, in time order, for training and for `replay`."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

LATE = "rows were not in time order: sorted"


@dataclass(frozen=True, slots=True)
class Recording:
    """Rows in time order; the rows of several assets are interleaved.

    Attributes:
        channels: names of the signals.
        assets: names of the assets.
        asset: index into `assets` for each row, `[rows]`.
        times_ns: event time of each row, nanoseconds since 1970, `[rows]`; without a time axis the
            number of the row.
        timed: whether the rows have a time axis.
        values: values of the signals as recorded, `[rows, channels]`, NaN for no value; float32
            where all files store no more precision, otherwise float64.
        files: names of the files.
        file: index into `files` for each row, `[rows]`.
        line: line (CSV) or row (Parquet) of each row in its file, from 1, `[rows]`.
        digests: SHA-256 of each file, by the name of the file.
        notes: sentences on what was cleaned or left out.
        reported: whether the message of a row carried a signal, with or without a value,
            `[rows, channels]`; None if every row is a sample, which has all signals.
        retained: rows of retained messages, in time order; they are no live readings and in none of
            the other arrays. None where there are none.
        texts: further columns that were read as text, by column: object `[rows]`, "" for no text.
        numbers: further columns that were read as numbers, by column: float64 `[rows]`, NaN for no
            number.
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
    retained: "Recording | None" = None
    texts: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    numbers: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.times_ns)

    def place(self, row: int) -> str:
        """File and line of a row, as error messages name them."""
        return f"{self.files[self.file[row]]} line {self.line[row]}"

    def take(self, rows: NDArray[Any]) -> "Recording":
        """Select rows by a mask, or by indices in ascending order."""
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

    def without_retained(self) -> "Recording":
        """The same with the retained messages apart: rows that report nothing and have a value."""
        if self.reported is None:
            return self
        is_live = np.asarray(self.reported.any(axis=1))
        if is_live.all():
            return self
        return replace(self.take(is_live), retained=self.take(~is_live))

    def in_time_order(self) -> tuple["Recording", int]:
        """Sort the rows by time, and count those that were late.

        Rows of the same time keep their order. A row is late if it is older than the row before it
        of the same asset. The values are sorted in place, so this recording must not be used
        afterwards.
        """
        if not (self.times_ns[1:] < self.times_ns[:-1]).any():
            return self, 0
        late = int((self._steps() < 0).sum())
        order = np.argsort(self.times_ns, kind="stable")
        for channel in range(len(self.channels)):  # all at once would need the memory twice
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
        """The most rows that a sample can need: one, or a message for each signal."""
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
        """Median time between the rows of an asset, in milliseconds; whole ones above 1 ms.

        Where rows are messages, it is the time between those of the least frequent signal, because
        samples wait for it. None without a time axis, or if all rows have the same time.
        """
        if not self.timed:
            return None
        carrying = [slice(None)] if self.reported is None else list(self.reported.T)
        steps = [self._steps(rows) for rows in carrying]
        period = max(float(np.median(one)) if len(one) else 0.0 for one in steps) / 1e6
        return (round(period) if period >= 1 else period) or None

    def longest_pause(self) -> tuple[int, int]:
        """The row after the longest pause of its asset, and that pause in nanoseconds."""
        order = np.argsort(self.asset, kind="stable")
        steps = np.diff(self.times_ns[order])
        steps[np.diff(self.asset[order]) != 0] = 0
        if not len(steps):
            return 0, 0
        longest = int(steps.argmax())
        return int(order[longest + 1]), int(steps[longest])

    def _steps(self, rows: Any = slice(None)) -> NDArray[np.int64]:  # noqa: ANN401  anything that indexes an array
        """Nanoseconds from each of the rows to the next of the same asset."""
        asset, times_ns = self.asset[rows], self.times_ns[rows]
        order = np.argsort(asset, kind="stable")
        steps: NDArray[np.int64] = np.diff(times_ns[order])[np.diff(asset[order]) == 0]
        return steps
