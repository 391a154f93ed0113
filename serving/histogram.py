"""How often a quantity was how large, in plain numbers that are quick to add to."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence


class Histogram:
    """Values, counted between fixed bounds.

    Args:
        bounds: upper bounds in ascending order. A value counts for the first bound that is not
            below it, as `le` of Prometheus says.

    Attributes:
        bounds: as given.
        counts: values up to each bound and above the one before it; the last counts the rest.
        total: sum of all values.
    """

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[int]) -> None:
        self.total = 0
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)

    def add(self, value: int, times: int = 1) -> None:
        """Count a value, as often as it has come."""
        self.counts[bisect_left(self.bounds, value)] += times
        self.total += value * times

    @property
    def cumulative(self) -> Iterator[tuple[float, int]]:
        """Each bound, infinity at last, and how many values are not above it."""
        count = 0
        for bound, more in zip((*self.bounds, float("inf")), self.counts, strict=True):
            count += more
            yield bound, count
