"""The controller of rollouts: opens their steps, and tells gateways that there is a newer stage.

It may be killed anywhere. Everything that it knows is in the signed documents, in the ledger, and
in what gateways have said; it decides nothing that a gateway could not check. Of two controllers
one is heard: each begins by raising the epoch, and one whose epoch is not the newest stands down
until it is started anew.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Literal, Protocol

from models.control.documents import Desired
from models.control.rollout import RolloutHint
from models.rollout.plan import Plan
from models.rollout.stage import MAX_REASON, Stage
from server.rollouts.documents import Documents
from server.rollouts.errors import DamagedLedgerError, DocumentError, FencedError, LedgerError
from server.rollouts.ledger import Ledger, Line
from server.rollouts.rules.decision import Decision
from server.rollouts.rules.fleet import FleetView
from server.rollouts.rules.step import step
from serving.publishing.rollouts import Rollout

SUPERSEDED: Final = "superseded"
"""State of a rollout in the ledger whose place another one has taken."""
GRACE: Final = timedelta(seconds=30)
"""How long the command of a person may take between a decision and its signature."""
_STOPS: Final = frozenset({"held", "reverted"})
_MAX_GATEWAYS: Final = 20
"""Gateways that a line of the ledger names at most."""
_MOST_AHEAD: Final = 1_000_000
"""Epochs by which a gateway is believed to be ahead; a false one must not use them all up."""


class Hints(Protocol):
    """The broker, as far as a controller may write there."""

    def publish(self, gateway: str, desired: Desired) -> None:
        """Publish the retained `desired` of a gateway; one that is lost is published again."""


class Fleet(Protocol):
    """What gateways have said."""

    def view(self, stream: str) -> FleetView:
        """The gateways of a stream."""


@dataclass(slots=True)
class Followed:
    """A rollout that the controller follows.

    Attributes:
        epoch: the newest epoch that is ours, or a person's.
        settled: since when enough gateways of the open group serve; None while they do not.
        noted: what the ledger says of the wait.
        decision: what was decided last; None before.
        trouble: why nothing is decided; empty if nothing is wrong.
        is_ours: whether no other controller has taken over.
    """

    epoch: int
    settled: datetime | None = None
    noted: tuple[object, ...] = ()
    decision: Decision | None = None
    trouble: str = ""
    is_ours: bool = True


class Controller:
    """Opens steps of rollouts, one turn after the other. One thread owns it.

    Args:
        documents: the registry.
        ledger: the ledger.
        hints: tells the gateways.
        name: name of the controller, which stands in the stages that it signs.
        run: tells this run of the controller from every other.

    Attributes:
        followed: the rollouts that it follows, by their identity.
        trouble: why no rollout can be followed; empty if nothing is wrong.
        is_damaged: whether the ledger has proved to be damaged, so that nothing more is decided.
    """

    def __init__(
        self, documents: Documents, ledger: Ledger, hints: Hints, *, name: str, run: str
    ) -> None:
        self._documents, self._ledger, self._hints = documents, ledger, hints
        self._name, self._run = f"controller {name}", run
        self.followed: dict[str, Followed] = {}
        self.trouble = ""
        self.is_damaged = False

    def turn(self, fleet: Fleet, now: datetime) -> None:
        """Look at every rollout, and do what is due.

        Args:
            fleet: what gateways have said.
            now: time of day.
        """
        try:
            rollouts = [one for one in self._documents.rollouts() if one.stage is not None]
        except DocumentError as exc:
            self.trouble = str(exc)
            return
        self.trouble = ""
        gone = self.followed.keys() - {one.plan.id for one in rollouts}
        for rollout in gone:  # superseded: the registry has one plan a stream
            del self.followed[rollout]
        for one in rollouts:
            self._follow(one, fleet.view(one.plan.stream), now)

    def _follow(self, rollout: Rollout, view: FleetView, now: datetime) -> None:
        followed = self.followed.setdefault(rollout.plan.id, Followed(epoch=-1))
        if not followed.is_ours or rollout.stage is None:
            return
        try:
            stage = self._ours(followed, rollout.plan, rollout.stage, view, now)
            if stage is None:
                if followed.is_ours and followed.epoch >= 0:
                    tell(self._hints, rollout.plan, rollout.stage, view)  # a hold must not wait
                return
            followed.trouble = ""
            self._note_superseded(rollout.plan, stage, now)
            decision = step(rollout.plan, stage, followed.settled, view, now)
            stage = self._carry_out(followed, stage, decision, now)
        except FencedError as exc:
            followed.trouble = str(exc)
        except (LedgerError, DocumentError) as exc:
            followed.trouble = f"nothing is opened: {exc}"
            self.is_damaged |= isinstance(exc, DamagedLedgerError)
        else:
            tell(self._hints, rollout.plan, stage, view)

    def _note_superseded(self, plan: Plan, stage: Stage, now: datetime) -> None:
        """Write into the ledger, once, that another rollout has ended because of this one."""
        former = self._ledger.newest(plan.supersedes) if plan.supersedes else None
        if former is None or former.state == SUPERSEDED:
            return
        new = replace(Line.of(stage, "notes", self._run), time=_written(now), by=self._name)
        old = replace(new, rollout=former.rollout, epoch=former.epoch, stage=former.stage)
        ended = f"superseded by {plan.id}; it was {former.state}"
        self._ledger.append(replace(old, state=SUPERSEDED, reason=ended))
        began = f"supersedes {former.rollout}, which was {former.state}"
        self._ledger.append(replace(new, reason=began))

    def _ours(
        self, followed: Followed, plan: Plan, stage: Stage, view: FleetView, now: datetime
    ) -> Stage | None:
        """The stage that this controller goes on from; None where it may not decide now."""
        if followed.epoch < 0:
            followed.trouble = view.missing
            return None if view.missing else self._take_over(followed, stage, view, now)
        if reason := self._usurped(stage):
            followed.is_ours, followed.trouble = False, f"this controller stands down: {reason}"
            return None
        if stage.epoch < followed.epoch or _heard(stage, view) > stage.epoch:
            known = max(followed.epoch, _heard(stage, view))
            followed.trouble = (
                f"the registry has epoch {stage.epoch}, and {known} was signed: an older copy of "
                "it was put back; start the controller anew to go on from there"
            )
            return None
        pending = self._ledger.pending(plan.id)
        if pending is not None and pending.epoch > stage.epoch:
            if not pending.controller and now < datetime.fromisoformat(pending.time) + GRACE:
                followed.trouble = f"a decision of {pending.by} is about to be signed"
                return None
            return self._take_over(followed, stage, view, now)
        if stage.epoch > followed.epoch:
            followed.epoch, followed.settled = stage.epoch, None
        return stage

    def _usurped(self, stage: Stage) -> str:
        """Who else decides about a rollout; empty if nobody does."""
        if self._ledger.controller(stage.rollout) not in ("", self._run):
            return "another one has taken over with the same ledger"
        if stage.epoch > self._ledger.epoch(stage.rollout):
            return f"epoch {stage.epoch} was signed by {stage.by or 'somebody'}, not by this ledger"
        return ""

    def _take_over(self, followed: Followed, stage: Stage, view: FleetView, now: datetime) -> Stage:
        """Raise the epoch, so that nobody else is heard; finish what was not signed."""
        before, pending = self._ledger.newest(stage.rollout), self._ledger.pending(stage.rollout)
        if pending is not None and pending.is_of(stage):
            self._ledger.append(replace(pending, what="signs", time=_written(now)))
            pending = None
        is_stopped = pending is not None and pending.state in _STOPS
        if stage.state in ("done", "reverted") and not is_stopped:
            followed.epoch = max(stage.epoch, self._ledger.epoch(stage.rollout))
            return stage
        base = stage if pending is None or not is_stopped else _of_line(stage, pending)
        epoch = max(stage.epoch, self._ledger.epoch(stage.rollout), _heard(stage, view)) + 1
        taken = base.model_copy(update={"epoch": epoch, "time": now})
        if before is not None and before.stage == stage.stage and before.state == stage.state:
            followed.settled = before.settled_at
        self._sign(taken, "takes over", followed)
        return taken

    def _carry_out(
        self, followed: Followed, stage: Stage, decision: Decision, now: datetime
    ) -> Stage:
        followed.decision, followed.settled = decision, decision.settled
        changed = _changed(stage, decision, self._name, now)
        if changed is not None:
            if decision.action == "open":
                followed.settled = None
            self._sign(changed, "decides", followed, decision)
            return changed
        if decision.action == "wait":
            noted = (stage.epoch, stage.stage, decision.gate, decision.gateways, decision.settled)
            if noted != followed.noted:
                waits = stage.model_copy(
                    update={"reason": decision.reason[:MAX_REASON], "by": self._name, "time": now}
                )
                self._ledger.append(self._line(waits, "waits", followed, decision))
                followed.noted = noted
        return stage

    def _sign(
        self,
        stage: Stage,
        what: Literal["decides", "takes over"],
        followed: Followed,
        decision: Decision | None = None,
    ) -> None:
        """Write a decision into the ledger, sign it, and note that it is signed."""
        line = self._line(stage, what, followed, decision)
        pending = self._ledger.pending(stage.rollout)
        if pending is None or not (pending.is_of(stage) and pending.what == what):
            self._ledger.append(line)
        self._documents.write(stage)
        self._ledger.append(replace(line, what="signs"))
        followed.epoch = stage.epoch

    def _line(
        self,
        stage: Stage,
        what: Literal["decides", "takes over", "waits"],
        followed: Followed,
        decision: Decision | None,
    ) -> Line:
        settled = _written(followed.settled) if followed.settled is not None else None
        line = replace(Line.of(stage, what, self._run), settled=settled)
        if decision is None:
            return replace(line, by=self._name)
        gateways = " ".join(decision.gateways[:_MAX_GATEWAYS])
        return replace(
            line, gate=decision.gate, gateways=gateways, have=decision.have, need=decision.need
        )


def tell(hints: Hints, plan: Plan, stage: Stage, view: FleetView) -> int:
    """Publish a stage for every gateway whose retained `desired` says something else.

    Where a person has pushed a bundle, that stays. While the view is not complete nobody is told.

    Args:
        hints: the broker.
        plan: the plan.
        stage: its newest stage.
        view: what the gateways have said.

    Returns:
        How many gateways were told.
    """
    if view.missing:
        return 0
    hint = RolloutHint.model_construct(
        id=plan.id, epoch=stage.epoch, stage=stage.stage, state=stage.state
    )
    wanted = Desired.model_construct(stream=plan.stream, rollout=hint)
    told = 0
    for gateway in sorted(audience(plan, view)):
        desired = view.member(gateway).desired
        is_pinned = desired is not None and desired.seq is not None
        if not is_pinned and (desired is None or desired.rollout != hint):
            hints.publish(gateway, wanted)
            told += 1
    return told


def audience(plan: Plan, view: FleetView) -> set[str]:
    """Ids of the gateways that are told of a rollout: those that the plan names, or that speak."""
    named = (gateway for group in plan.groups for gateway in group.gateways)
    return {*named, *view.members}


def _changed(stage: Stage, decision: Decision, by: str, now: datetime) -> Stage | None:
    """The stage that a decision leads to; None where it leads to no other."""
    changes: dict[str, dict[str, object]] = {
        "open": {"stage": stage.stage + 1},
        "hold": {"epoch": stage.epoch + 1, "state": "held"},
        "done": {"epoch": stage.epoch + 1, "state": "done"},
    }
    if decision.action not in changes:
        return None
    reason = decision.reason[:MAX_REASON]
    said = {"reason": reason, "by": by, "time": now}
    return stage.model_copy(update={**changes[decision.action], **said})


def _of_line(stage: Stage, line: Line) -> Stage:
    """The stage that was decided, but never signed."""
    return stage.model_copy(
        update={"stage": line.stage, "state": line.state, "reason": line.reason, "by": line.by}
    )


def _heard(stage: Stage, view: FleetView) -> int:
    """The highest epoch that gateways know of a rollout, as far as it can be true."""
    said = (one.current.rollout for one in view.members.values() if one.current is not None)
    known = (one.epoch for one in said if one is not None and one.id == stage.rollout)
    return max((one for one in known if one <= stage.epoch + _MOST_AHEAD), default=0)


def _written(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds")
