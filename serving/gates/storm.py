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
        self._champion = _Last(limits.windows)
        self._candidate = _Last(limits.windows)

    def add(self, *, champion: bool | None, candidate: bool | None) -> bool:
        """Take the answers to one window; return whether it is a storm by now.

        Args:
            champion: whether the champion has an alarm; None where it does not answer any more, for
                then its last answers go on to count.
            candidate: whether the candidate has one; None where it does not answer yet.
        """
        self._champion.add(champion)
        self._candidate.add(candidate)
        limits = self._limits
        return (
            self._champion.is_full
            and self._candidate.alarms >= limits.candidate * limits.windows
            and self._candidate.is_full
            and self._champion.alarms <= limits.champion * limits.windows
        )


class _Last:
    """Counts the alarms in the last windows."""

    def __init__(self, count: int) -> None:
        self._last: deque[bool] = deque()
        self._count = count
        self.alarms = 0

    @property
    def is_full(self) -> bool:
        return len(self._last) == self._count

    def add(self, alarm: bool | None) -> None:  # noqa: FBT001  the answer itself
        if alarm is None:
            return
        if self.is_full:
            self.alarms -= self._last.popleft()
        self._last.append(alarm)
        self.alarms += alarm
