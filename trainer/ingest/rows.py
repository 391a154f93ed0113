"""Collects rows block by block, in arrays that grow in place."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.errors import DataError
from trainer.ingest.columns import Texts
from trainer.ingest.dates.timestamps import PLAIN, Times, Timestamps
from trainer.ingest.formats.long_table import merged
from trainer.ingest.recording import LATE, Recording

MAX_BYTES = 8 << 30
Apart = Callable[[Recording], tuple[Recording, str]]
"""Makes assets of the runs of a recording, and says how many there are."""


@dataclass(frozen=True, slots=True)
class Block:
    """Rows of one file, in the order of the file.

    Attributes:
        times: event times in nanoseconds since 1970, `[rows]`, by each date format that may be the
            right one.
        assets: name of the asset of each row.
        values: values of the signals, float32 or float64 `[rows, channels]`, NaN for no value.
        texts: further columns of text, by column.
        numbers: further columns of numbers, float64 `[rows]`, by column.
        lines: line (CSV) or row (Parquet) of each row in the file, from 1, `[rows]`.
        reported: which signals the message of each row carried, `[rows, channels]`; None if the
            rows are samples, which have all signals.
    """

    times: Times
    assets: Texts
    values: NDArray[Any]
    texts: Mapping[str, Texts]
    numbers: Mapping[str, NDArray[Any]]
    lines: NDArray[np.int64]
    reported: NDArray[np.bool_] | None = None


class Growing:
    """An array that grows at its end without a second copy in memory.

    `array` may move when it grows: read the attribute again instead of keeping the array.
    """

    def __init__(self, like: NDArray[Any]) -> None:
        self.array = np.empty((0, *like.shape[1:]), dtype=like.dtype)

    def add(self, more: NDArray[Any]) -> None:
        """Append rows; if they have a wider type, the array takes it on."""
        if not np.can_cast(more.dtype, self.array.dtype):
            self.array = self.array.astype(np.result_type(self.array, more))
        count = len(self.array)
        # realloc moves pages instead of copying bytes. No view of the array exists here.
        self.array.resize((count + len(more), *self.array.shape[1:]), refcheck=False)
        self.array[count:] = more

    def copy(self) -> "Growing":
        """A second array with the same rows."""
        other = Growing(self.array)
        other.add(self.array)
        return other


class Names:
    """The texts of many blocks, stored as indices into one list of names."""

    def __init__(self) -> None:
        self.codes = Growing(np.empty(0, dtype=np.int32))
        self.index: dict[str, int] = {}

    def add(self, codes: NDArray[np.int32], names: Iterable[str]) -> None:
        """Append the texts `names[codes]`."""
        ours = [self.index.setdefault(name, len(self.index)) for name in names]
        self.codes.add(np.array(ours, dtype=np.int32)[codes])

    def spelled(self) -> NDArray[Any]:
        """The text of each row, `[rows]`; rows with the same text share one object."""
        return np.array([*self.index], dtype=object)[self.codes.array]

    def sorted(self) -> tuple[tuple[str, ...], NDArray[np.int32]]:
        """The names in use, sorted, and the index of each row into them."""
        used = np.flatnonzero(np.bincount(self.codes.array, minlength=len(self.index)))
        listed = [*self.index]
        order = sorted(used.tolist(), key=listed.__getitem__)
        rank = np.zeros(len(listed), dtype=np.int32)
        rank[order] = np.arange(len(order))
        return tuple(listed[index] for index in order), rank[self.codes.array]


class Rows:
    """All rows so far; blocks are copied, so that their memory can be released.

    Attributes:
        files: names of the files that the rows are from.
        silent: number of rows that were left out because they have no value of any signal.
    """

    def __init__(self, channels: tuple[str, ...], *, long: bool = False) -> None:
        """With `long`, each row has one value, and rows of one asset and time are made one."""
        self.channels = channels
        self._long = long
        self.files: list[str] = []
        self.silent = 0
        self._times: dict[str, Growing] = {}
        self._assets = Names()
        self._values: Growing | None = None
        self._texts: dict[str, Names] = {}
        self._numbers: dict[str, Growing] = {}
        self._reported: Growing | None = None
        self._file = Growing(np.empty(0, dtype=np.int16))
        self._line = Growing(np.empty(0, dtype=np.int32))

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self._line.array)

    def add(self, name: str, block: Block) -> None:
        """Append a block of the file `name`.

        Raises:
            DataError: the rows would take more memory than is allowed.
        """
        # Gateways drop a message without any value, so its row must not count here.
        kept = ~np.isnan(block.values).all(axis=1)
        if self._long:  # a row may have a value of the target alone
            kept[:] = True
        elif block.reported is not None:
            kept |= block.reported.any(axis=1)
        self.silent += len(kept) - int(kept.sum())
        self._check_size(name, int(kept.sum()), block.values)
        if name not in self.files[-1:]:
            self.files.append(name)
        self._add_times({form: times[kept] for form, times in block.times.items()})
        self._assets.add(block.assets.codes[kept], block.assets.names)
        if self._values is None:
            self._values = Growing(block.values)
        self._values.add(block.values[kept])
        self._add_further(block, kept)
        self._add_reported(block, kept)
        self._file.add(np.full(int(kept.sum()), len(self.files) - 1, dtype=np.int16))
        self._line.add(block.lines[kept].astype(np.int32))

    def recording(
        self, stamps: Timestamps, apart: Apart | None = None
    ) -> tuple[Recording, list[str]]:
        """All rows in time order, and notes on them; rows of the same time keep their order.

        Nothing can be added afterwards. `apart` gets the rows in the order of the files, and makes
        assets of their runs.

        Raises:
            DataError: the times can be read in two ways.
        """
        if self._values is None:
            raise AssertionError("nothing was added")
        times = {form: grown.array for form, grown in self._times.items()}
        chosen = stamps.chosen(times, self._place)
        names, asset = self._assets.sorted()
        recording = Recording(
            channels=self.channels,
            assets=names,
            asset=asset,
            times_ns=times.pop(chosen),
            timed=stamps.axis is not None,
            values=self._values.array,
            texts={column: texts.spelled() for column, texts in self._texts.items()},
            numbers={column: grown.array for column, grown in self._numbers.items()},
            files=tuple(self.files),
            file=self._file.array,
            line=self._line.array,
            reported=None if self._reported is None else self._reported.array,
        )
        said = [*stamps.notes(chosen)]
        if apart is not None:
            recording, runs = apart(recording)
            said.append(runs)
        recording, late = recording.in_time_order()
        if self._long:
            recording, doubles = merged(recording)
            if doubles:
                said.append(
                    f"{doubles} values have name, asset and time of another: the last one counts"
                )
        recording = recording.without_retained()
        if late and not self._long:  # a long table may have one signal after another
            said.append(f"{late} {LATE}")
        if self.silent:
            said.append(f"{self.silent} rows have no value of any signal: left out")
        return recording, said

    def _place(self, row: int) -> str:
        return f"{self.files[self._file.array[row]]} line {self._line.array[row]}"

    def _check_size(self, name: str, more: int, values: NDArray[Any]) -> None:
        count = len(self) + more
        row = values.shape[1] * values.itemsize + 8 + 4 + 2 + 4
        if count * row > MAX_BYTES:
            raise DataError(
                f"{name}: more than {MAX_BYTES // row} rows of {values.shape[1]} signals in all, "
                f"which take more than {MAX_BYTES >> 30} GiB; name fewer files or fewer signals"
            )

    def _add_times(self, times: Times) -> None:
        """Append the times of every format that still fits; times that are not text fit all."""
        if PLAIN in times and self._times:
            times = dict.fromkeys(self._times, times[PLAIN])
        elif PLAIN in self._times:
            before = self._times.pop(PLAIN)
            self._times = {form: before.copy() for form in times}
        elif not self._times:
            self._times = {form: Growing(stamps) for form, stamps in times.items()}
        self._times = {form: self._times[form] for form in self._times if form in times}
        for form, grown in self._times.items():
            grown.add(times[form])

    def _add_further(self, block: Block, kept: NDArray[np.bool_]) -> None:
        for column, texts in block.texts.items():
            self._texts.setdefault(column, Names()).add(texts.codes[kept], texts.names)
        for column, numbers in block.numbers.items():
            grown = self._numbers.setdefault(column, Growing(np.empty(0, dtype=np.float64)))
            grown.add(numbers[kept])

    def _add_reported(self, block: Block, kept: NDArray[np.bool_]) -> None:
        """Append which signals were carried; other files may have samples, which carry all."""
        if block.reported is None and self._reported is None:
            return
        if self._reported is None:
            before = np.ones((len(self), block.values.shape[1]), dtype=np.bool_)
            self._reported = Growing(before)
            self._reported.add(before)
        if block.reported is None:
            self._reported.add(np.ones((int(kept.sum()), block.values.shape[1]), dtype=np.bool_))
        else:
            self._reported.add(block.reported[kept])
