"""What is done from time to time, beside the messages."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

TICK_S: Final = 1.0
"""Timers are looked at this often, in seconds."""


@dataclass(slots=True)
class _Timer:
    interval_s: float
    call: Callable[[], object]
    when: Callable[[], bool]
    due_s: float = 0.0


class Timers:
    """Calls that are due every so many seconds, made on the hot thread between two turns.

    Args:
        clock: monotonic seconds.

    Attributes:
        due_s: when they are to be looked at again, in seconds of the clock.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.due_s = 0.0
        self._clock = clock
        self._timers: list[_Timer] = []

    def every(
        self,
        interval_s: float,
        call: Callable[[], object],
        when: Callable[[], bool] = lambda: True,
    ) -> None:
        """Make a call every `interval_s` seconds, at most once a tick; the first one at once.

        Args:
            interval_s: seconds from one call to the next.
            call: must not block. Calls that are due together are made in the order of `every`.
            when: while it is false a call that is due waits for the next tick.
        """
        self._timers.append(_Timer(interval_s, call, when))

    def run(self) -> None:
        """Make the calls that are due."""
        now_s = self._clock()
        if now_s < self.due_s:
            return
        self.due_s = now_s + TICK_S
        for timer in self._timers:
            if now_s >= timer.due_s and timer.when():
                timer.due_s = now_s + timer.interval_s
                timer.call()
