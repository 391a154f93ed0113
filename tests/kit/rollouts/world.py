"""A made-up fleet with a registry, a broker and a clock, in which a controller can be killed.

Gateways are a simple model of the agent: they obey what is signed, by the function that the agent
uses (`models.rollout.assignment`), and publish the documents of the control plane.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from models.control.documents import Current, Desired
from models.control.rollout import Evidence, RolloutState
from models.rollout.assignment import assigned
from models.rollout.membership import group_of
from models.rollout.plan import Plan
from models.rollout.stage import Stage
from server.rollouts.errors import DocumentError
from server.rollouts.ledger import Ledger, Line
from server.rollouts.rules.fleet import FleetView, Member
from serving.publishing.rollouts import Rollout
from tests.kit.rollouts.documents import evidence

PROBATION = timedelta(minutes=5)


class KilledError(Exception):
    """The controller was killed."""


class Killer:
    """Kills the controller after so many effects; an effect may happen before its death, or not."""

    def __init__(self) -> None:
        self.left: int | None = None

    def effect(self, act: Callable[[], None]) -> None:
        """Do something that others can see, unless the controller dies before, or after it."""
        self._count()
        act()
        self._count()

    def _count(self) -> None:
        if self.left is None:
            return
        self.left -= 1
        if self.left < 0:
            self.left = None
            raise KilledError


class MortalLedger(Ledger):
    """The ledger, at each line of which the controller may be killed."""

    killer: Killer | None = None

    def append(self, line: Line) -> None:
        """Add a line, or die."""
        if self.killer is None:
            super().append(line)
        else:
            self.killer.effect(lambda: Ledger.append(self, line))


@dataclass
class Registry:
    """Plans and stages; what is written is kept in `written`, in its order."""

    killer: Killer
    plans: dict[str, Plan] = field(default_factory=dict)
    stages: dict[str, Stage] = field(default_factory=dict)
    written: list[Stage] = field(default_factory=list)
    check: Callable[[Stage | None, Stage], None] = lambda _before, _after: None
    identity: str = "registry"

    def rollouts(self) -> tuple[Rollout, ...]:
        """The rollouts, of each stream the last."""
        return tuple(Rollout(plan, self.stages.get(plan.id)) for plan in self.plans.values())

    def write(self, stage: Stage) -> None:
        """Sign a stage that follows the newest one."""
        self.killer.effect(lambda: self._write(stage))

    def _write(self, stage: Stage) -> None:
        known = self.stages.get(stage.rollout)
        if stage == known:
            return
        if not stage.follows(known):
            raise DocumentError(f"{stage} does not follow {known}")
        self.check(known, stage)
        self.stages[stage.rollout] = stage
        self.written.append(stage)


@dataclass
class Gateway:
    """A gateway.

    `is_good` says whether the bundle is any good there: one that is not fails as soon as it serves.
    """

    name: str
    first: int
    is_good: bool = True
    is_online: bool = True
    seq: int = 0
    former: int | None = None
    state: Literal["waiting", "shadow", "probation", "serving", "failed", "returned", "pinned"] = (
        "waiting"
    )
    known: Stage | None = None
    blocks: int = 0
    hits: int = 0
    served_since: datetime | None = None
    proved_since: datetime | None = None
    says: Member = field(init=False)
    """What it has said when it was online last."""

    def __post_init__(self) -> None:
        self.seq = self.first
        self.says = Member(
            self.name, self.is_online, Current(stream="press", state="serving", seq=self.seq)
        )

    def act(self, plan: Plan, signed: Stage | None, now: datetime) -> None:
        """Obey what is signed, if it is online, and say so."""
        if not self.is_online:
            return
        if signed is not None and signed.follows(self.known):
            self.known = signed
        if self.known is not None and self.state != "pinned":
            self._obey(plan, self.known, now)
        self._say(plan)

    def _obey(self, plan: Plan, stage: Stage, now: datetime) -> None:
        part = assigned(plan, stage, self.name, serves=self.seq).part
        if stage.state == "reverted":
            self._go_back()
            self.state = "returned"
        elif self.state == "failed":
            return
        elif part == "former":
            self.state = "waiting"
        elif part == "shadow":
            self.state = "shadow"
        else:
            self._serve(plan, now)

    def _serve(self, plan: Plan, now: datetime) -> None:
        if self.seq != plan.seq:
            self.former, self.seq, self.state = self.seq, plan.seq, "probation"
            self.served_since = now
        if not self.is_good:
            self._go_back()
            self.state = "failed"
        elif self.served_since is not None and now >= self.served_since + PROBATION:
            if self.state != "serving":
                self.proved_since = now
            self.state = "serving"

    def _go_back(self) -> None:
        if self.former is not None:
            self.seq, self.former = self.former, None
        self.served_since = self.proved_since = None

    def compare(self, blocks: int, hits: int, plan: Plan) -> None:
        """Compare further blocks, if it has the bundle in its shadow."""
        if self.state == "shadow" and self.is_online:
            self.blocks, self.hits = self.blocks + blocks, self.hits + min(hits, blocks)
            self._say(plan)

    def _say(self, plan: Plan) -> None:
        said = None
        if self.known is not None:
            gate = "storm" if self.state == "failed" else ""
            said = RolloutState(
                id=plan.id,
                epoch=self.known.epoch,
                stage=self.known.stage,
                state=self.state,
                former=self.former,
                gate=gate,
            )
        current = Current(stream=plan.stream, state="serving", seq=self.seq, rollout=said)
        shown: Evidence | None = None
        if self.blocks:
            shown = evidence(self.blocks, self.hits, rollout=plan.id, candidate=plan.seq)
        self.says = Member(self.name, self.is_online, current, shown)


class World:
    """Everything around a controller."""

    def __init__(self, plan: Plan, gateways: list[Gateway], now: datetime) -> None:
        self.plan, self.now = plan, now
        self.killer = Killer()
        self.registry = Registry(self.killer, {plan.id: plan})
        self.gateways = {one.name: one for one in gateways}
        self.desired: dict[str, Desired] = {}
        self.published = 0
        self.missing = ""

    @property
    def stage(self) -> Stage | None:
        """The newest signed stage."""
        return self.registry.stages.get(self.plan.id)

    def publish(self, gateway: str, desired: Desired) -> None:
        """What the broker retains for a gateway; the same twice is a fault of the controller."""
        assert self.desired.get(gateway) != desired, f"published twice to {gateway}: {desired}"

        def act() -> None:
            self.desired[gateway] = desired
            self.published += 1

        self.killer.effect(act)

    def view(self, stream: str) -> FleetView:
        """What the gateways have said, as the broker retains it."""
        assert stream == self.plan.stream
        members = {
            name: Member(
                name, one.is_online, one.says.current, one.says.evidence, self.desired.get(name)
            )
            for name, one in self.gateways.items()
        }
        return FleetView(members, self.missing)

    def act(self) -> None:
        """Have every gateway obey."""
        for one in self.gateways.values():
            one.act(self.plan, self.stage, self.now)

    def group(self, index: int) -> list[Gateway]:
        """The gateways of a group."""
        return [one for one in self.gateways.values() if group_of(self.plan, one.name) == index]
