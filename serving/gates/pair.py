"""Compares all that two models answer to the same windows, whatever their task.

What disagrees is an alarm, a class, or a number that is apart by more than the champion's errors
explain. Beside that it is counted which of the models finds the present more unusual among what it
was trained on, and on request whether the candidate is slow.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.errors import IncompatibleBundleError
from serving.gates.answers import Answers
from serving.gates.comparing import Comparing
from serving.gates.evidence import Evidence, Limits, percent
from serving.gates.profile import Profile
from serving.gates.votes import Votes, latency_votes, rank_votes

_TWO: Final = 2


class Pair:
    """Counts blocks in which two models agree, by gate.

    Args:
        limits: how long a block is, and when a candidate is shown to be worse.
        champion: profile of the champion.
        candidate: profile of the candidate.
        timed: whether `add` is told how long the models took.

    Raises:
        IncompatibleBundleError: the models have different tasks.
    """

    def __init__(
        self, limits: Limits, champion: Profile, candidate: Profile, *, timed: bool = False
    ) -> None:
        if champion.task != candidate.task:
            raise IncompatibleBundleError(
                f"a candidate whose task is {candidate.task} cannot be compared with a champion "
                f"whose task is {champion.task}: they answer different questions; give it a stream "
                "of its own"
            )
        self._limits = limits
        self._champion, self._candidate = champion, candidate
        ranked = len(champion.quantiles) > 0 and len(candidate.quantiles) > 0
        self._further = (*(["rank"] if ranked else []), *(["latency"] if timed else []))
        self._is_alarm = bool(champion.alarms) and len(champion.classes) <= _TWO
        self._index = np.array([_place(name, champion.classes) for name in candidate.classes])
        self._comparing = Comparing(limits, directed=self._is_alarm, further=self._further)

    @property
    def doubt(self) -> str:
        """Why the candidate can hardly be shown to be no worse, in words; empty if it can.

        Two models disagree in at least as large a share of the windows as their shares of alarms
        differ by. In training these shares are known before anything is compared.
        """
        former, own = self._champion.alarm_share, self._candidate.alarm_share
        allowed = self._limits.disagreement
        if former is None or own is None or abs(own - former) <= allowed:
            return ""
        return (
            f"in training the candidate had an alarm in {percent(own)} of the windows, the "
            f"champion in {percent(former)}: they will disagree in {percent(abs(own - former))} at "
            f"least, limit {percent(allowed)}"
        )

    @property
    def evidence(self) -> Evidence:
        """What was counted."""
        return self._comparing.evidence

    def add(
        self,
        at_ms: NDArray[np.int64],
        champion: Answers,
        candidate: Answers,
        took_ms: tuple[float, float] | None = None,
    ) -> None:
        """Take answers of both models to the same windows, in the order in which they were made.

        Args:
            at_ms: time of each window's end, milliseconds since 1970, `[n]`.
            champion: answers of the champion, `[n]`.
            candidate: answers of the candidate, `[n]`.
            took_ms: milliseconds for one window that champion and candidate took; None if unknown.
        """
        votes: dict[str, Votes] = {}
        if "rank" in self._further:
            votes["rank"] = rank_votes(
                self._champion.ranks(champion.output),
                self._candidate.ranks(candidate.output),
                upward=self._is_alarm,
            )
        if "latency" in self._further and took_ms is not None:
            votes["latency"] = latency_votes(
                *took_ms,
                len(at_ms),
                times=self._limits.times_slower,
                allowed_ms=self._candidate.latency_ms,
            )
        self._comparing.add(at_ms, *self._sides(champion, candidate), votes)

    def _sides(
        self, champion: Answers, candidate: Answers
    ) -> tuple[NDArray[np.int64] | NDArray[np.bool_], NDArray[np.int64] | NDArray[np.bool_]]:
        """What both models say; they disagree where it differs."""
        if self._is_alarm:
            return champion.alarm, candidate.alarm
        if self._champion.classes:
            return champion.value.astype(np.int64), self._index[candidate.value.astype(np.int64)]
        difference = candidate.value - champion.value
        tolerance = self._champion.tolerance
        # One that is no number where the other one is disagrees as well.
        is_apart = ~(np.abs(difference) <= tolerance)
        is_apart &= np.isfinite(champion.value) | np.isfinite(candidate.value)
        return np.zeros(len(is_apart), dtype=np.bool_), is_apart


def _place(name: str, classes: tuple[str, ...]) -> int:
    """Index of a class of the candidate among those of the champion; -1 for one that is new."""
    return classes.index(name) if name in classes else -1
