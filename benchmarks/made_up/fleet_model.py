"""The model of a fleet under a rollout: events in order of time, and a turn of the controller."""

import heapq
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final, Literal, NamedTuple

import numpy as np

from benchmarks.made_up.update_costs import Costs, Traffic
from models.control.documents import Current
from models.control.rollout import Evidence, GateEvidence, RolloutState
from models.rollout.assignment import assigned
from models.rollout.membership import group_of
from models.rollout.plan import Plan
from models.rollout.stage import Stage
from server.rollouts.rules.fleet import FleetView, Member
from server.rollouts.rules.step import step
from serving.gates.e_values import log_above

BEGINS: Final = datetime(2026, 1, 5, 8, tzinfo=UTC)
"""Time of day at the beginning."""
POLL_S: Final = 3600.0
"""As `registry.poll_s` of a gateway, with a jitter of half of it."""
PROOF_S: Final = 5.0
"""Seconds of proof in the child process, on a small gateway."""
HEALTHY_S: Final = 60.0
"""As `updates.healthy_s`."""
EVIDENCE_S: Final = 10.0
"""As `shadow.evidence_s`: a gateway says so often what its shadow has shown."""
TURN_S: Final = 60.0
"""Seconds between two turns of the controller; it looks more often, but decides by the minute."""
BLOCK_S: Final = 60.0
ONLINE_S, OFFLINE_S = 19 * 3600.0, 3600.0
NEVER: Final = 0.01
"""Share of the gateways that are away all the time."""
_STOPS: Final = {"held", "reverted", "done"}

_Event = tuple[float, int, Callable[[], None]]
"""When something happens, a number that tells events of the same time apart, and what happens."""
State = Literal["waiting", "shadow", "probation", "serving", "failed"]


class Bundle(NamedTuple):
    """A bundle that is rolled out.

    Attributes:
        name: what it is, for people.
        disagreement: probability that the models disagree in a block of time.
        trips_per_hour: how often a gateway that serves it meets a reading that trips a hard gate.
    """

    name: str
    disagreement: float
    trips_per_hour: float


class Conditions(NamedTuple):
    """The fleet that is simulated.

    Attributes:
        gateways: number of gateways.
        spread_s: seconds over which gateways spread their looks after a hint, as `updates.hint_s`.
        seed: of what is random.
    """

    gateways: int
    spread_s: float = 10.0
    seed: int = 0


@dataclass(slots=True)
class Gateway:
    """One gateway.

    Attributes:
        name: its id.
        group: index of its group; None for none.
        is_online: whether it is online.
        seq: number of the bundle that serves.
        state: as `models.control.rollout.RolloutState`.
        known: stage that it knows, 0 for none.
        has_bundle: whether it has downloaded the bundle.
        opened_s: when its group was opened for service, or when it came back after that.
        since_s: when it began to serve, or the end of the last block that it has compared.
        hits: blocks that disagreed.
        blocks: blocks that it has compared.
        says: what the broker retains of it.
    """

    name: str
    group: int | None
    is_online: bool = True
    seq: int = 1
    state: State = "waiting"
    known: int = 0
    has_bundle: bool = False
    opened_s: float | None = None
    since_s: float = 0.0
    hits: int = 0
    blocks: int = 0
    says: Member = field(default_factory=lambda: Member(""))


@dataclass(slots=True)
class Found:
    """What the simulation has counted.

    Attributes:
        adopted_s: seconds from the opening of a gateway's step, or its return, until it serves.
        served: gateways that have served the bundle.
        served_s: seconds for which they did, of all gateways together.
        traffic: between gateways and the store.
        most_requests: requests of the store in its busiest second.
        messages: messages that gateways and controller have published.
        ended_s: when the rollout was done or held; None while it runs.
    """

    adopted_s: list[float] = field(default_factory=list)
    served: int = 0
    served_s: float = 0.0
    traffic: Traffic = field(default_factory=Traffic)
    most_requests: int = 0
    messages: int = 0
    ended_s: float | None = None


