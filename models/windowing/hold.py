"""Sample and hold: what each channel's last reading is worth, and for how long.

A value outside the channel's range, and one that no float32 holds, is no value.
"""

from collections import Counter
from collections.abc import Sequence
from operator import le
from typing import Final

import numpy as np

from models.bundle.manifest import Channel
from models.errors import ReadingError
from models.input.quality import Quality
from models.windowing.track import MISSING, Track

NS_PER_MS: Final = 1_000_000
_FLOAT32_MAX: Final = float(np.finfo(np.float32).max)
_LONGEST_NS: Final = 2**61
"""73 years; a longer age would hold what was never reported."""


class Hold:
    """Ranges and ages of a model's channels, applied to the tracks of its assets.

    Args:
        channels: the model's inputs.
        grid_age_ns: on a grid, how long a channel without a maximum age is held; None: a value is
            then held for the round in which it was reported.

    Attributes:
        width: how many channels there are.
        all: bit mask of all of them.
        in_order: their indices.
        low: each channel's least usable value.
        high: and its greatest.
        max_ages_ns: how long each channel's value is held; None: for its round only.
        shortest_age_ns: what no older than this is held by every channel that has an age; None
            where none has.
        missing: samples in which a channel was missing, by channel name.
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

    def names(self, mask: int) -> list[str]:
        """Names of the channels in a mask."""
        return [one.name for index, one in enumerate(self._channels) if mask & 1 << index]

    def mask(self, channels: Sequence[int]) -> int:
        """The channels as a bit mask."""
        if len(channels) == 1:
            return 1 << channels[0]
        mask = 0
        for index in channels:
            mask |= 1 << index
        return mask

    def take_row(self, track: Track, time_ns: int, values: Sequence[float]) -> bool:
        """Remember the values of all channels, in order, if every one of them is usable."""
        if all(map(le, self.low, values)) and all(map(le, values, self.high)):
            track.held, track.held_ns = list(values), [time_ns] * self.width
            return True
        return False

    def take(
        self, track: Track, time_ns: int, channels: Sequence[int], values: Sequence[float]
    ) -> int:
        """Remember the usable values; returns the mask of the channels that have none."""
        low, high = self.low, self.high
        if channels == self.in_order and self.take_row(track, time_ns, values):
            return 0
        held, held_ns, unusable = track.held, track.held_ns, 0
        for index, value in zip(channels, values):  # noqa: B905 - costs 0.3 us; push has checked
            if low[index] <= value <= high[index]:
                held[index] = value
                held_ns[index] = time_ns
            else:
                unusable |= 1 << index
                track.unusable_ns[index] = time_ns
        return unusable

    def new(
        self, track: Track, time_ns: int, channels: Sequence[int], values: Sequence[float]
    ) -> tuple[Sequence[int], Sequence[float]]:
        """Those of readings, which are not the asset's newest, that are of use.

        Off the grid that is all of them. On it, what a channel reports is of no use once it has
        reported something newer, and a point that was sampled takes no more.

        Raises:
            ReadingError: none is: `duplicate`, or `late`.
        """
        if time_ns < track.last_ns or (self._is_on_grid and time_ns == track.last_ns):
            raise ReadingError("late")
        for index, value in zip(channels, values):  # noqa: B905 - as in take
            if self.low[index] <= value <= self.high[index]:
                if track.held_ns[index] != time_ns or track.held[index] != value:
                    break
            elif track.unusable_ns[index] != time_ns:
                break
        else:
            raise ReadingError("duplicate")
        if not self._is_on_grid:
            return channels, values
        return self._current(track, time_ns, channels, values)

    @staticmethod
    def _current(
        track: Track, time_ns: int, channels: Sequence[int], values: Sequence[float]
    ) -> tuple[Sequence[int], Sequence[float]]:
        held_ns, unusable_ns = track.held_ns, track.unusable_ns
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

    def sample(self, track: Track, time_ns: int) -> tuple[list[float], Quality]:
        """What is held at a time, where a value is missing or may be too old."""
        row, quality = list(track.held), Quality.GOOD
        for index, (channel, max_age_ns) in enumerate(
            zip(self._channels, self.max_ages_ns, strict=True)
        ):
            bit = 1 << index
            if max_age_ns is None:
                has_value = bool(track.usable & bit)
            else:
                has_value = time_ns - track.held_ns[index] <= max_age_ns
            if not has_value:
                row[index] = MISSING
                self.missing[channel.name] += 1
                worse = Quality.BAD if channel.missing == "require" else Quality.UNCERTAIN
                quality = max(quality, worse)
            elif track.doubtful & bit:
                quality = max(quality, Quality.UNCERTAIN)
        return row, quality
