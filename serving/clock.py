"""The time of day as the agent stamps it: it may jump forward, and never goes back.

A gateway may start in 1970 and be set right later, or be an hour ahead and be set back. Where the
system's clock jumps forward, this one follows at once. Where it is set back, this one goes on
without a step, and loses a sixteenth of the time that passes until the two agree again: an hour is
made good in sixteen, and intervals are 6 % short meanwhile. So what is measured with it is never
negative, and readings that are timed by their arrival stay in order and keep their rhythm.
"""

from collections.abc import Callable
from time import monotonic_ns, time_ns
from typing import Final

_LOSS: Final = 16


class SteadyClock:
    """Nanoseconds since 1970 that never decrease; called for the time.

    Args:
        wall_ns: the system's clock, which people and protocols set.
        monotonic_ns: one that nobody sets, and that passes at the same rate.

    Attributes:
        monotonic_ns: see above; for durations.
        ahead_ns: how far it was ahead of the system's clock when it was last called; 0 unless that
            was set back. What others say of the time is compared with the system's clock.
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
        """The time, nanoseconds since 1970."""
        wall_ns, read_ns = self._wall_ns(), self.monotonic_ns()
        passed_ns = read_ns - self._read_ns
        slowed_ns = self._steady_ns + passed_ns - passed_ns // _LOSS
        self._read_ns = read_ns
        if wall_ns >= slowed_ns:
            self.ahead_ns, self._steady_ns = 0, wall_ns
        else:
            self.ahead_ns, self._steady_ns = slowed_ns - wall_ns, slowed_ns
        return self._steady_ns
