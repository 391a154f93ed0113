"""The split on a time axis: which stretches of each asset or file are in which part."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.bundle.manifest import WindowSpec
from trainer.dataset.splits import Parts
from trainer.ingest.recording import Recording

MAX_LANES: Final = 40
COLUMNS: Final = 400
_SLIVER = 0.2
"""If lanes are shorter than this share of the whole time, each is drawn from its own first row."""

_PIECES = re.compile(r"(\D*)(\d{0,18})")

NONE, NEITHER, TRAIN, TEST, BOTH = range(5)
SAID: Final = {TRAIN: "training", TEST: "test", BOTH: "both, mixed", NEITHER: "in neither part"}

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Lane:
    """One asset or file.

    Attributes:
        name: name of the asset or file.
        state: `NONE`, `NEITHER`, `TRAIN`, `TEST` or `BOTH` in each column of the picture.
    """

    name: str
    state: NDArray[np.int64]

    def runs(self) -> Iterator[tuple[int, int, int]]:
        """State, first column and number of columns of each stretch that has rows."""
        first = np.flatnonzero(np.diff(self.state, prepend=-1))
        count = np.diff(first, append=len(self.state))
        for state, begin, length in zip(self.state[first], first, count, strict=True):
            if state != NONE:
                yield int(state), int(begin), int(length)


@dataclass(frozen=True, slots=True)
class Lanes:
    """The split as lanes on a time axis.

    Attributes:
        what: what a lane is: "asset" or "file".
        lanes: the lanes that are drawn, at most `MAX_LANES`.
        counts: number of all lanes by their state: only train, only test, both, or neither.
        start: the beginning of the axis, nanoseconds since 1970 or since the first row of a lane.
        end: the end of the axis, nanoseconds likewise.
        is_relative: whether time counts from the first row of each lane.
    """

    what: str
    lanes: tuple[Lane, ...]
    counts: dict[int, int]
    start: int
    end: int
    is_relative: bool


def lanes(recording: Recording, parts: Parts, spec: WindowSpec) -> Lanes:
    """Find where the windows of both parts lie; the rows must have a time axis."""
    what, names, key = _keys(recording)
    times = recording.times_ns
    low, high = _extent(times, key, len(names))
    start, end = int(times.min()), int(times.max()) + spec.period_ns
    recorded = np.flatnonzero(high >= low)
    is_relative = len(recorded) > 1 and float(np.median((high - low)[recorded])) < _SLIVER * (
        end - start
    )
    if is_relative:
        times = times - low[key]
        start, end = 0, int((high - low)[recorded].max()) + spec.period_ns
    recorded = np.array(sorted(recorded, key=lambda lane: by_number(names[lane])))
    chosen = recorded[
        np.unique(np.linspace(0, len(recorded) - 1, MAX_LANES).round().astype(np.int64))
    ]
    drawing = _Drawing(times, key, _Axis(start, max(1, end - start), spec))
    drawn = tuple(Lane(names[lane], drawing.state(lane, parts)) for lane in chosen)
    counts = Counter(_sides(key, len(names), parts)[recorded].tolist())
    return Lanes(what, drawn, counts, start, end, is_relative)


def _sides(key: NDArray[Any], count: int, parts: Parts) -> NDArray[np.int64]:
    """The state of each lane as a whole."""
    trains, tests = (
        np.bincount(key[part.rows], minlength=count) > 0 for part in (parts.train, parts.test)
    )
    return np.where(trains & tests, BOTH, np.where(trains, TRAIN, np.where(tests, TEST, NEITHER)))


def by_number(name: str) -> list[tuple[int, str]]:
    """Sort key by which 9 comes before 10."""
    return [(int(part or 0), text) for text, part in _PIECES.findall(name)]


def _keys(recording: Recording) -> tuple[str, tuple[str, ...], NDArray[Any]]:
    """What a lane is, the names of the lanes, and the lane of each row, `[rows]`."""
    if len(recording.assets) == 1 and len(recording.files) > 1:
        return "file", recording.files, recording.file
    return "asset", recording.assets, recording.asset


def _extent(
    times: NDArray[np.int64], key: NDArray[Any], count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and last time of each lane; for a lane without rows the last is before the first."""
    low = np.full(count, np.iinfo(np.int64).max)
    high = np.full(count, np.iinfo(np.int64).min)
    np.minimum.at(low, key, times)
    np.maximum.at(high, key, times)
    return low, high


@dataclass(frozen=True, slots=True)
class _Axis:
    """Time in columns.

    Attributes:
        start: time of the first column, nanoseconds.
        span: length of the axis, nanoseconds.
        spec: length and sample period of the windows.
    """

    start: int
    span: int
    spec: WindowSpec

    def covered(self, begin: NDArray[np.int64], end: NDArray[np.int64]) -> Mask:
        """Mask of the columns that any of the stretches touches."""
        first, last = self._column(begin), self._column(end - 1)
        change = np.bincount(first, minlength=COLUMNS + 1)
        change -= np.bincount(np.maximum(first, last) + 1, minlength=COLUMNS + 1)
        found: Mask = change[:COLUMNS].cumsum() > 0
        return found

    def _column(self, times: NDArray[np.int64]) -> NDArray[np.int64]:
        along = (times - self.start) / self.span * COLUMNS
        return np.clip(along.astype(np.int64), 0, COLUMNS - 1)


@dataclass(frozen=True, slots=True)
class _Drawing:
    """Rows on an axis.

    Attributes:
        times: time of each row, nanoseconds, `[rows]`.
        key: lane of each row, `[rows]`.
        axis: the axis.
    """

    times: NDArray[np.int64]
    key: NDArray[Any]
    axis: _Axis

    def state(self, lane: int, parts: Parts) -> NDArray[np.int64]:
        """The state of a lane in each column."""
        rows = self.times[self.key == lane]
        period_ns = self.axis.spec.period_ns
        found = np.where(self.axis.covered(rows, rows + period_ns), NEITHER, NONE)
        trains, tests = (
            self._windows(part.rows, lane, int(rows.min())) for part in (parts.train, parts.test)
        )
        found[trains] = TRAIN
        found[tests] = TEST
        found[_broad(trains & tests)] = BOTH
        return found

    def _windows(self, rows: NDArray[np.int64], lane: int, first: int) -> Mask:
        """Mask of the columns covered by the windows of a lane that end at `rows`."""
        spec = self.axis.spec
        ends = self.times[rows[self.key[rows] == lane]]
        begin = np.maximum(ends - (spec.length - 1) * spec.period_ns, first)
        return self.axis.covered(begin, ends + spec.period_ns)


def _broad(mask: Mask) -> Mask:
    """Mask without single columns, which both parts share where one ends and the other begins."""
    beside = np.append(mask[1:], False) | np.append(False, mask[:-1])
    return np.asarray(mask & beside)
