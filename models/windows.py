"""Timed readings in, windows out: the one piece of code that training and serving share.

    readings of an asset        samples                      windows
    pressure 10:00:00.0  ┐
    flow     10:00:00.1  ├──►  [pressure, flow, current]  ┐
    current  10:00:00.1  ┘     at 10:00:00.1              ├──►  [length, channels]
    pressure 10:00:01.0  ┐                                │     once `length` samples are there,
    ...                  ┴──►  ...                        ┘     then one each `hop` samples

The readings since the last sample are a round. A round becomes a sample when every channel has
reported (a JSON row: at once), and unfinished when a channel reports again or a gap has passed: a
dead sensor delays a sample, it never stops them. With the trigger `every_reading` each message is a
round of its own. The sample has the time of the newest reading so far. A channel contributes the
value it reported in the round, or, where it has a `max_age_ms`, its last value while that is no
older; otherwise it is missing (NaN). A reading without a usable value (NaN, out of range, BAD) has
reported, and replaces nothing; but a value that is held after its source has said UNCERTAIN or BAD
is UNCERTAIN.

Time is event time and comes with the readings; there is no clock, no I/O and no dependency but
NumPy here, so that replaying history gives exactly what the gateway will see.
"""

import struct
from collections import Counter, OrderedDict
from collections.abc import Sequence
from operator import le
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.errors import ReadingError
from models.manifest import Channel, WindowSpec
from models.quality import Quality

NS_PER_MS: Final = 1_000_000
_FLOAT32_MAX: Final = float(np.finfo(np.float32).max)
_NEVER: Final = -(2**62)
_UNBOUNDED: Final = 2**63
_MISSING: Final = float("nan")
_GOOD, _UNCERTAIN, _BAD = Quality  # a member's lookup costs 0.1 us in Python 3.11


class Batch(NamedTuple):
    """Windows that are due, in the order in which they became so.

    Attributes:
        assets: whose window it is, `[n]`.
        times_ns: event time of each window's last sample, nanoseconds since 1970, `[n]`.
        qualities: the worst of each window's samples, `[n]`.
        values: float32 `[n, length, channels]` in engineering units, NaN = missing.
    """

    assets: list[str]
    times_ns: list[int]
    qualities: list[Quality]
    values: NDArray[np.float32]


class _Track:
    """What is remembered of one asset. Sets of channels are bit masks, `1 << index`."""

    __slots__ = (
        "bad_at",
        "count",
        "doubtful",
        "held",
        "held_ns",
        "last_ns",
        "newest_ns",
        "reported",
        "samples",
        "uncertain_at",
        "unusable_ns",
        "usable",
    )

    def __init__(self, width: int) -> None:
        self.reported = 0  # channels of the round, with a usable value or without
        self.usable = 0  # those of them with one
        self.doubtful = 0  # channels whose held value, or a report since, was not GOOD
        self.held = [_MISSING] * width  # last usable value
        self.held_ns = [_NEVER] * width  # and its time
        self.unusable_ns = [_NEVER] * width  # time of the last report without one
        self.newest_ns = _NEVER  # newest reading
        self.last_ns = _NEVER  # last sample
        self.count = 0  # samples since the last gap
        self.samples = bytearray()  # the last `length` ever, float32
        self.uncertain_at = self.bad_at = 0  # count at the last such sample


