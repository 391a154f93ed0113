"""The hard gate against a storm of alarms: in half of the last windows, with a quiet champion."""

from collections import deque
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(gt=0, lt=1)]
LEAST_WINDOWS: Final = 60


class StormLimits(BaseModel):
    """When alarms of a candidate are a storm.

    Attributes:
        windows: number of the last windows that are looked at; those of two blocks, since a single
            disturbance of a slow plant lasts for many windows. With one block, 3 % of harmless
            candidates were stopped within 24 hours, with two none of 200 (ADR 62).
        candidate: share of them with an alarm of the candidate, from which on it is a storm.
        champion: share of them with an alarm of the champion, up to which it is one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    windows: Annotated[int, Field(ge=LEAST_WINDOWS, le=1_000_000)] = LEAST_WINDOWS
    candidate: Share = 0.5
    champion: Share = 0.05


class Storm:
    """Follows the alarms of two models on the same windows.

    Args:
        limits: when it is a storm.
    """

    def __init__(self, limits: StormLimits) -> None:
        self._limits = limits
        self._last: deque[tuple[bool, bool]] = deque()
        self._champion = self._candidate = 0

    def add(self, *, champion: bool, candidate: bool) -> bool:
        """Take the answers to one window; return whether it is a storm by now."""
        self._last.append((champion, candidate))
        self._champion += champion
        self._candidate += candidate
        if len(self._last) > self._limits.windows:
            gone, went = self._last.popleft()
            self._champion -= gone
            self._candidate -= went
        count = self._limits.windows
        return (
            len(self._last) == count
            and self._candidate >= self._limits.candidate * count
            and self._champion <= self._limits.champion * count
        )
