"""The time of day for time stamps: it may jump forward, but it never goes back.

A gateway without a battery may start in 1970 and be set right later, or be an hour ahead and be set
back. Where the system's clock jumps forward, this clock follows at once. Where the system's clock
is set back, this one goes on, but loses a sixteenth of the time that passes until the two agree: an
hour is caught up in sixteen hours, and intervals are 6 % too short meanwhile. So no interval is
negative, and readings whose event time is their arrival stay in order and at an even distance.
"""

from collections.abc import Callable
from time import monotonic_ns, time_ns
from typing import Final

_LOSS: Final = 16


class SteadyClock:
    """A clock of nanoseconds since 1970 that never decrease; call it for the time.

    It is not safe for several threads at once.

    Args:
        wall_ns: the system's clock in nanoseconds since 1970, which people and NTP set.
        monotonic_ns: a clock in nanoseconds that nobody sets (CLOCK_MONOTONIC).

    Attributes:
        monotonic_ns: the monotonic clock, for durations.
        ahead_ns: nanoseconds by which this clock was ahead of the system's at its last call; 0
            unless that was set back. Times of other machines have to be compared with the system's
            clock, so subtract it first.
    """

    def __init__(
        self,
        wall_ns: Callable[[], int] = time_ns,
        monotonic_ns: Callable[[], int] = monotonic_ns,
    ) -> None:
        self.ahead_ns = 0
        self._wall_ns = wall_ns
        self.monotonic_ns = monotonic_ns
        self._steady_ns = wall_ns()
        self._read_ns = monotonic_ns()

    def __call__(self) -> int:
        """The time in nanoseconds since 1970, not less than at the call before."""
        wall_ns, read_ns = self._wall_ns(), self.monotonic_ns()
        passed_ns = read_ns - self._read_ns
        slowed_ns = self._steady_ns + passed_ns - passed_ns // _LOSS
        self._read_ns = read_ns
        if wall_ns >= slowed_ns:
            self.ahead_ns, self._steady_ns = 0, wall_ns
        else:
            self.ahead_ns, self._steady_ns = slowed_ns - wall_ns, slowed_ns
        return self._steady_ns
