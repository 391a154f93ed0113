"""The model of a fleet under a rollout: events in order of time, and a turn of the controller."""

import heapq
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

import numpy as np

from benchmarks.made_up.fleet_parts import Bundle, Conditions, Found, Gateway
from benchmarks.made_up.store import Traffic
from benchmarks.made_up.update_costs import Costs
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
_STOPS: Final = {"held", "reverted", "done"}

_Event = tuple[float, int, Callable[[], None]]
"""When something happens, a number that tells events of the same time apart, and what happens."""


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
        self._random, self._conditions = np.random.default_rng(conditions.seed), conditions
        count = conditions.gateways
        self._now_s, self._number = 0.0, 0
        self._events: list[_Event] = []
        self._requests: Counter[int] = Counter()
        self._settled: datetime | None = None
        names = [f"gateway-{number}" for number in range(count)]
        self._gateways = [Gateway(name, group_of(plan, name)) for name in names]
        never = self._random.choice(count, round(conditions.never * count), replace=False)
        self._never = set(never.tolist())

    def run(self, seconds: float) -> None:
        """Simulate so many seconds."""
        for number, gateway in enumerate(self._gateways):
            if number in self._never and gateway.group != 0:
                gateway.is_online = False
            else:
                self._after(self._random.uniform(0, self._conditions.poll_s), self._poll, gateway)
                self._after(
                    self._random.exponential(self._conditions.online_s), self._leave, gateway
                )
            self._say(gateway)
        self._after(self._conditions.turn_s, self._turn)
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
        self._after(self._conditions.poll_s * self._random.uniform(0.5, 1.5), self._poll, gateway)
        self._look(gateway)

    def _leave(self, gateway: Gateway) -> None:
        self._count_blocks(gateway)
        gateway.is_online = False
        self._after(self._random.exponential(self._conditions.offline_s), self._return, gateway)
        self._say(gateway, "status")

    def _return(self, gateway: Gateway) -> None:
        gateway.is_online, gateway.since_s = True, self._now_s
        gateway.opened_s = self._now_s
        self._after(self._random.exponential(self._conditions.online_s), self._leave, gateway)
        self._say(gateway, "status", "current")
        if (gateway.known_epoch, gateway.known) != (self.stage.epoch, self.stage.stage):
            self._look(gateway)  # the retained hint

    def _look(self, gateway: Gateway) -> None:
        """Look into the registry, and do what is signed."""
        if not gateway.is_online:
            return
        if (gateway.known_epoch, gateway.known) == (self.stage.epoch, self.stage.stage):
            self._ask(self._costs.idle)
            return
        self._ask(self._costs.plan if gateway.known_epoch == 0 else self._costs.stage)
        gateway.known_epoch, gateway.known = self.stage.epoch, self.stage.stage
        self._say(gateway, "current")
        part = assigned(self._plan, self.stage, gateway.name, serves=gateway.seq).part
        if gateway.state == "failed" or part == "former":
            return
        wait_s = self._conditions.look_s
        if not gateway.has_bundle:
            gateway.has_bundle, wait_s = True, wait_s + self._conditions.proof_s
            self._ask(self._costs.bundle)
            self.found.messages["feedback"] += 1  # downloading
        act = self._compare if part == "shadow" else self._serve
        self._after(wait_s, act, gateway)

    def _compare(self, gateway: Gateway) -> None:
        if gateway.state == "waiting":
            gateway.state, gateway.since_s = "shadow", self._now_s
            self._say(gateway, "feedback", "current")  # verifying

    def _serve(self, gateway: Gateway) -> None:
        if gateway.seq == self._plan.seq or self.stage.state == "held":
            return
        self._count_blocks(gateway)
        gateway.seq, gateway.state, gateway.since_s = self._plan.seq, "probation", self._now_s
        self.found.served += 1
        self.found.adopted_s.append(self._now_s - (gateway.opened_s or 0.0))
        self._after(self._conditions.healthy_s, self._prove, gateway)
        if self._bundle.trips_per_hour:
            hour_s = 3600 / self._bundle.trips_per_hour
            self._after(self._random.exponential(hour_s), self._trip, gateway)
        self._say(gateway, "feedback", "feedback", "current")  # verifying, activated

    def _prove(self, gateway: Gateway) -> None:
        if gateway.state == "probation":
            gateway.state = "serving"
            self._say(gateway, "current")

    def _trip(self, gateway: Gateway) -> None:
        """A hard gate brings the former bundle back."""
        gateway.seq, gateway.state = 1, "failed"
        self.found.served_s += self._now_s - gateway.since_s
        self._say(gateway, "current", "feedback")

    def _ask(self, traffic: Traffic) -> None:
        self.found.traffic += traffic
        self._requests[int(self._now_s)] += traffic.requests

    def _count_blocks(self, gateway: Gateway) -> None:
        """Draw the blocks that a shadow has compared since it was counted last."""
        if gateway.state != "shadow" or not gateway.is_online:
            return
        new = int((self._now_s - gateway.since_s) // self._conditions.block_s)
        if new:
            gateway.since_s += new * self._conditions.block_s
            gateway.blocks += new
            gateway.hits += int(self._random.binomial(new, self._bundle.disagreement))
            each = self._conditions.block_s / self._conditions.evidence_s
            said = int(gateway.blocks * each) - int((gateway.blocks - new) * each)
            self.found.messages["evidence"] += said
            self._say(gateway)

    def _say(self, gateway: Gateway, *published: str) -> None:
        """What the broker retains of a gateway from now on."""
        self.found.messages.update(published)
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
            block_s=self._conditions.block_s,
            compared=max(gateway.blocks, round(gateway.blocks * self._conditions.block_s)),
            gates={"disagreement": gate},
            verdict="open",
            tripped="",
        )

    def _turn(self) -> None:
        """A turn of the controller."""
        if self.stage.state in _STOPS:
            return
        self._after(self._conditions.turn_s, self._turn)
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
        self.found.messages["desired"] += len(self._gateways)
        for gateway in self._gateways:
            if not gateway.is_online:
                continue
            if gateway.group == opened.group and opened.mode == "serve":
                gateway.opened_s = self._now_s
            self._after(self._random.uniform(0, self._conditions.spread_s), self._look, gateway)
