"""The time that models in the shadow may take, so that those that serve keep the rest."""

from collections.abc import Callable

from serving.pace import Pace


class SpareTime:
    """A share of all time, of which no more is saved up than that of one turn.

    So a candidate answers every window while the line is quiet, and under load as many as its share
    allows.

    Args:
        share: seconds that candidates may take in each second, all together; above 0, below 1.
        turn_s: seconds that a turn of the hot loop may take.
        clock: monotonic nanoseconds.
    """

    def __init__(self, share: float, turn_s: float, clock: Callable[[], int]) -> None:
        self._share, self._most_ns = share, share * turn_s * 1e9
        self._clock = clock
        self._saved_ns, self._at_ns = self._most_ns, clock()

    def room(self, pace: Pace) -> int:
        """How many windows a model may be given now.

        Where one window takes longer than can be saved, one is given as soon as that much is.

        Args:
            pace: how long the model takes for a window.
        """
        now_ns = self._clock()
        saved_ns = self._saved_ns + (now_ns - self._at_ns) * self._share
        self._saved_ns, self._at_ns = min(saved_ns, self._most_ns), now_ns
        if self._saved_ns >= self._most_ns:
            return max(1, pace.room(self._saved_ns))
        return pace.room(self._saved_ns) if self._saved_ns > 0 else 0

    def spend(self, elapsed_ns: int) -> None:
        """Note that a candidate has computed for so long."""
        self._saved_ns -= elapsed_ns
