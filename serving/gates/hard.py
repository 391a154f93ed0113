"""All hard gates together: what ends a trial at once, without statistics.

They look at a candidate beside the champion, in its shadow, and after the swap, when the champion
does not answer any more: then what the champion was like before goes on to count. Answers may be
given in batches of any size; it is cheaper to collect those of a second.

    not_finite     an answer is no number, where the champion's is one
    bad_quality    an answer is BAD, where the champion's is GOOD
    constant       the answer is always the same, where the champion's was not
    out_of_range   answers are far from all that were given in training
    alarm_storm    half of the last windows are alarms, where the champion is quiet
    slow, large    the model costs more time or memory than it may

That the model raises an exception is seen by whoever runs it.
"""

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

from models.bundle.reference import Document
from serving.gates.answers import Answers
from serving.gates.constant import Constant, ConstantLimits
from serving.gates.out_of_range import OutOfRange, RangeLimits
from serving.gates.overrun import Overrun, OverrunLimits
from serving.gates.storm import Storm, StormLimits
from serving.gates.unusable import bad_where_good, not_finite

Gate = Literal[
    "not_finite", "bad_quality", "constant", "out_of_range", "alarm_storm", "slow", "large"
]


class HardLimits(BaseModel):
    """Limits of all hard gates."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    constant: ConstantLimits = ConstantLimits()
    range: RangeLimits = RangeLimits()
    storm: StormLimits = StormLimits()
    overrun: OverrunLimits = OverrunLimits()


@dataclass(frozen=True, slots=True)
class Trip:
    """A hard gate that has ended a trial.

    Attributes:
        gate: code of the gate.
        message: what was found, and what is allowed, in a sentence.
    """

    gate: Gate
    message: str


class HardGates:
    """Follows the answers of two models until a gate ends the trial.

    Args:
        limits: limits of the gates.
        champion: reference of the champion; None where it is not known.
        candidate: reference of the candidate; None where it is not known.
        scored: whether the models answer with scores, as detectors and classifiers do.

    Attributes:
        tripped: the first gate that has ended the trial; None as long as none has.
    """

    def __init__(
        self,
        limits: HardLimits,
        champion: Document | None = None,
        candidate: Document | None = None,
        *,
        scored: bool = False,
    ) -> None:
        self.tripped: Trip | None = None
        self._limits = limits
        self._constant = Constant(limits.constant)
        self._range = OutOfRange(limits.range, champion, candidate, scored=scored)
        self._storm = Storm(limits.storm)
        self._overrun = Overrun(limits.overrun)

    def before(self, champion: Answers) -> None:
        """Take answers of the champion alone, before a candidate answers."""
        self._constant.add(champion.output, None)
        for alarm in champion.alarm.tolist():
            self._storm.add(champion=alarm, candidate=None)

    def add(self, champion: Answers | None, candidate: Answers) -> Trip | None:
        """Take answers to the same windows; return the gate that has ended the trial.

        Args:
            champion: answers of the champion, `[n]`; None where it does not answer any more.
            candidate: answers of the candidate to the same windows, `[n]`.
        """
        self.tripped = self.tripped or self._found(champion, candidate)
        return self.tripped

    def took(self, champion_ms: float | None, candidate_ms: float) -> Trip | None:
        """Take how long a batch took for one window, milliseconds; return as `add` does."""
        if self._overrun.took(champion_ms, candidate_ms) and self.tripped is None:
            allowed = self._limits.overrun.latency_ms
            self.tripped = Trip(
                "slow",
                f"one window takes more than {allowed:g} ms in one of a hundred batches, the last "
                f"one {candidate_ms:.3g} ms",
            )
        return self.tripped

    def takes(self, memory_bytes: int) -> Trip | None:
        """Take the memory of the candidate, bytes; return as `add` does."""
        if self._overrun.takes(memory_bytes) and self.tripped is None:
            allowed = self._limits.overrun.memory_bytes or 0
            self.tripped = Trip(
                "large",
                f"the model takes {memory_bytes / 1e6:.0f} MB, allowed are {allowed / 1e6:.0f} MB",
            )
        return self.tripped

    def _found(self, champion: Answers | None, candidate: Answers) -> Trip | None:
        limits = self._limits
        lost, bad = not_finite(champion, candidate), bad_where_good(champion, candidate)
        is_constant = self._constant.add(
            None if champion is None else champion.output, candidate.output
        )
        is_beyond = self._range.add(None if champion is None else champion.output, candidate.output)
        is_storm = self._storms(champion, candidate)
        if lost.any():
            return Trip("not_finite", f"{lost.sum()} answers are no number")
        if bad.any():
            return Trip("bad_quality", f"{bad.sum()} answers are BAD where the champion is GOOD")
        if is_constant:
            said = f"{limits.constant.windows} windows in a row have the same answer"
            said += f", where the champion had {limits.constant.distinct} different ones or more"
            return Trip("constant", said)
        if is_beyond:
            said = f"{limits.range.beyond} of the last {limits.range.windows} answers are beyond "
            said += f"those of training by more than {limits.range.ranges:g} times their range"
            return Trip("out_of_range", said)
        if is_storm:
            said = f"{limits.storm.candidate:.0%} of the last {limits.storm.windows} windows are "
            said += f"alarms, where the champion had at most {limits.storm.champion:.0%}"
            return Trip("alarm_storm", said)
        return None

    def _storms(self, champion: Answers | None, candidate: Answers) -> bool:
        found = False
        own = candidate.alarm.tolist()
        former = [None] * len(own) if champion is None else champion.alarm.tolist()
        for before, alarm in zip(former, own, strict=True):
            found |= self._storm.add(champion=before, candidate=alarm)
        return found