class Windows:
    """Windows of many assets, none of which ever sees another's readings.

    Args:
        spec: length and hop in samples, and the gap that restarts a window.
        channels: the model's inputs, in the order of the last axis.
        max_assets: beyond, the asset that was heard of least recently is forgotten.

    Attributes:
        forgotten: how many assets were; one that comes back begins anew.
        missing: samples in which a channel was missing, by channel name.
        restarts: windows that began anew because of a gap.
    """

    def __init__(
        self, spec: WindowSpec, channels: Sequence[Channel], max_assets: int = 10_000
    ) -> None:
        self.spec = spec
        self.channels = tuple(channels)
        self.missing: Counter[str] = Counter()
        self.restarts = self.forgotten = 0
        self._max_assets = max_assets
        self._tracks: OrderedDict[str, _Track] = OrderedDict()  # least recently heard of first
        self._width = len(channels)
        self._bits = [1 << index for index in range(len(channels))]
        self._all = (1 << len(channels)) - 1
        ranges = [channel.valid_range or (-_FLOAT32_MAX, _FLOAT32_MAX) for channel in channels]
        self._in_order = tuple(range(len(channels)))
        self._low = [max(low, -_FLOAT32_MAX) for low, _ in ranges]
        self._high = [min(high, _FLOAT32_MAX) for _, high in ranges]
        self._max_ages_ns = [
            None if channel.max_age_ms is None else channel.max_age_ms * NS_PER_MS
            for channel in channels
        ]
        self._ages = any(age is not None for age in self._max_ages_ns)
        self._max_gap_ns = spec.max_gap_ms * NS_PER_MS if spec.max_gap_ms else _UNBOUNDED
        self._sample = struct.Struct(f"{len(channels)}f")
        self._is_each_a_sample = spec.trigger == "every_reading"
        self._length, self._hop = spec.length, spec.hop
        self._window_bytes = spec.length * self._sample.size
        self._due: list[tuple[str, int, Quality, bytes]] = []

    def __len__(self) -> int:
        """How many assets are remembered."""
        return len(self._tracks)

    @property
    def due(self) -> int:
        """How many windows wait to be taken."""
        return len(self._due)

    def push(
        self,
        asset: str,
        time_ns: int,
        channels: Sequence[int],
        values: Sequence[float],
        quality: Quality = Quality.GOOD,
    ) -> int:
        """Take the readings of one message.

        Args:
            asset: whose readings they are.
            time_ns: their event time, nanoseconds since 1970.
            channels: which channels report, by index; at least one, each at most once.
            values: one a channel; NaN says "reported, but has no value".
            quality: of the readings; those of a BAD one have no usable value.

        Returns:
            How many windows became due through it (0, 1 or 2); `take` hands them over.

        Raises:
            ReadingError: the message was not used: `late` (older than the asset's last sample) or
                `duplicate` (every reading as the channel had it at that time already).
            ValueError: not as many values as channels.
        """
        if len(channels) != len(values):
            raise ValueError(f"{len(channels)} channels report {len(values)} values")
        track = self._tracks.get(asset) or self._open(asset)
        self._tracks.move_to_end(asset)
        if quality is _BAD:
            values = [_MISSING] * len(channels)
        is_newest = time_ns > track.newest_ns
        if not is_newest:
            self._check_fresh(track, time_ns, channels, values)
        waiting = len(self._due)
        reports = self._all if len(channels) == self._width else self._mask(channels)
        if track.reported and (
            track.reported & reports or time_ns - track.newest_ns > self._max_gap_ns
        ):
            self._complete(asset, track)
        usable = reports ^ self._hold(track, time_ns, channels, values)
        track.reported |= reports
        track.usable |= usable
        if quality is not _GOOD:
            track.doubtful |= reports
        elif track.doubtful:
            track.doubtful &= ~usable
        if is_newest:
            track.newest_ns = time_ns
        if track.reported == self._all or self._is_each_a_sample:
            self._complete(asset, track)
        return len(self._due) - waiting

    def take(self) -> Batch:
        """Hand over the windows that are due, as one batch the caller owns."""
        due, self._due = self._due, []
        shape = (len(due), self._length, self._width)
        values = np.ndarray(shape, np.float32, bytearray().join([window for *_, window in due]))
        return Batch(
            assets=[asset for asset, *_ in due],
            times_ns=[time_ns for _, time_ns, *_ in due],
            qualities=[quality for _, _, quality, _ in due],
            values=values,
        )

    def awaited(self, asset: str) -> list[str]:
        """Channels that the asset's round still waits for; none where no round is under way."""
        track = self._tracks.get(asset)
        if track is None or not track.reported:
            return []
        return [
            channel.name
            for channel, bit in zip(self.channels, self._bits, strict=True)
            if not track.reported & bit
        ]

    def _open(self, asset: str) -> _Track:
        if len(self._tracks) >= self._max_assets:
            self._tracks.popitem(last=False)
            self.forgotten += 1
        track = self._tracks[asset] = _Track(len(self.channels))
        return track

    def _mask(self, channels: Sequence[int]) -> int:
        mask = 0
        for index in channels:
            mask |= self._bits[index]
        return mask

    def _hold(
        self, track: _Track, time_ns: int, channels: Sequence[int], values: Sequence[float]
    ) -> int:
        """Remember the usable values; returns the channels that have none."""
        low, high = self._low, self._high
        every = channels == self._in_order
        if every and all(map(le, low, values)) and all(map(le, values, high)):
            track.held, track.held_ns = list(values), [time_ns] * self._width
            return 0
        held, held_ns, unusable = track.held, track.held_ns, 0
        for index, value in zip(channels, values):  # noqa: B905 - costs 0.3 us; push has checked
            if low[index] <= value <= high[index]:
                held[index] = value
                held_ns[index] = time_ns
            else:
                unusable |= self._bits[index]
                track.unusable_ns[index] = time_ns
        return unusable

    def _check_fresh(
        self, track: _Track, time_ns: int, channels: Sequence[int], values: Sequence[float]
    ) -> None:
        """Refuse readings that are late or a repetition."""
        if time_ns < track.last_ns:
            raise ReadingError("late")
        for index, value in zip(channels, values, strict=True):
            if self._low[index] <= value <= self._high[index]:
                if track.held_ns[index] != time_ns or track.held[index] != value:
                    return
            elif track.unusable_ns[index] != time_ns:
                return
        raise ReadingError("duplicate")

    def _complete(self, asset: str, track: _Track) -> None:
        """Close the round: one sample more, and with it perhaps a window."""
        time_ns = track.newest_ns
        if track.usable != self._all or (self._ages and min(track.held_ns) < time_ns):
            row, quality = self._fill(track)
        else:
            row, quality = track.held, _UNCERTAIN if track.doubtful else _GOOD
        if track.count and time_ns - track.last_ns > self._max_gap_ns:
            track.count = track.uncertain_at = track.bad_at = 0
            self.restarts += 1
        track.reported = track.usable = 0
        track.last_ns = time_ns
        track.count += 1
        track.samples += self._sample.pack(*row)
        if len(track.samples) > self._window_bytes:
            del track.samples[: self._sample.size]
        if quality is _UNCERTAIN:
            track.uncertain_at = track.count
        elif quality is _BAD:
            track.bad_at = track.count
        before = track.count - self._length
        if before >= 0 and before % self._hop == 0:
            worst = _UNCERTAIN if track.uncertain_at > before else _GOOD
            worst = _BAD if track.bad_at > before else worst
            self._due.append((asset, time_ns, worst, bytes(track.samples)))

    def _fill(self, track: _Track) -> tuple[list[float], Quality]:
        """The sample of a round in which a value is missing or may be too old."""
        row, quality = list(track.held), _GOOD
        for index, (channel, max_age_ns) in enumerate(
            zip(self.channels, self._max_ages_ns, strict=True)
        ):
            bit = self._bits[index]
            if max_age_ns is None:
                has_value = bool(track.usable & bit)
            else:
                has_value = track.newest_ns - track.held_ns[index] <= max_age_ns
            if not has_value:
                row[index] = _MISSING
                self.missing[channel.name] += 1
                worse = _BAD if channel.missing == "require" else _UNCERTAIN
                quality = max(quality, worse)
            elif track.doubtful & bit:
                quality = max(quality, _UNCERTAIN)
        return row, quality
