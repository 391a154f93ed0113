"""What is remembered of one asset: plain numbers, lists and bytes, so that it can be saved.

No track refers to another, to the model, or to a clock.
"""

from typing import Any, Final, Self

NEVER: Final = -(2**62)
MISSING: Final = float("nan")

Waiting = tuple[int, tuple[int, ...], tuple[float, ...], int, tuple[Any, ...]]
"""A reading that waits to be put in order: its time, channels, values and quality, and whatever its
bringer wants back with it."""


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

    def state(self) -> tuple[Any, ...]:
        """All of it as a tuple of int, bytes, list and None that the track does not change."""
        values = (getattr(self, name) for name in self.__slots__)
        return tuple(
            list(value)
            if isinstance(value, list)
            else bytes(value)
            if isinstance(value, bytearray)
            else value
            for value in values
        )

    @classmethod
    def of(cls, state: tuple[Any, ...]) -> Self:
        """The track that said this of itself; it keeps nothing of `state` that can change."""
        track = cls(0)
        for name, value in zip(cls.__slots__, state, strict=True):
            copied = list(value) if isinstance(value, list) else value
            setattr(track, name, bytearray(value) if isinstance(value, bytes) else copied)
        return track
