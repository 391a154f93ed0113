"""What is remembered of one asset, and how long each signal's last reading stands for the signal.

An `AssetState` is plain numbers, lists and bytes, so that it can be saved. It refers to no other
asset, to no model and to no clock. A `SampleAndHold` has the ranges and maximum ages of a model's
signals, and applies them to the states of all assets. A value outside the signal's range, and one
that float32 cannot represent, counts as missing.
"""

from binascii import a2b_base64, b2a_base64
from collections import Counter
from collections.abc import Sequence
from operator import le
from typing import Any, Final, Self

import numpy as np

from models.bundle.manifest import Channel, WindowSpec
from models.errors import ReadingError
from models.input.quality import Quality
from models.windowing.known import Known, with_known

NEVER: Final = -(2**62)
"""An event time before all others, in nanoseconds: 146 years before 1970."""
MISSING: Final = float("nan")
"""Value of a signal that has none; the graphs of models read NaN as missing."""
NS_PER_MS: Final = 1_000_000
_FLOAT32_MAX: Final = float(np.finfo(np.float32).max)
_LONGEST_NS: Final = 2**61
"""73 years; a longer age would hold a value that was never reported (`NEVER`)."""

Waiting = tuple[int, tuple[int, ...], tuple[float, ...], int, tuple[Any, ...]]
"""A reading that waits to be put in order: event time in nanoseconds, indices of its signals, their
values, quality, and what the caller wants back with it, as far as JSON can carry that."""


class AssetState:
    """State of one asset.

    Times are event times in nanoseconds since 1970, `NEVER` before the first. A set of signals is a
    bit mask: `1 << index` stands for the signal at that index.

    Args:
        width: number of signals.

    Attributes:
        reported: signals that have reported since the last sample, with a usable value or without.
        usable: signals that have reported a usable value since the last sample.
        doubtful: signals whose held value, or a report since, was not GOOD.
        held: last usable value of each signal, NaN before the first.
        held_ns: event time of each signal's last usable value.
        unusable_ns: event time of each signal's last report without a usable value.
        newest_ns: event time of the newest reading.
        last_ns: event time of the last sample; with the trigger `period` the last point of the
            grid that was sampled, or that lies before the first sample.
        count: samples since the last gap.
        samples: the last `length` samples, float32 `[length, width]`, as bytes.
        uncertain_at: `count` at the last sample of quality UNCERTAIN.
        bad_at: `count` at the last sample of quality BAD.
        known: what retained messages have said of signals, by their index; most assets have none.
        waiting: readings that wait to be put in order, by event time.
        released_ns: event time of the newest reading that has waited and was then taken.
    """

    __slots__ = (
        "bad_at",
        "count",
        "doubtful",
        "held",
        "held_ns",
        "known",
        "last_ns",
        "newest_ns",
        "released_ns",
        "reported",
        "samples",
        "uncertain_at",
        "unusable_ns",
        "usable",
        "waiting",
    )

    def __init__(self, width: int) -> None:
        self.reported = self.usable = self.doubtful = 0
        self.held = [MISSING] * width
        self.held_ns = [NEVER] * width
        self.unusable_ns = [NEVER] * width
        self.newest_ns = self.last_ns = self.released_ns = NEVER
        self.count = self.uncertain_at = self.bad_at = 0
        self.samples = bytearray()
        self.known: dict[int, Known] = {}
        self.waiting: list[Waiting] = []

    def dump(self) -> list[Any]:
        """The state as JSON can carry it: masks in hex, samples in base64."""
        # A mask has up to 4,096 bits, JSON integers have 64. Lists are copied: the state goes on.
        masks = [f"{mask:x}" for mask in (self.reported, self.usable, self.doubtful)]
        times = [self.newest_ns, self.last_ns, self.released_ns]
        counts = [self.count, self.uncertain_at, self.bad_at]
        held = [list(self.held), list(self.held_ns), list(self.unusable_ns)]
        samples = b2a_base64(self.samples, newline=False).decode()
        known = [[index, *one] for index, one in self.known.items()]
        return [*masks, *times, *counts, *held, samples, list(self.waiting), known]

    @classmethod
    def load(cls, dumped: Sequence[Any]) -> Self:
        """The state that `dump` has described, also after JSON, in which NaN is null."""
        state = cls(0)
        state.reported, state.usable, state.doubtful = (int(mask, 16) for mask in dumped[:3])
        state.newest_ns, state.last_ns, state.released_ns = dumped[3:6]
        state.count, state.uncertain_at, state.bad_at = dumped[6:9]
        state.held = [MISSING if value is None else value for value in dumped[9]]
        state.held_ns, state.unusable_ns = list(dumped[10]), list(dumped[11])
        state.samples = bytearray(a2b_base64(dumped[12]))
        state.waiting = [_waiting(*reading) for reading in dumped[13]]
        state.known = {index: Known(*one) for index, *one in dumped[14]}
        return state


