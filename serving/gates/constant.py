"""The hard gate against a model that always answers the same, as after a damaged export."""

from typing import Annotated, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

LEAST_WINDOWS: Final = 20


class ConstantLimits(BaseModel):
    """When a candidate is said to answer always the same.

    Attributes:
        windows: number of windows in a row with one answer of the candidate.
        distinct: number of different answers that the champion has had in as many windows.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    windows: Annotated[int, Field(ge=LEAST_WINDOWS, le=100_000)] = 200
    distinct: Annotated[int, Field(ge=2, le=100_000)] = 20


class Constant:
    """Follows the outputs of two models.

    Args:
        limits: when the candidate is constant.
    """

    def __init__(self, limits: ConstantLimits) -> None:
        self._limits = limits
        self._champion = np.empty(0)
        self._last = np.nan
        self._same = 0

    def add(
        self, champion: NDArray[np.float64] | None, candidate: NDArray[np.float64] | None
    ) -> bool:
        """Take outputs of either model, or of both; return whether the candidate is constant.

        Args:
            champion: outputs of the champion, `[n]`; None where it does not answer any more, for
                then its last outputs go on to count.
            candidate: outputs of the candidate, `[n]`; None where it does not answer yet.
        """
        count = self._limits.windows
        if champion is not None:
            self._champion = np.concatenate([self._champion, champion[-count:]])[-count:]
        if candidate is not None and len(candidate):
            (changes,) = np.nonzero(np.diff(candidate, prepend=self._last))
            self._same = (
                len(candidate) - changes[-1] if len(changes) else self._same + len(candidate)
            )
            self._last = candidate[-1]
        if self._same < count:
            return False
        return len(np.unique(self._champion)) >= self._limits.distinct
