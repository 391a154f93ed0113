"""Windows that are taken out of a stream, and wait for a model."""

from collections.abc import Sequence
from dataclasses import dataclass

from agent.streams.ordering import Origin
from agent.streams.predictor import Predictor
from models.windowing.windows import Batch


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
