"""The hard gate against a model that costs more on this gateway than its bundle promises."""

from collections import deque
from math import ceil, log
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from serving.gates.gate import Gate

SHARE: Final = 0.99
"""Share of the windows that must be answered in time, as in the budget of a bundle."""

BLOCK: Final = 10
"""Batches of which one counts: whatever interrupts the program lasts for several."""
_SHOWN: Final = log(10_000)


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

    A gateway that is busy makes both models slow, now the one and now the other. So the candidate
    is too slow where it takes longer than it may, and is shown to do so more often than the
    champion: the first batch of a block on which one of them alone is slow counts for or against
    it, and a gateway that interrupts both equally often shows that with a probability of 1 in
    10,000 (`serving.gates.e_values.log_above`).

    Args:
        limits: what the candidate may cost.
    """

    def __init__(self, limits: OverrunLimits) -> None:
        self._limits = limits
        self._candidate: deque[float] = deque(maxlen=limits.batches)
        self._gate = Gate("rate")
        self._left = 0

    def took(self, champion_ms: float | None, candidate_ms: float) -> bool:
        """Take how long a batch took; return whether the candidate is too slow by now.

        Args:
            champion_ms: milliseconds that the champion allows for one window, a multiple of its
                own; None where it does not answer.
            candidate_ms: milliseconds of the candidate for one window.
        """
        allowed = self._limits.latency_ms
        self._candidate.append(candidate_ms)
        if allowed is None:
            return False
        self._count(champion_ms or 0.0, candidate_ms, allowed)
        if candidate_ms <= allowed or len(self._candidate) < self._limits.batches:
            return False  # the percentile only rises over the limit with a batch that is over it
        return self._gate.log_e >= _SHOWN and _percentile(self._candidate) > allowed

    def _count(self, champion_ms: float, candidate_ms: float, allowed: float) -> None:
        """Count a batch on which one of both alone is slow, once in a block."""
        if self._left:
            self._left -= 1
        elif candidate_ms > max(allowed, champion_ms):
            self._gate.hits += 1
            self._left = BLOCK - 1
        elif champion_ms > max(allowed, candidate_ms):
            self._gate.misses += 1
            self._left = BLOCK - 1

    def takes(self, memory_bytes: int) -> bool:
        """Whether the candidate takes more memory than it may."""
        allowed = self._limits.memory_bytes
        return allowed is not None and memory_bytes > allowed


def _percentile(times_ms: deque[float]) -> float:
    return sorted(times_ms)[ceil(SHARE * len(times_ms)) - 1]
