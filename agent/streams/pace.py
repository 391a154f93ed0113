"""How many windows a model is given at once, so that no call of it takes long (ADR 28)."""

from collections.abc import Sequence
from dataclasses import dataclass

from agent.streams.ordering import Origin
from agent.streams.predictor import Predictor
from models.windowing.windows import Batch


class Pace:
    """How long a model takes for a window, on this machine and as far as is known.

    Attributes:
        window_ns: nanoseconds for each window; 0 until a batch was measured. A longer time counts
            at once, a shorter one with weight 1/8.
    """

    def __init__(self) -> None:
        self.window_ns = 0.0

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


@dataclass(slots=True)
class Taken:
    """Windows that are taken out of the stream, and wait for a model.

    Attributes:
        predictor: the model that is to answer them.
        batch: the windows.
        origins: the origin of each window, in the same order.
        replayed: how many of them, from the first on, may have been answered before a crash; they
            are not counted for drift a second time.
    """

    predictor: Predictor
    batch: Batch
    origins: Sequence[Origin]
    replayed: int = 0

    def cut(self, count: int) -> tuple[Batch, Sequence[Origin]]:
        """Take out the first `count` windows, which are fewer than there are."""
        assets, times_ns, qualities, values = self.batch
        first = Batch(assets[:count], times_ns[:count], qualities[:count], values[:count])
        self.batch = Batch(assets[count:], times_ns[count:], qualities[count:], values[count:])
        origins, self.origins = self.origins[:count], self.origins[count:]
        self.replayed = max(0, self.replayed - count)
        return first, origins
