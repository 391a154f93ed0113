"""Turns timed readings into windows: the code that training and serving share.

    readings of an asset        samples                      windows
    pressure 10:00:00.0  ┐
    flow     10:00:00.1  ├──►  [pressure, flow, current]  ┐
    current  10:00:00.1  ┘     at 10:00:00.1              ├──►  [length, channels]
    pressure 10:00:01.0  ┐                                │     once `length` samples are there,
    ...                  ┴──►  ...                        ┘     then one each `hop` samples

Rules:

- All times are event times, which come with the readings. There is no clock, no I/O and no
  dependency but NumPy, so that a replay of history gives exactly what a gateway gave.
- The readings since the last sample are a round. With the trigger `all_fresh` a round becomes a
  sample when every signal has reported, which a JSON row does at once. It becomes one without the
  rest when a signal reports again, or after a pause longer than `max_gap_ms`: a dead sensor delays
  samples, but does not stop them. With `every_reading` each message is a round.
- A sample has the time of the newest reading up to then. Each signal contributes the value that it
  has reported in the round, or, if it has a `max_age_ms`, its last value unless that is older.
  Otherwise it is missing (NaN).
- A reading whose value is not usable (NaN, out of range, or BAD) counts as a report, but does not
  replace the last value. A value held after its source has reported UNCERTAIN or BAD is UNCERTAIN.
- A retained reading (`hold`) is no report. It stands for a signal with a `max_age_ms` in samples of
  its event time or later, where nothing newer is held.
- With `period` the samples lie on a grid, the multiples of `sample_period_ms` since 1970, so that
  restarts and replays use the same times. The sample at a point has what each signal last reported
  up to it, held for its `max_age_ms`, or since the point before if it has none. It is taken when a
  reading from after the point arrives; if several points have passed, there is a sample for each.
- Where a window is a single row and no value is held, a row older than the asset's last sample is
  a window like any other. Elsewhere its windows are gone, and it is refused as `late`.
- A pause longer than `max_gap_ms` restarts the window. On the grid the point after the last reading
  before the pause is still sampled; the other points of the pause are not.

For example, with length 2 and hop 1, pressure at 0 s and flow at 0.1 s are the sample of 0.1 s.
Pressure at 1 s and again at 2 s gives the sample of 1 s, in which flow is missing. That completes
the first window, of the samples at 0.1 s and 1 s; its time is 1 s.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.bundle.manifest import Channel, WindowSpec
from models.input.quality import Quality
from models.windowing.asset_state import MISSING, NEVER, NS_PER_MS, AssetState, SampleAndHold
from models.windowing.due import Due
from models.windowing.known import Known, keep
from models.windowing.offsets import sample_packer

_UNBOUNDED: Final = 2**63  # nanoseconds: longer than any pause
_GOOD, _UNCERTAIN, _BAD = Quality  # looking a member up by its name costs 0.1 us in Python 3.11


class Batch(NamedTuple):
    """Windows that are due, in the order in which they became due.

    Attributes:
        assets: key of each window's asset, one for each window.
        times_ns: event time of each window's last sample, nanoseconds since 1970, one for each
            window.
        qualities: worst quality among each window's samples, one for each window.
        values: float32 of shape `[windows, length, channels]`, in engineering units; NaN where a
            value is missing.
    """

    assets: list[str]
    times_ns: list[int]
    qualities: list[Quality]
    values: NDArray[np.float32]


class Windows:
    """The windows of many assets; no asset ever sees the readings of another.

    What callers must know (`models.windowing.blocks.Blocks` keeps the same contract):

    - The same calls in the same order give the same windows, also where states were saved and
      restored in between. No clock is read: what is late depends on the readings alone.
    - Nothing blocks, does I/O or calls back. There is no lock: one thread at a time.
    - `push` either uses a message, or raises ReadingError and uses nothing of it. The caller
      counts the reason and goes on; no other error comes from readings.
    - Windows that are due stay here until `take` or `discard`. Memory is bounded by `max_assets`
      windows and those that are due, so the caller takes them often.

    Args:
        spec: length and hop in samples, and the gap that restarts a window.
        channels: the model's inputs, in the order of the last axis.
        max_assets: how many assets are remembered; beyond, the longest silent one is forgotten.

    Attributes:
        spec: as given.
        channels: as given.
        forgotten: how many assets were forgotten; one that comes back starts with an empty window.
        missing: in how many samples each signal was missing, by its name.
        restarts: how many windows were restarted because of a gap.
        waiting: how many readings wait to be put in order; see `models.windowing.disorder`.
        is_stateless: whether every message with all signals is a window, whatever came before it.
    """

    def __init__(
        self, spec: WindowSpec, channels: Sequence[Channel], max_assets: int = 10_000
    ) -> None:
        self.spec = spec
        self.channels = tuple(channels)
        self.restarts = self.forgotten = self.waiting = 0
        self._max_assets = max_assets
        self._assets: OrderedDict[str, AssetState] = OrderedDict()  # longest silent first
        self._period_ns = spec.period_ns if spec.is_on_grid else 0
        grid_age_ns = self._period_ns - 1 if spec.is_on_grid else None
        self._hold = hold = SampleAndHold(channels, grid_age_ns)
        self.missing = hold.missing
        self._width, self._all, self._shortest_age_ns = hold.width, hold.all, hold.shortest_age_ns
        self._max_gap_ns = spec.max_gap_ms * NS_PER_MS if spec.max_gap_ms else _UNBOUNDED
        self._pack, self._sample_bytes = sample_packer(channels)
        self._is_each_a_sample = spec.trigger == "every_reading"
        # Bit mask of the signals that complete a round, and indices that complete it in a single
        # message. On the grid no report does: the time does.
        self._whole = 0 if self._period_ns else self._all
        self._whole_row = () if self._period_ns else hold.in_order
        self._step_ns = self._period_ns or _UNBOUNDED
        self._length, self._hop = spec.length, spec.hop
        self.is_stateless = hold.is_stateless(spec)
        self._window_bytes = spec.length * self._sample_bytes
        self._due = Due()

    def __len__(self) -> int:
        """How many assets are remembered."""
        return len(self._assets)

    @property
    def due(self) -> int:
        """How many windows wait to be taken."""
        return len(self._due.times_ns)

    def push(
        self,
        asset: str,
        time_ns: int,
        channels: Sequence[int],
        values: Sequence[float],
        quality: Quality = Quality.GOOD,
    ) -> int:
        """Add the readings of one message.

        Args:
            asset: key of the asset.
            time_ns: event time of the readings, nanoseconds since 1970.
            channels: indices of the signals that report; at least one, each at most once.
            values: the value of each of these signals; NaN where a signal reports none.
            quality: quality of the readings; values of BAD readings are not used.

        Returns:
            How many windows became due, at most `spec.max_due`; `take` hands them over.

        Raises:
            ReadingError: the message was not used: `late` if it is older than the asset's last
                sample and no window of its own (`answers_late`), or on a grid than what its signals
                have reported since; `duplicate` if each had reported the same for that time.
            ValueError: there are not as many values as signals: a mistake of the caller.
        """
        if len(channels) != len(values):
            raise ValueError(f"{len(channels)} signals report {len(values)} values")
        state = self._assets.get(asset) or self._open(asset)
        self._assets.move_to_end(asset)
        waiting = len(self._due.times_ns)
        if (
            channels == self._whole_row
            and quality is _GOOD
            and time_ns > state.newest_ns
            and not state.reported
            and self._hold.take_row(state, time_ns, values)
        ):
            # A row with all signals, all usable and newer than before, is a round: most rows are.
            state.newest_ns, state.doubtful = time_ns, 0
            self._add(asset, state, time_ns, values, _GOOD)
        else:
            if time_ns < state.last_ns and self.answers_late(channels):
                state = AssetState(self._width)  # forgotten with the row
            self._take_some(asset, state, time_ns, channels, values, quality)
        return len(self._due.times_ns) - waiting

    def hold(self, asset: str, channels: Sequence[int], values: Sequence[float], at: Known) -> bool:
        """Keep what a retained message says (`known.keep`); no asset makes room for it."""
        if asset not in self._assets:
            if len(self._assets) >= self._max_assets:
                return False
            self._assets[asset] = AssetState(self._width)
            self._assets.move_to_end(asset, last=False)  # the first to make room for a live one
        return keep(self._hold, self._assets[asset], channels, values, at)

    def answers_late(self, channels: Sequence[int]) -> bool:
        """Whether a message with these signals is a window of its own, whenever it arrives."""
        is_whole = self._is_each_a_sample or self._hold.mask(channels) == self._all
        return self.is_stateless and is_whole

    def state_of(self, asset: str) -> AssetState:
        """What is remembered of an asset, which has been heard of now."""
        state = self._assets.get(asset) or self._open(asset)
        self._assets.move_to_end(asset)
        return state

    def take(self) -> Batch:
        """Remove the windows that are due, and return them as a batch that the caller owns."""
        due, self._due = self._due, Due()
        shape = (len(due.assets), self._length, self._width)
        values = np.ndarray(shape, np.float32, bytearray().join(due.windows))  # writable
        return Batch(due.assets, due.times_ns, due.qualities, values)

    def awaited(self, asset: str) -> list[str]:
        """Signals that the asset's current sample waits for; empty where none has begun.

        Empty on a grid too: there the time completes a sample, not a report.
        """
        state = self._assets.get(asset)
        if state is None or not state.reported or self._period_ns:
            return []
        return self._hold.names(self._all & ~state.reported)

    def states(self) -> Iterator[tuple[str, list[Any]]]:
        """Every asset and its state, the one that has been silent for longest first.

        May be consumed while readings are pushed. A state is that of the moment in which it is
        yielded; an asset that appears meanwhile is left out.
        """
        for asset in list(self._assets):
            if state := self._assets.get(asset):
                yield asset, state.dump()

    def restore(self, asset: str, dumped: Sequence[Any]) -> None:
        """Restore the state of an asset, which `states` yielded for the same signals and windows.

        What the asset had before is replaced.
        """
        before = self._assets.pop(asset, None)
        state = self._assets[asset] = AssetState.load(dumped)
        self.waiting += len(state.waiting) - (len(before.waiting) if before else 0)

    def forget(self, assets: Iterable[str]) -> None:
        """Forget what is remembered of assets, which start with an empty window."""
        for asset in self._assets.keys() & set(assets):
            self.waiting -= len(self._assets.pop(asset).waiting)

    def discard(self) -> None:
        """Drop the windows that are due."""
        self._due = Due()

    def _open(self, asset: str) -> AssetState:
        if len(self._assets) >= self._max_assets:
            _, forgotten = self._assets.popitem(last=False)
            self.waiting -= len(forgotten.waiting)
            self.forgotten += 1
        state = self._assets[asset] = AssetState(len(self.channels))
        return state

    def _take_some(  # noqa: PLR0913, PLR0917 - the message, taken apart
        self,
        asset: str,
        state: AssetState,
        time_ns: int,
        channels: Sequence[int],
        values: Sequence[float],
        quality: Quality,
    ) -> None:
        """Add readings that lack signals, are not all usable, or are not the newest."""
        if quality is _BAD:
            values = [MISSING] * len(channels)
        is_newest = time_ns > state.newest_ns
        if not is_newest:
            channels, values = self._hold.new(state, time_ns, channels, values)
        reports = self._hold.mask(channels)
        if time_ns - state.last_ns > self._step_ns:
            self._sample_until(asset, state, time_ns)
        elif state.reported & self._whole and (
            state.reported & reports or time_ns - state.newest_ns > self._max_gap_ns
        ):
            self._complete(asset, state, state.newest_ns)
        usable = reports ^ self._hold.take(state, time_ns, channels, values)
        state.reported |= reports
        state.usable |= usable
        if quality is not _GOOD:
            state.doubtful |= reports
        elif state.doubtful:
            state.doubtful &= ~usable
        if is_newest:
            state.newest_ns = time_ns
        if state.reported == self._whole or self._is_each_a_sample:
            self._complete(asset, state, state.newest_ns)

    def _sample_until(self, asset: str, state: AssetState, time_ns: int) -> None:
        """Take the samples at all points of the grid that lie before a reading of this time."""
        period_ns = self._period_ns
        is_paused = time_ns - state.newest_ns > self._max_gap_ns
        end_ns = state.newest_ns + period_ns if is_paused else time_ns
        while state.newest_ns > NEVER and state.last_ns + period_ns < end_ns:
            state.usable = self._all  # on the grid only the age of a value decides
            self._complete(asset, state, state.last_ns + period_ns)
        if is_paused:
            self._restart(state)
            state.last_ns = (time_ns - 1) // period_ns * period_ns

    def _restart(self, state: AssetState) -> None:
        if state.count:
            state.count = state.uncertain_at = state.bad_at = 0
            self.restarts += 1

    def _complete(self, asset: str, state: AssetState, time_ns: int) -> None:
        """Make a sample of the values held, and begin the next round."""
        # The signals are looked at one by one only where one of them may be missing.
        if (
            state.usable != self._all
            or state.known
            or (
                self._shortest_age_ns is not None
                and min(state.held_ns) < time_ns - self._shortest_age_ns
            )
        ):
            row, quality = self._hold.sample(state, time_ns)
        else:
            row, quality = state.held, _UNCERTAIN if state.doubtful else _GOOD
        state.reported = state.usable = 0
        self._add(asset, state, time_ns, row, quality)

    def _add(
        self, asset: str, state: AssetState, time_ns: int, row: Sequence[float], quality: Quality
    ) -> None:
        """Append a sample, and cut a window if one ends with it."""
        if time_ns - state.last_ns > self._max_gap_ns:
            self._restart(state)
        state.last_ns = time_ns
        state.count += 1
        state.samples += self._pack(*row)
        if len(state.samples) > self._window_bytes:
            del state.samples[: self._sample_bytes]
        if quality is _UNCERTAIN:
            state.uncertain_at = state.count
        elif quality is _BAD:
            state.bad_at = state.count
        before = state.count - self._length  # number of samples before the window
        if before < 0 or before % self._hop:
            return
        worst = _UNCERTAIN if state.uncertain_at > before else _GOOD
        due = self._due
        due.assets.append(asset)
        due.times_ns.append(time_ns)
        due.qualities.append(_BAD if state.bad_at > before else worst)
        due.windows.append(bytes(state.samples))  # a copy, since the buffer goes on
