"""The hard gate against answers far from all that the model has given in training."""

from collections import deque
from typing import Annotated, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from models.bundle.reference import Document

LEAST, GREATEST = "0", "1"
"""Names of the smallest and the largest value among the quantiles of a reference."""
_ANY: Final = (-np.inf, np.inf)


class RangeLimits(BaseModel):
    """When a candidate is said to answer beyond its range.

    Attributes:
        ranges: how far beyond, in widths of the range of its answers to held-out training windows.
        windows: number of the last windows that are looked at.
        beyond: number of those windows that must be beyond; a single one may be a sensor's spike.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    ranges: Annotated[float, Field(gt=0, le=1000)] = 1.0
    windows: Annotated[int, Field(ge=1, le=100_000)] = 60
    beyond: Annotated[int, Field(ge=1, le=1000)] = 3


class OutOfRange:
    """Counts answers of the candidate beyond its range, where the champion is within its own.

    A plant that fails drives the score of every good detector out of range. So a window does not
    count on which the champion's answer, too, is greater or less than all those of its training.

    Args:
        limits: when the candidate is beyond its range.
        champion: reference of the champion; None where it is not known.
        candidate: reference of the candidate; None where it is not known, for then none is beyond.
        scored: whether the answers are scores, which count only beside a champion that answers.
    """

    def __init__(
        self,
        limits: RangeLimits,
        champion: Document | None,
        candidate: Document | None,
        *,
        scored: bool = False,
    ) -> None:
        self._limits = limits
        self._scored = scored
        self._champion = allowed(champion, 0.0)
        self._candidate = allowed(candidate, limits.ranges)
        self._seen = 0
        self._beyond: deque[int] = deque(maxlen=limits.beyond)

    def add(self, champion: NDArray[np.float64] | None, candidate: NDArray[np.float64]) -> bool:
        """Take outputs to the same windows; return whether the candidate is out of range by now.

        Args:
            champion: outputs of the champion, `[n]`; None where it does not answer any more.
            candidate: outputs of the candidate, `[n]`.
        """
        is_beyond = _is_beyond(candidate, self._candidate)
        if champion is not None:
            is_beyond &= ~_is_beyond(champion, self._champion)
        elif self._scored:
            is_beyond[:] = False
        limits, tripped = self._limits, False
        for row in np.flatnonzero(is_beyond).tolist():
            self._beyond.append(self._seen + row)
            is_full = len(self._beyond) == limits.beyond
            tripped |= is_full and self._beyond[-1] - self._beyond[0] < limits.windows
        self._seen += len(candidate)
        return tripped


def allowed(reference: Document | None, ranges: float) -> tuple[float, float]:
    """The least and the greatest output that is not beyond; infinite where nothing is known."""
    known = {} if reference is None else reference.score.quantiles
    if LEAST not in known or GREATEST not in known or known[LEAST] == known[GREATEST]:
        return _ANY
    low, high = known[LEAST], known[GREATEST]
    margin = ranges * (high - low)
    return low - margin, high + margin


def _is_beyond(output: NDArray[np.float64], within: tuple[float, float]) -> NDArray[np.bool_]:
    return np.asarray((output < within[0]) | (output > within[1]))
