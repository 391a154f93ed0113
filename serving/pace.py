"""How many windows a model is given at once, so that no call of it takes long (ADR 28)."""


class Pace:
    """How long a model takes for a window, on this machine and as far as is known.

    Attributes:
        window_ns: nanoseconds for each window; 0 until a batch was measured. A longer time counts
            at once, a shorter one with weight 1/8.
        undisturbed_ns: nanoseconds for each window in the quicker one of the last two batches; 0
            until one was measured. Other work of the machine delays single batches, seldom two in
            a row, so that this is nearer to what the model itself takes.
    """

    def __init__(self) -> None:
        self.window_ns = self.undisturbed_ns = 0.0
        self._last_ns = 0.0

    def room(self, left_ns: float) -> int:
        """How many windows are expected to take `left_ns`; 1 as long as nothing is known."""
        return int(left_ns / self.window_ns) if self.window_ns else 1

    def note(self, windows: int, elapsed_ns: int) -> None:
        """Note that so many windows, at least one, took `elapsed_ns`."""
        measured_ns = elapsed_ns / windows
        if measured_ns > self.window_ns:
            self.window_ns = measured_ns
        else:
            self.window_ns += (measured_ns - self.window_ns) / 8
        self.undisturbed_ns = min(measured_ns, self._last_ns or measured_ns)
        self._last_ns = measured_ns
