"""The course of a comparison: a few answers of both models to the same windows, to be drawn."""

from collections.abc import Iterator
from math import isfinite

import numpy as np
from numpy.typing import NDArray

Point = tuple[int, float, float]
"""Milliseconds since 1970 of a window's end, the champion's answer, and the candidate's."""


class Course:
    """Keeps answers that are evenly chosen from all windows, however many there are.

    Every window is kept at first. Whenever there are too many, every second one goes, and of the
    windows to come half as many are kept.

    Args:
        most: answers that are kept at most; 0 keeps none.

    Attributes:
        points: those that are kept, in the order of their windows.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._seen, self._every = 0, 1
        self.points: list[Point] = []

    def add(
        self,
        at_ms: NDArray[np.int64],
        champion: NDArray[np.float64],
        candidate: NDArray[np.float64],
    ) -> None:
        """Take answers to the same windows, `[n]` each, in order; NaN is none."""
        if not self._most:
            return
        for index in self._chosen(len(at_ms)):
            first, second = float(champion[index]), float(candidate[index])
            if isfinite(first) and isfinite(second):
                self.points.append((int(at_ms[index]), _short(first), _short(second)))
        while len(self.points) > self._most:
            self.points = self.points[::2]
            self._every *= 2

    def _chosen(self, count: int) -> Iterator[int]:
        """The places of the windows to keep among the next ones."""
        yield from range(-self._seen % self._every, count, self._every)
        self._seen += count


def _short(number: float) -> float:
    """A number with as many digits as a drawing can show."""
    return float(f"{number:.5g}")