class Fleet:
    """A fleet, a controller and a store.

    Args:
        plan: the plan.
        bundle: the bundle that it rolls out.
        costs: what looks into the registry cost.
        conditions: its size, and what is random.
    """

    def __init__(self, plan: Plan, bundle: Bundle, costs: Costs, conditions: Conditions) -> None:
        self.found = Found()
        self.stage = Stage(rollout=plan.id, stream=plan.stream, epoch=1, time=BEGINS)
        self._plan, self._bundle, self._costs = plan, bundle, costs
        self._random, self._spread_s = np.random.default_rng(conditions.seed), conditions.spread_s
        count = conditions.gateways
        self._now_s, self._number = 0.0, 0
        self._events: list[_Event] = []
        self._requests: Counter[int] = Counter()
        self._settled: datetime | None = None
        names = [f"gateway-{number}" for number in range(count)]
        self._gateways = [Gateway(name, group_of(plan, name)) for name in names]
        self._never = set(self._random.choice(count, round(NEVER * count), replace=False).tolist())

    def run(self, seconds: float) -> None:
        """Simulate so many seconds."""
        for number, gateway in enumerate(self._gateways):
            if number in self._never and gateway.group != 0:
                gateway.is_online = False
            else:
                self._after(self._random.uniform(0, POLL_S), self._poll, gateway)
                self._after(self._random.exponential(ONLINE_S), self._leave, gateway)
            self._say(gateway)
        self._after(TURN_S, self._turn)
        while self._events and self._events[0][0] <= seconds:
            self._now_s, _, act = heapq.heappop(self._events)
            act()
        self.found.most_requests = max(self._requests.values(), default=0)
        self._close(seconds)

    def _close(self, seconds: float) -> None:
        """Count the time of those that still serve a bundle that was held."""
        self._now_s = seconds
        for gateway in self._gateways:
            if gateway.seq == self._plan.seq:
                self.found.served_s += self._now_s - gateway.since_s

    def _after(self, wait_s: float, act: Callable[..., None], *args: object) -> None:
        self._number += 1
        event: _Event = (self._now_s + wait_s, self._number, partial(act, *args))
        heapq.heappush(self._events, event)

    def _poll(self, gateway: Gateway) -> None:
        """Look by itself, and again after the poll interval."""
        self._after(POLL_S * self._random.uniform(0.5, 1.5), self._poll, gateway)
        self._look(gateway)

    def _leave(self, gateway: Gateway) -> None:
        self._count_blocks(gateway)
        gateway.is_online = False
        self._after(self._random.exponential(OFFLINE_S), self._return, gateway)
        self._say(gateway, messages=1)

    def _return(self, gateway: Gateway) -> None:
        gateway.is_online, gateway.since_s = True, self._now_s
        gateway.opened_s = self._now_s
        self._after(self._random.exponential(ONLINE_S), self._leave, gateway)
        self._say(gateway, messages=2)
        if gateway.known != self.stage.stage:
            self._look(gateway)  # the retained hint

    def _look(self, gateway: Gateway) -> None:
        """Look into the registry, and do what is signed."""
        if not gateway.is_online:
            return
        if gateway.known == self.stage.stage and self.stage.state == "running":
            self._ask(self._costs.idle)
            return
        self._ask(self._costs.plan if gateway.known == 0 else self._costs.stage)
        gateway.known = self.stage.stage
        part = assigned(self._plan, self.stage, gateway.name, serves=gateway.seq).part
        if gateway.state == "failed" or part == "former":
            return
        wait_s = 0.0
        if not gateway.has_bundle:
            gateway.has_bundle, wait_s = True, PROOF_S
            self._ask(self._costs.bundle)
        act = self._compare if part == "shadow" else self._serve
        self._after(wait_s, act, gateway)

    def _compare(self, gateway: Gateway) -> None:
        if gateway.state == "waiting":
            gateway.state, gateway.since_s = "shadow", self._now_s
            self._say(gateway, messages=1)

    def _serve(self, gateway: Gateway) -> None:
        if gateway.seq == self._plan.seq or self.stage.state == "held":
            return
        self._count_blocks(gateway)
        gateway.seq, gateway.state, gateway.since_s = self._plan.seq, "probation", self._now_s
        self.found.served += 1
        self.found.adopted_s.append(self._now_s - (gateway.opened_s or 0.0))
        self._after(HEALTHY_S, self._prove, gateway)
        if self._bundle.trips_per_hour:
            hour_s = 3600 / self._bundle.trips_per_hour
            self._after(self._random.exponential(hour_s), self._trip, gateway)
        self._say(gateway, messages=1)

    def _prove(self, gateway: Gateway) -> None:
        if gateway.state == "probation":
            gateway.state = "serving"
            self._say(gateway, messages=1)

    def _trip(self, gateway: Gateway) -> None:
        """A hard gate brings the former bundle back."""
        gateway.seq, gateway.state = 1, "failed"
        self.found.served_s += self._now_s - gateway.since_s
        self._say(gateway, messages=2)

    def _ask(self, traffic: Traffic) -> None:
        self.found.traffic += traffic
        self._requests[int(self._now_s)] += traffic.requests

    def _count_blocks(self, gateway: Gateway) -> None:
        """Draw the blocks that a shadow has compared since it was counted last."""
        if gateway.state != "shadow" or not gateway.is_online:
            return
        new = int((self._now_s - gateway.since_s) // BLOCK_S)
        if new:
            gateway.since_s += new * BLOCK_S
            gateway.blocks += new
            gateway.hits += int(self._random.binomial(new, self._bundle.disagreement))
            self.found.messages += int(new * BLOCK_S / EVIDENCE_S)
            self._say(gateway)

    def _say(self, gateway: Gateway, *, messages: int = 0) -> None:
        """What the broker retains of a gateway from now on."""
        self.found.messages += messages
        plan, said = self._plan, None
        if gateway.known:
            said = RolloutState.model_construct(
                id=plan.id,
                epoch=self.stage.epoch,
                stage=gateway.known,
                state=gateway.state,
                former=1,
                gate="out_of_range" if gateway.state == "failed" else "",
                message="",
            )
        current = Current.model_construct(
            stream=plan.stream, state="serving", seq=gateway.seq, rollout=said
        )
        shown = self._evidence(gateway) if gateway.blocks else None
        gateway.says = Member(gateway.name, gateway.is_online, current, shown)

    def _evidence(self, gateway: Gateway) -> Evidence:
        hits, misses = gateway.hits, gateway.blocks - gateway.hits
        limit = self._plan.gates.disagreement
        gate = GateEvidence.model_construct(
            kind="rate", hits=hits, misses=misses, limit=limit, log_e=log_above(hits, misses, limit)
        )
        return Evidence.model_construct(
            stream=self._plan.stream,
            rollout=self._plan.id,
            champion=1,
            candidate=self._plan.seq,
            block_s=BLOCK_S,
            compared=round(gateway.blocks * BLOCK_S),
            gates={"disagreement": gate},
            verdict="open",
            tripped="",
        )

    def _turn(self) -> None:
        """A turn of the controller."""
        if self.stage.state in _STOPS:
            return
        self._after(TURN_S, self._turn)
        for gateway in self._gateways:
            self._count_blocks(gateway)
        now = BEGINS + timedelta(seconds=self._now_s)
        view = FleetView({one.name: one.says for one in self._gateways})
        decision = step(self._plan, self.stage, self._settled, view, now)
        self._settled = decision.settled
        if decision.action in ("open", "hold", "done"):
            self._decide(decision.action)

    def _decide(self, action: str) -> None:
        """Sign another stage, and tell all gateways."""
        changes: dict[str, object] = {"stage": self.stage.stage + 1}
        if action != "open":
            state = "held" if action == "hold" else "done"
            changes = {"epoch": self.stage.epoch + 1, "state": state}
            self.found.ended_s = self._now_s
        self.stage, self._settled = self.stage.model_copy(update=changes), None
        opened = self._plan.steps[self.stage.stage - 1]
        self.found.messages += len(self._gateways)
        for gateway in self._gateways:
            if not gateway.is_online:
                continue
            if gateway.group == opened.group and opened.mode == "serve":
                gateway.opened_s = self._now_s
            self._after(self._random.uniform(0, self._spread_s), self._look, gateway)
