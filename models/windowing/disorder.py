"""Bounded disorder: each asset's readings are put in order of event time before windows see them.

    readings as they come       wait                          windows
    10:00:02 10:00:01 10:00:04 ───► [10:00:01, :02, :04] ───► all up to the newest seen, less
                                                              `disorder_ms`

What is let go is never overtaken: a reading from before it is late. Readings of one time keep the
order in which they came. The order depends on nothing but the readings of the asset themselves, as
long as there is room; there is no clock, so the last ones wait until a newer one comes.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from operator import itemgetter
from typing import Any, Final, NamedTuple

from models.errors import ReadingError
from models.input.quality import Quality
from models.windowing.asset_state import NS_PER_MS, AssetState, Waiting
from models.windowing.windows import Windows

_TIME: Final = itemgetter(0)


class Released(NamedTuple):
    """A reading that windows have seen.

    Attributes:
        origin: what it was brought with.
        due: how many windows it made due.
        reason: why windows have refused it; empty if they have not.
    """

    origin: tuple[Any, ...]
    due: int
    reason: str = ""


class Disorder:
    """Readings on their way into windows. What waits is kept in each asset's state.

    Args:
        windows: takes the readings in order.
        disorder_ms: how far behind the asset's newest a reading may come and be put in order.
        max_waiting: readings of all assets that may wait; beyond, the oldest of the asset that
            brings one more is let go early.

    Attributes:
        early: readings that were.
    """

    def __init__(self, windows: Windows, disorder_ms: int, max_waiting: int) -> None:
        self.early = 0
        self._windows = windows
        self._disorder_ns = disorder_ms * NS_PER_MS
        self._max_waiting = max_waiting

    def push(
        self,
        asset: str,
        time_ns: int,
        readings: tuple[Sequence[int], Sequence[float], Quality],
        origin: tuple[Any, ...],
    ) -> list[Released]:
        """Take the readings of one message, and let go those that nothing can precede any more.

        Args:
            asset: whose readings they are.
            time_ns: their event time, nanoseconds since 1970.
            readings: channels, values and quality, as `Windows.push` takes them.
            origin: what comes back with them; plain values, because they are saved with the state.

        Raises:
            ReadingError: `late` (older than what was let go) or `duplicate` (waits already).
        """
        state = self._windows.state_of(asset)
        if time_ns < state.released_ns:
            raise ReadingError("late")
        channels, values, quality = readings
        reading = (time_ns, tuple(channels), tuple(values), int(quality), origin)
        waiting = state.waiting
        if waiting and time_ns <= waiting[-1][0]:
            _insert(waiting, reading)
        else:
            waiting.append(reading)
        self._windows.waiting += 1
        return [self._release(asset, one) for one in self._ripe(state)]

    def _ripe(self, state: AssetState) -> list[Waiting]:
        """Take out what nothing that is not late can precede."""
        waiting = state.waiting
        count = bisect_right(waiting, waiting[-1][0] - self._disorder_ns, key=_TIME)
        if not count and self._windows.waiting > self._max_waiting:
            count = 1
            self.early += 1
        if not count:
            return []
        ripe = waiting[:count]
        del waiting[:count]
        self._windows.waiting -= count
        state.released_ns = ripe[-1][0]
        return ripe

    def _release(self, asset: str, reading: Waiting) -> Released:
        time_ns, channels, values, quality, origin = reading
        try:
            due = self._windows.push(asset, time_ns, channels, values, Quality(quality))
        except ReadingError as exc:
            return Released(origin, 0, exc.reason)
        return Released(origin, due)


def _insert(waiting: list[Waiting], reading: Waiting) -> None:
    """Put a reading behind those that are not newer, unless it is among those of its time."""
    time_ns, channels, _, _, origin = reading
    end = bisect_right(waiting, time_ns, key=_TIME)
    for one in waiting[bisect_left(waiting, time_ns, key=_TIME) : end]:
        if one[1] == channels and one[4] == origin:
            raise ReadingError("duplicate")
    waiting.insert(end, reading)