class SampleAndHold:
    """Ranges and ages of a model's signals, applied to the tracks of its assets.

    Args:
        channels: the model's inputs, in order.
        grid_age_ns: with the trigger `period`, nanoseconds for which a signal without a maximum age
            is held; None with another trigger, where its value is held until the next sample.

    Attributes:
        width: number of signals.
        all: bit mask of all signals.
        in_order: indices of all signals.
        low: least usable value of each signal.
        high: greatest usable value of each signal.
        max_ages_ns: nanoseconds for which each signal's value is held; None: until the next sample.
        shortest_age_ns: least of `max_ages_ns`: a value that is no older is held by every signal
            that has an age. None where no signal has one.
        missing: samples in which a signal was missing, by its name.
    """

    def __init__(self, channels: Sequence[Channel], grid_age_ns: int | None) -> None:
        self.width = len(channels)
        self.all = (1 << self.width) - 1
        self.in_order = tuple(range(self.width))
        self.missing: Counter[str] = Counter()
        self._channels = channels
        self._is_on_grid = grid_age_ns is not None
        ranges = [channel.valid_range or (-_FLOAT32_MAX, _FLOAT32_MAX) for channel in channels]
        self.low = [max(low, -_FLOAT32_MAX) for low, _ in ranges]
        self.high = [min(high, _FLOAT32_MAX) for _, high in ranges]
        self.max_ages_ns = [
            grid_age_ns
            if channel.max_age_ms is None
            else min(channel.max_age_ms * NS_PER_MS, _LONGEST_NS)
            for channel in channels
        ]
        ages = (age_ns for age_ns in self.max_ages_ns if age_ns is not None)
        self.shortest_age_ns = min(ages, default=None)

    def is_stateless(self, spec: WindowSpec) -> bool:
        """Whether every row with all signals is a window, whatever came before it."""
        return spec.length == spec.hop == 1 and self.shortest_age_ns is None

    def names(self, mask: int) -> list[str]:
        """Names of the signals in a bit mask."""
        return [signal.name for index, signal in enumerate(self._channels) if mask & 1 << index]

    def mask(self, channels: Sequence[int]) -> int:
        """The signals at some indices as a bit mask."""
        if len(channels) == 1:
            return 1 << channels[0]
        mask = 0
        for index in channels:
            mask |= 1 << index
        return mask

    def take_row(self, state: AssetState, time_ns: int, values: Sequence[float]) -> bool:
        """Hold the values of all signals, in order, if every one is usable; says whether it is."""
        if all(map(le, self.low, values)) and all(map(le, values, self.high)):
            state.held, state.held_ns = list(values), [time_ns] * self.width
            return True
        return False

    def take(
        self, state: AssetState, time_ns: int, channels: Sequence[int], values: Sequence[float]
    ) -> int:
        """Hold the usable values; returns the bit mask of the signals without a usable one."""
        low, high = self.low, self.high
        if channels == self.in_order and self.take_row(state, time_ns, values):
            return 0
        held, held_ns, unusable = state.held, state.held_ns, 0
        for index, value in zip(channels, values):  # noqa: B905 - costs 0.3 us; push has checked
            if low[index] <= value <= high[index]:
                held[index] = value
                held_ns[index] = time_ns
            else:
                unusable |= 1 << index
                state.unusable_ns[index] = time_ns
        return unusable

    def new(
        self, state: AssetState, time_ns: int, channels: Sequence[int], values: Sequence[float]
    ) -> tuple[Sequence[int], Sequence[float]]:
        """Those values of a reading, which is not the asset's newest, that still count.

        With the trigger `period` a signal's value no longer counts once the signal has reported a
        newer one, and a point of the grid that was sampled takes no more. With the other triggers
        all values count.

        Returns:
            Indices of the signals, and their values.

        Raises:
            ReadingError: none counts: `duplicate`, or `late`.
        """
        if time_ns < state.last_ns or (self._is_on_grid and time_ns == state.last_ns):
            raise ReadingError("late")
        for index, value in zip(channels, values):  # noqa: B905 - as in take
            if self.low[index] <= value <= self.high[index]:
                if state.held_ns[index] != time_ns or state.held[index] != value:
                    break
            elif state.unusable_ns[index] != time_ns:
                break
        else:
            raise ReadingError("duplicate")
        if not self._is_on_grid:
            return channels, values
        return self._current(state, time_ns, channels, values)

    @staticmethod
    def _current(
        state: AssetState, time_ns: int, channels: Sequence[int], values: Sequence[float]
    ) -> tuple[Sequence[int], Sequence[float]]:
        held_ns, unusable_ns = state.held_ns, state.unusable_ns
        for index in channels:
            if not held_ns[index] <= time_ns >= unusable_ns[index]:
                break
        else:
            return channels, values
        current = [
            (index, value)
            for index, value in zip(channels, values, strict=True)
            if held_ns[index] <= time_ns >= unusable_ns[index]
        ]
        if not current:
            raise ReadingError("late")
        return [index for index, _ in current], [value for _, value in current]

    def sample(self, state: AssetState, time_ns: int) -> tuple[list[float], Quality]:
        """Values of all signals for a sample at a time, and the quality of the sample.

        A value that is older than its maximum age is missing (NaN), and is counted.
        """
        row, quality = list(state.held), Quality.GOOD
        held_ns: Sequence[int] = state.held_ns
        doubtful = state.doubtful
        if state.known:
            row, held_ns, doubtful = with_known(state, time_ns)
        for index, (channel, max_age_ns) in enumerate(
            zip(self._channels, self.max_ages_ns, strict=True)
        ):
            bit = 1 << index
            if max_age_ns is None:
                has_value = bool(state.usable & bit)
            else:
                has_value = time_ns - held_ns[index] <= max_age_ns
            if not has_value:
                row[index] = MISSING
                self.missing[channel.name] += 1
                worse = Quality.BAD if channel.missing == "require" else Quality.UNCERTAIN
                quality = max(quality, worse)
            elif doubtful & bit:
                quality = max(quality, Quality.UNCERTAIN)
        return row, quality


def _waiting(
    time_ns: int,
    channels: Sequence[int],
    values: Sequence[float | None],
    quality: int,
    origin: Sequence[Any],
) -> Waiting:
    """A waiting reading, as it was before it became JSON."""
    numbers = tuple(MISSING if value is None else value for value in values)
    return time_ns, tuple(channels), numbers, quality, tuple(origin)
