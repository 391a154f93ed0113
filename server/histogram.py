"""How often a quantity was how large, in plain numbers that are quick to add to."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence


class Histogram:
    """Values, counted between fixed bounds.

    Args:
        bounds: upper bounds in ascending order. A value counts for the first bound that is not
            below it, as `le` of Prometheus says.

    Attributes:
        total: sum of all values.
    """

    __slots__ = ("_bounds", "_counts", "total")

    def __init__(self, bounds: Sequence[int]) -> None:
        self.total = 0
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)

    def add(self, value: int) -> None:
        """Count a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self.total += value

    @property
    def cumulative(self) -> Iterator[tuple[float, int]]:
        """Each bound, infinity at last, and how many values are not above it."""
        count = 0
        for bound, more in zip((*self._bounds, float("inf")), self._counts, strict=True):
            count += more
            yield bound, count
