"""Puts each asset's readings in order of event time, within an allowed lateness.

    readings as they come       wait                          windows
    10:00:02 10:00:01 10:00:04 ───► [10:00:01, :02, :04] ───► all up to the newest seen, less
                                                              `disorder_ms`

A reading waits until the newest reading of its asset is `disorder_ms` ahead of it, the allowed
lateness. Then it is released to the windows, and an older reading that arrives later is refused as
`late`, unless it is a window of its own (`Windows.answers_late`). Readings of the same time keep
the order of their arrival. As long as fewer than `max_waiting` readings wait, the order depends
only on the readings of the asset. No clock is read, so the last readings wait until a newer one
arrives.
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
    """A reading that was released to the windows.

    Attributes:
        origin: what the caller gave to `Disorder.push` with the reading.
        due: number of windows that became due by it.
        reason: reason code for which the windows have refused it; empty if they have used it.
    """

    origin: tuple[Any, ...]
    due: int
    reason: str = ""


class Disorder:
    """Readings that wait to be put in order. They are kept in the state of their asset.

    Args:
        windows: windows that take the readings in order.
        disorder_ms: allowed lateness in milliseconds: how far behind its asset's newest reading a
            reading may arrive and still be put in order.
        max_waiting: readings of all assets that may wait. Beyond, the oldest of the asset with a
            new reading is released early.

    Attributes:
        early: number of readings that were released early.
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
        """Add the readings of one message, and release those that nothing can precede any more.

        Args:
            asset: key of the asset.
            time_ns: event time of the readings, nanoseconds since 1970.
            readings: indices of the signals, their values, and quality, as for `Windows.push`.
            origin: returned with the readings when they are released. It is saved with the state
                of the asset, so it holds only what JSON can carry.

        Returns:
            The readings that were released, of this message or of earlier ones, in order.

        Raises:
            ReadingError: the message was not used. Reason `late`: it is older than the last reading
                released, and no window of its own. Reason `duplicate`: the same reading waits.
        """
        state = self._windows.state_of(asset)
        channels, values, quality = readings
        reading = (time_ns, tuple(channels), tuple(values), int(quality), origin)
        if time_ns < state.released_ns:
            if self._windows.answers_late(channels):
                return [self._release(asset, reading)]
            raise ReadingError("late")
        waiting = state.waiting
        if waiting and time_ns <= waiting[-1][0]:
            _insert(waiting, reading)
        else:
            waiting.append(reading)
        self._windows.waiting += 1
        return [self._release(asset, ripe) for ripe in self._ripe(state)]

    def _ripe(self, state: AssetState) -> list[Waiting]:
        """Remove the readings that only late ones could still precede, and return them in order."""
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
    """Insert a reading behind those that are not newer, unless the same one waits already."""
    time_ns, channels, _, _, origin = reading
    end = bisect_right(waiting, time_ns, key=_TIME)
    for simultaneous in waiting[bisect_left(waiting, time_ns, key=_TIME) : end]:
        if simultaneous[1] == channels and simultaneous[4] == origin:
            raise ReadingError("duplicate")
    waiting.insert(end, reading)
