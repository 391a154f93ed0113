"""The hard gate against a model that costs more on this gateway than its bundle promises."""

from collections import deque
from math import ceil
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

SHARE: Final = 0.99
"""Share of the windows that must be answered in time, as in the budget of a bundle."""


class OverrunLimits(BaseModel):
    """What a candidate may cost.

    Attributes:
        latency_ms: 99th percentile of the time for one window, milliseconds; None for any.
        memory_bytes: bytes that it may take; None for any.
        batches: number of the last batches of which the percentile is taken.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    latency_ms: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    memory_bytes: Annotated[int, Field(gt=0)] | None = None
    batches: Annotated[int, Field(ge=100, le=10_000)] = 200


class Overrun:
    """Follows the time and the memory that the candidate takes, and the time of the champion.

    A gateway that is busy makes both models slow. So a candidate that is slower than it may be does
    not count as slow while the champion takes as long.

    Args:
        limits: what the candidate may cost.
    """

    def __init__(self, limits: OverrunLimits) -> None:
        self._limits = limits
        self._champion: deque[float] = deque(maxlen=limits.batches)
        self._candidate: deque[float] = deque(maxlen=limits.batches)

    def took(self, champion_ms: float | None, candidate_ms: float) -> bool:
        """Take how long a batch took; return whether the candidate is too slow by now.

        Args:
            champion_ms: milliseconds of the champion for one window; None where it does not answer.
            candidate_ms: milliseconds of the candidate for one window.
        """
        allowed = self._limits.latency_ms
        if champion_ms is not None:
            self._champion.append(champion_ms)
        self._candidate.append(candidate_ms)
        if (
            allowed is None
            or candidate_ms <= allowed
            or len(self._candidate) < self._limits.batches
        ):
            return False  # the percentile only rises over the limit with a batch that is over it
        own = _percentile(self._candidate)
        is_busy = bool(self._champion) and _percentile(self._champion) >= own
        return own > allowed and not is_busy

    def takes(self, memory_bytes: int) -> bool:
        """Whether the candidate takes more memory than it may."""
        allowed = self._limits.memory_bytes
        return allowed is not None and memory_bytes > allowed


def _percentile(times_ms: deque[float]) -> float:
    return sorted(times_ms)[ceil(SHARE * len(times_ms)) - 1]
