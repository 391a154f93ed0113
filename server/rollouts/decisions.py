"""What a person decides about a rollout: to start, hold, resume or revert it.

A decision raises the epoch. It is written into the ledger, signed, and then noted as signed; a
controller that runs finds it there, and tells the gateways. Where the person's command is killed in
between, the controller signs what stops a rollout, and drops what would let it go on.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Final, Literal

from models.rollout.stage import MAX_REASON, Stage
from server.rollouts.documents import Documents, find
from server.rollouts.errors import DecisionError, DocumentError, FencedError
from server.rollouts.ledger import Ledger, Line
from server.rollouts.rules.decision import moment
from serving.publishing.rollouts import Rollout

Wish = Literal["hold", "resume", "revert"]
_TO: Final[dict[Wish, Literal["held", "running", "reverted"]]] = {
    "hold": "held",
    "resume": "running",
    "revert": "reverted",
}
_FROM: Final[dict[Wish, tuple[str, ...]]] = {
    "hold": ("running",),
    "resume": ("held",),
    "revert": ("running", "held", "done"),
}
_MAX_BY: Final = 128
_UNBEGUN: Final = "not started"
_ALLOWED: Final = {
    _UNBEGUN: "begin it by millhand-server rollout start {} --by NAME",
    "running": "it may be held or reverted",
    "held": "it may be resumed or reverted",
    "done": "it may be reverted; another bundle needs a new plan",
    "reverted": "it is over; sign a new plan with another id",
}
"""What a person can do, by the state of a rollout."""


class Decisions:
    """Takes the decisions of people.

    Args:
        documents: the registry.
        ledger: the ledger.
        clock: time of day.
    """

    def __init__(self, documents: Documents, ledger: Ledger, clock: Callable[[], datetime]) -> None:
        self._documents, self._ledger, self._clock = documents, ledger, clock

    def start(self, rollout: str, *, by: str, reason: str) -> Stage:
        """Begin a rollout whose plan is signed; the controller opens its steps.

        Args:
            rollout: identity of the rollout.
            by: name of the person.
            reason: why.

        Raises:
            DecisionError: there is no such plan, it lacks signatures, it was started before, or
                its deadline has passed.
            RolloutError: ledger or registry cannot be used.
        """
        found = find(self._documents, rollout)
        if found.stage is not None:
            state = found.stage.state
            raise DecisionError(
                f"rollout {rollout} was started before; it is {state}: {_ALLOWED[state]}"
            )
        if found.missing:
            raise DecisionError(
                f"the plan of rollout {rollout} lacks {found.missing} signatures: have it signed "
                "with the other targets keys first"
            )
        self._check_deadline(found)
        first = Stage(
            rollout=rollout,
            stream=found.plan.stream,
            epoch=self._ledger.epoch(rollout) + 1,
            reason=_checked("reason", reason, MAX_REASON),
            by=_checked("by", by, _MAX_BY),
            time=self._clock(),
        )
        return self._sign(first, Line.of(first, "starts"))

    def decide(self, wish: Wish, rollout: str, *, by: str, reason: str) -> Stage:
        """Hold, resume or revert a rollout.

        Args:
            wish: what to do.
            rollout: identity of the rollout.
            by: name of the person.
            reason: why.

        Raises:
            DecisionError: there is no such rollout, its state does not allow it, or a name or a
                reason is missing.
            RolloutError: ledger or registry cannot be used.
        """
        found = find(self._documents, rollout)
        stage, allowed = found.stage, _FROM[wish]
        state = stage.state if stage is not None else _UNBEGUN
        if stage is None or state not in allowed:
            raise DecisionError(
                f"rollout {rollout} is {state}; {wish} needs one that is {' or '.join(allowed)}: "
                f"{_ALLOWED[state].format(rollout)}"
            )
        if wish == "resume":
            self._check_deadline(found)
        decided = Stage.model_validate(
            {
                **stage.model_dump(),
                "epoch": max(stage.epoch, self._ledger.epoch(rollout)) + 1,
                "state": _TO[wish],
                "reason": _checked("reason", reason, MAX_REASON),
                "by": _checked("by", by, _MAX_BY),
                "time": self._clock(),
            }
        )
        return self._sign(decided, Line.of(decided, "decides"))

    def _sign(self, stage: Stage, line: Line) -> Stage:
        self._ledger.append(line)
        try:
            self._documents.write(stage)
            self._ledger.append(replace(line, what="signs"))
        except (DocumentError, FencedError):
            if not self._is_carried_out(stage):
                raise
        return stage

    def _is_carried_out(self, stage: Stage) -> bool:
        """Whether it is signed, and a controller that has begun meanwhile goes on from it."""
        signed = find(self._documents, stage.rollout).stage
        taken = self._ledger.newest(stage.rollout, "takes over")
        if signed is None or signed.epoch < stage.epoch:
            return False
        if taken is None or taken.epoch <= stage.epoch:
            return False
        said = {(one.state, one.reason) for one in (signed, taken)}
        return said == {(stage.state, stage.reason)}

    def _check_deadline(self, found: Rollout) -> None:
        if found.plan.is_over(self._clock()):
            raise DecisionError(
                f"the deadline of rollout {found.plan.id}, {moment(found.plan.deadline)}, has "
                "passed: sign a new plan that supersedes it, or revert it"
            )


def _checked(name: str, text: str, most: int) -> str:
    text = text.strip()
    if not 0 < len(text) <= most:
        raise DecisionError(f"{name} has {len(text)} characters; allowed are 1 to {most}")
    return text
