"""Cuts recorded rows into windows, all at once; the result is that of `models.windowing.windows`.

    rows ────────────► rows that are used ─────► samples ─────────► windows
    as they came       by asset, in order of     one a row, or      where the last sample of
                       time; late and repeated   one a point of     each is, in the order in
                       ones are counted          the grid           which they became due

Each row counts as a message of GOOD quality that reports all signals. Such a row completes its
round with either trigger off the grid, whatever came before, and after it an older row changes
nothing, on the grid or off it. So the rows that are used never go back in time, each asset's
samples follow from its rows by position, and a signal's value is its last usable one before. All
assets are cut together in NumPy. Only where each row is a window of its own are older rows used
too; they take part in nothing but their own window.

Where the two differ, `models.windowing.windows` is right: `tests/contract/test_batch_windows.py`
compares them.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.bundle.manifest import Channel, WindowSpec
from models.windowing.asset_state import MISSING, NEVER, NS_PER_MS, SampleAndHold

Indices = NDArray[np.int64]
Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]

_LONGEST_NS: Final = 2**63 - 1


class Rows(NamedTuple):
    """Some rows of a recording, in the order in which they were recorded.

    Attributes:
        asset: number of each recorded row's asset, from 0, int64 `[recorded]`.
        times_ns: event time of each recorded row, nanoseconds since 1970, int64 `[recorded]`.
        values: values of the signals, float64 `[recorded, channels]`; NaN where a signal reports
            that it has no value.
        chosen: indices of the recorded rows to cut, int64 `[n]`.
    """

    asset: Indices
    times_ns: Indices
    values: Floats
    chosen: Indices


class Cut(NamedTuple):
    """Samples, and the windows in them.

    Attributes:
        samples: samples of one asset after another, float32 `[samples, channels]`, NaN = missing.
        ends: index of each window's last sample, int64 `[windows]`, in the order in which the
            windows became due.
        rows: index of the recorded row with which each window ends, int64 `[windows]`; on the grid
            that of the asset's last row used up to the window's end.
        is_bad: whether a signal that the model requires is missing in the window, bool `[windows]`.
        missing: number of samples in which each signal is missing, by its name.
    """

    samples: NDArray[np.float32]
    ends: Indices
    rows: Indices
    is_bad: Mask
    missing: Counter[str]


class Replay:
    """Recorded rows to be cut into windows.

    The number of samples is known before `cut` allocates them, so that a caller can refuse a
    recording whose grid would not fit the memory.

    Args:
        rows: rows of a recording.
        spec: length and hop in samples, trigger, and the gap that restarts a window.
        channels: the model's inputs, in the order of the last axis.

    Attributes:
        dropped: number of rows that are not used, by reason code as in `Windows.push`.
        restarts: number of windows that are restarted because of a gap.
        samples: number of samples that `cut` will return.
    """

    def __init__(self, rows: Rows, spec: WindowSpec, channels: Sequence[Channel]) -> None:
        self._values, self._spec, self._channels = rows.values, spec, channels
        self._hold = SampleAndHold(channels, spec.period_ns - 1 if spec.is_on_grid else None)
        self._rows, newest_ns, self.dropped = _used(rows, spec, self._hold)
        self._times_ns = rows.times_ns[self._rows]
        is_first = _is_first(rows.asset[self._rows])
        max_gap_ns = min((spec.max_gap_ms or _LONGEST_NS) * NS_PER_MS, _LONGEST_NS)
        is_paused = ~is_first & (self._times_ns - newest_ns > max_gap_ns)
        self._first = _latest(is_first)
        self._segment: Indices = np.cumsum(is_first | is_paused)
        self._counts = self._points(is_first, is_paused)
        self.restarts = int(np.count_nonzero(is_paused))
        self.samples = int(self._counts.sum())

    def cut(self) -> Cut:
        """Make the samples, and find the windows in them."""
        base, times_ns = self._sampled()
        samples = np.empty((self.samples, len(self._channels)), dtype=np.float32)
        missing: Counter[str] = Counter()
        is_bad = np.zeros(self.samples, dtype=bool)
        for index, channel in enumerate(self._channels):
            held, has_value = self._held(index, base, times_ns)
            samples[:, index] = held.astype(np.float64) - channel.offset if channel.offset else held
            lacking = self.samples - int(np.count_nonzero(has_value))
            if lacking:
                missing[channel.name] = lacking
                is_bad |= ~has_value & (channel.missing == "require")
        ends = self._ends(base)
        bad_before = np.concatenate(([0], np.cumsum(is_bad)))
        is_bad = bad_before[ends + 1] > bad_before[ends + 1 - self._spec.length]
        return Cut(samples, ends, self._rows[base[ends]], is_bad, missing)

    def _points(self, is_first: Mask, is_paused: Mask) -> Indices:
        """Number of samples that are taken after each row and before the next one, `[rows]`."""
        count = len(self._rows)
        if not self._spec.is_on_grid:
            return np.ones(count, dtype=np.int64)
        counts = np.zeros(count, dtype=np.int64)  # after an asset's last row nothing is sampled
        counts[:-1] = np.diff((self._times_ns - 1) // self._spec.period_ns)
        counts[:-1][is_paused[1:]] = 1
        counts[:-1][is_first[1:]] = 0
        return counts

    def _sampled(self) -> tuple[Indices, Indices]:
        """Position of each sample's last row among those used, and time of each sample."""
        base = np.repeat(np.arange(len(self._rows)), self._counts)
        if not self._spec.is_on_grid:
            return base, self._times_ns
        period_ns = self._spec.period_ns
        nth = np.arange(self.samples) - (np.cumsum(self._counts) - self._counts)[base]
        return base, ((self._times_ns[base] - 1) // period_ns + 1 + nth) * period_ns

    def _held(self, index: int, base: Indices, times_ns: Indices) -> tuple[Floats, Mask]:
        """A signal's value in each sample, NaN where it is missing, and whether it has one."""
        column = self._values[self._rows, index]
        usable = _is_usable(column, index, self._hold)
        max_age_ns = self._hold.max_ages_ns[index]
        if max_age_ns is None:
            return np.where(usable, column, MISSING), usable
        last = _latest(usable)[base]
        has_value = last >= self._first[base]
        has_value &= times_ns - self._times_ns[last] <= max_age_ns
        return np.where(has_value, column[last], MISSING), has_value

    def _ends(self, base: Indices) -> Indices:
        """Index of each window's last sample, in the order of the rows that made them due."""
        segment = self._segment[base]
        number = np.arange(len(base)) - _latest(_is_first(segment))
        before = number - (self._spec.length - 1)
        ends = np.flatnonzero((before >= 0) & (before % self._spec.hop == 0))
        # A point of the grid is sampled only when the asset's next row arrives.
        made_due = self._rows[base[ends] + self._spec.is_on_grid]
        return ends[np.argsort(made_due, kind="stable")]


def _used(
    rows: Rows, spec: WindowSpec, hold: SampleAndHold
) -> tuple[Indices, Indices, Counter[str]]:
    """Which rows to use.

    Returns:
        Indices of the rows, one asset after another; the newest time of the asset before each of
        them; and the number of the other rows by reason.
    """
    order = _by_asset(rows)
    times_ns, is_first = rows.times_ns[order], _is_first(rows.asset[order])
    newest_ns = _newest_before(times_ns, is_first)
    is_current = times_ns >= newest_ns
    is_known = (times_ns <= newest_ns) & (newest_ns > NEVER)
    # A row that is not newer may repeat what its asset has reported: then it is a duplicate, and
    # else late. On the grid that concerns all rows since the last point.
    if spec.is_on_grid:
        is_known &= times_ns > (newest_ns - 1) // spec.period_ns * spec.period_ns
    else:
        is_known &= is_current
    is_late = ~is_current
    if is_known.any():
        repeated = _repeated(rows, order, is_current, np.flatnonzero(is_known), hold)
        is_late[repeated] = is_current[repeated] = False
    if hold.is_stateless(spec):
        is_current |= is_late & (times_ns >= NEVER)
        is_late &= ~is_current
    late = int(np.count_nonzero(is_late))
    duplicate = len(order) - late - int(np.count_nonzero(is_current))
    dropped = {"late": late, "duplicate": duplicate}
    counted = Counter({reason: count for reason, count in dropped.items() if count})
    return order[is_current], newest_ns[is_current], counted


def _repeated(
    rows: Rows, order: Indices, is_current: Mask, known: Indices, hold: SampleAndHold
) -> Indices:
    """Those of `known` that repeat the last report of each signal: its time, and its value."""
    current, asked = order[is_current], order[known]
    before = (np.cumsum(is_current) - is_current)[known] - 1
    first = _latest(_is_first(rows.asset[current]))[before]
    is_repeated = np.ones(len(known), dtype=bool)
    for index in hold.in_order:
        column, value = rows.values[current, index], rows.values[asked, index]
        usable, has_value = (_is_usable(some, index, hold) for some in (column, value))
        last = np.where(has_value, _latest(usable)[before], _latest(~usable)[before])
        is_repeated &= (last >= first) & (rows.times_ns[current[last]] == rows.times_ns[asked])
        is_repeated &= ~has_value | (column[last] == value)
    return known[is_repeated]


def _by_asset(rows: Rows) -> Indices:
    """Indices of the chosen rows, one asset after another, each in the order of recording."""
    asset = rows.asset[rows.chosen]
    # Numbers of 16 bits, which suffice as a rule, are sorted ten times as fast by NumPy.
    narrow = asset.astype(np.min_scalar_type(asset.max(initial=0)))
    return rows.chosen[np.argsort(narrow, kind="stable")]


def _newest_before(times_ns: Indices, is_first: Mask) -> Indices:
    """The newest time of each row's asset before the row; `NEVER` for the first one."""
    newest_ns = np.concatenate(([NEVER], times_ns))[:-1]
    newest_ns[is_first] = NEVER
    back = np.flatnonzero(times_ns < newest_ns)
    starts = np.append(np.flatnonzero(is_first), len(times_ns))
    for asset in np.unique(np.searchsorted(starts, back, side="right")):
        mine = newest_ns[starts[asset - 1] : starts[asset]]
        np.maximum.accumulate(mine, out=mine)
    return newest_ns


def _is_usable(column: Floats, index: int, hold: SampleAndHold) -> Mask:
    return (hold.low[index] <= column) & (column <= hold.high[index])


def _is_first(groups: Indices) -> Mask:
    """Whether each element is the first of its group; groups are contiguous."""
    is_first = np.ones(len(groups), dtype=bool)
    is_first[1:] = groups[1:] != groups[:-1]
    return is_first


def _latest(mask: Mask) -> Indices:
    """Index of the last true element up to each position; -1 where there is none."""
    return np.maximum.accumulate(np.where(mask, np.arange(len(mask)), -1))
