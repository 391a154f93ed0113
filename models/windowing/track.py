"""What is remembered of one asset: plain numbers, lists and bytes, so that it can be saved.

No track refers to another, to the model, or to a clock.
"""

from binascii import a2b_base64, b2a_base64
from collections.abc import Sequence
from typing import Any, Final, Self

NEVER: Final = -(2**62)
MISSING: Final = float("nan")

Waiting = tuple[int, tuple[int, ...], tuple[float, ...], int, tuple[Any, ...]]
"""A reading that waits to be put in order: its time, channels, values and quality, and whatever its
bringer wants back with it, as far as JSON can carry that."""


class Track:
    """State of one asset. Sets of channels are bit masks, `1 << index`.

    Args:
        width: how many channels there are.

    Attributes:
        reported: channels of the round, with a usable value or without.
        usable: those of them with one.
        doubtful: channels whose held value, or a report since, was not GOOD.
        held: each channel's last usable value.
        held_ns: and its time.
        unusable_ns: time of each channel's last report without one.
        newest_ns: of the newest reading.
        last_ns: of the last sample; with the trigger `period` the last point of the grid, sampled
            or from before the first sample.
        count: samples since the last gap.
        samples: the last `length` ever, float32.
        uncertain_at: count at the last sample that was UNCERTAIN.
        bad_at: count at the last sample that was BAD.
        waiting: readings that wait to be put in order, by time.
        released_ns: time of the newest reading that was let go from there.
    """

    __slots__ = (
        "bad_at",
        "count",
        "doubtful",
        "held",
        "held_ns",
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
        self.waiting: list[Waiting] = []

    def state(self) -> list[Any]:
        """All of it as JSON can carry it: masks in hex, samples in base64, NaN as null."""
        masks = [f"{mask:x}" for mask in (self.reported, self.usable, self.doubtful)]
        times = [self.newest_ns, self.last_ns, self.released_ns]
        counts = [self.count, self.uncertain_at, self.bad_at]
        held = [list(self.held), list(self.held_ns), list(self.unusable_ns)]
        samples = b2a_base64(self.samples, newline=False).decode()
        return [*masks, *times, *counts, *held, samples, list(self.waiting)]

    @classmethod
    def of(cls, state: Sequence[Any]) -> Self:
        """The track that said this of itself, also where it has been JSON in between."""
        track = cls(0)
        track.reported, track.usable, track.doubtful = (int(mask, 16) for mask in state[:3])
        track.newest_ns, track.last_ns, track.released_ns = state[3:6]
        track.count, track.uncertain_at, track.bad_at = state[6:9]
        track.held = [MISSING if value is None else value for value in state[9]]
        track.held_ns, track.unusable_ns = list(state[10]), list(state[11])
        track.samples = bytearray(a2b_base64(state[12]))
        track.waiting = [_waiting(*reading) for reading in state[13]]
        return track


def _waiting(
    time_ns: int,
    channels: Sequence[int],
    values: Sequence[float | None],
    quality: int,
    origin: Sequence[Any],
) -> Waiting:
    """A reading that waits, as it was before it became JSON."""
    numbers = tuple(MISSING if value is None else value for value in values)
    return time_ns, tuple(channels), numbers, quality, tuple(origin)
