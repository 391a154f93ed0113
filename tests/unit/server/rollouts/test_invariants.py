"""The ten invariants of a rollout, with a made-up fleet and a controller that is killed anywhere.

 1. A gateway has one champion, and serves the bundle only once that was signed for its group.
 2. A stream has one rollout at a time.
 3. Epoch and stage only rise, whatever two controllers do.
 4. No group is opened before the former has served, was confirmed, has soaked and is shown good.
 5. Offline is neither success nor failure.
 6. A gateway that returns gets the stage of its own group.
 7. A revert gives each gateway its own former bundle.
 8. The same activity twice is once.
 9. HELD reaches every gateway that is online within one publish.
10. Every wait has a deadline and a reason.
"""

import tempfile
from datetime import timedelta
from math import ceil, log
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from models.rollout.assignment import assigned
from models.rollout.stage import Stage
from server.rollouts.controller import GRACE, Controller
from server.rollouts.decisions import Decisions
from server.rollouts.errors import DecisionError, DocumentError, FencedError
from serving.gates.e_values import log_below
from tests.kit.rollouts.documents import START, plan
from tests.kit.rollouts.world import Gateway, KilledError, MortalLedger, World

NAMES = ("a", "b", "c", "p", "q", "r", "s")
FIRSTS = (4, 3, 4, 2, 4, 3, 1)
"""What the gateways serve before the rollout; each has its own."""
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108  a folder of its own below
"""A folder in memory: the ledger waits for the disk at each of thousands of lines."""


def world(bad: set[str], **fields: object) -> World:
    """Seven gateways, of which three are the first group."""
    made = plan(**fields)
    pairs = zip(NAMES, FIRSTS, strict=True)
    return World(made, [Gateway(name, seq, name not in bad) for name, seq in pairs], START)


class Operated:
    """Controllers and people over a world; it starts another controller where one was killed."""

    def __init__(self, of: World, folder: Path) -> None:
        self.world, self._folder, self._runs = of, folder, 0
        self._ledgers: list[MortalLedger] = []
        self.ledger = self._ledger()
        self.controller = self.made()

    def _ledger(self, name: str = "ledger") -> MortalLedger:
        ledger = MortalLedger(self._folder / f"{name}.sqlite3", "registry")
        ledger.killer = self.world.killer
        self._ledgers.append(ledger)
        return ledger

    def made(self, ledger: MortalLedger | None = None) -> Controller:
        """A controller that begins anew."""
        self._runs += 1
        registry, run = self.world.registry, f"run-{self._runs}"
        return Controller(registry, ledger or self.ledger, self.world, name="c", run=run)

    @property
    def has_begun(self) -> bool:
        """Whether the controller has taken over."""
        return any(one.epoch >= 0 for one in self.controller.followed.values())

    def elsewhere(self) -> Controller:
        """A controller of another machine, with a ledger of its own."""
        return self.made(self._ledger(f"other-{self._runs}"))

    def turn(self) -> bool:
        """A turn of the controller; whether it has survived."""
        try:
            self.controller.turn(self.world, self.world.now)
        except KilledError:
            self.controller = self.made()
            return False
        return True

    def person(self, wish: Literal["start", "hold", "resume", "revert"]) -> None:
        """A decision; the command may be killed, and a decision may be refused."""
        decisions = Decisions(self.world.registry, self.ledger, lambda: self.world.now)
        try:
            if wish == "start":
                decisions.start(self.world.plan.id, by="Eva", reason="begin")
            else:
                decisions.decide(wish, self.world.plan.id, by="Eva", reason="because")
        except (KilledError, DecisionError, FencedError, DocumentError):
            return

    def close(self) -> None:
        """Close the files."""
        for one in self._ledgers:
            one.close()


class FleetMachine(RuleBasedStateMachine):
    """Anything may happen, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory(prefix="rollouts-", dir=MEMORY)
        self.went_well = False

    def teardown(self) -> None:
        self.operated.close()
        self._folder.cleanup()

    @initialize(
        bad=st.sets(st.sampled_from(["a", "b", "q"]), max_size=2),
        needed=st.sampled_from([0.5, 0.95]),
        least=st.integers(1, 4),
        failed=st.integers(0, 1),
        mode=st.sampled_from(["shadow", "serve"]),
    )
    def begin(self, bad: set[str], needed: float, least: int, failed: int, mode: str) -> None:
        """A fleet, in which the bundle fails on some gateways."""
        self.world = world(
            bad,
            needed=needed,
            min_executed=least,
            max_failed=failed,
            groups=[
                {"name": "first", "gateways": ["a", "b", "c"], "mode": mode, "soak_s": 3600},
                {"name": "rest", "share": 1.0, "mode": "serve", "soak_s": 600},
            ],
        )
        self.world.registry.check = self.check
        self.operated = Operated(self.world, Path(self._folder.name))
        self.operated.person("start")

    @rule()
    def turn(self) -> None:
        """The controller takes a turn."""
        self.went_well = self.operated.turn()

    @rule(effects=st.integers(0, 12))
    def will_be_killed(self, effects: int) -> None:
        """Whoever acts is killed after so many effects."""
        self.world.killer.left = effects
        self.went_well = False

    @rule()
    def gateways_obey(self) -> None:
        """The gateways look into the registry."""
        self.world.act()
        self.went_well = False

    @rule(name=st.sampled_from(NAMES))
    def one_gateway_obeys(self, name: str) -> None:
        """One gateway looks into the registry before the others."""
        for _ in range(2):
            self.world.gateways[name].act(self.world.plan, self.world.stage, self.world.now)
            self.world.now += timedelta(minutes=6)
        self.went_well = False

    @rule(name=st.sampled_from(NAMES))
    def goes_or_comes(self, name: str) -> None:
        """A gateway is switched off or on; the broker says so."""
        one = self.world.gateways[name]
        one.is_online = not one.is_online
        self.went_well = False

    @rule(minutes=st.sampled_from([1, 6, 70, 70, 24 * 60, 8 * 24 * 60]))
    def time_passes(self, minutes: int) -> None:
        """Time passes."""
        self.world.now += timedelta(minutes=minutes)
        self.went_well = False

    @rule(blocks=st.sampled_from([10, 100, 300]), share=st.sampled_from([0.0, 0.0, 0.2]))
    def models_are_compared(self, blocks: int, share: float) -> None:
        """Both models answer for a while."""
        for one in self.world.gateways.values():
            one.compare(blocks, round(blocks * share), self.world.plan)
        self.went_well = False

    @rule(hours=st.integers(1, 4))
    def nothing_comes_between(self, hours: int) -> None:
        """Controller and gateways work for some hours."""
        for _ in range(hours):
            self.world.act()
            self.models_are_compared(300, 0.0)
            self.world.now += timedelta(minutes=70)
            self.world.act()
            self.went_well = self.operated.turn()

    @rule(wish=st.sampled_from(["hold", "resume", "resume", "revert"]))
    def person_decides(self, wish: Literal["hold", "resume", "revert"]) -> None:
        """A person decides something."""
        self.operated.person(wish)
        self.went_well = False

    @rule(name=st.sampled_from(NAMES))
    def gateway_is_pinned(self, name: str) -> None:
        """A person pushes a bundle to a gateway."""
        one = self.world.gateways[name]
        if one.is_online and one.state == "waiting":
            one.state = "pinned"
        self.went_well = False

    @rule(with_ledger=st.booleans())
    @precondition(lambda self: self.operated.has_begun)
    def rival_takes_over(self, with_ledger: bool) -> None:  # noqa: FBT001  drawn by name
        """Another controller begins, with the same ledger or with one of its own."""
        left, self.world.killer.left = self.world.killer.left, None
        rival = self.operated.made() if with_ledger else self.operated.elsewhere()
        rival.turn(self.world, self.world.now)
        is_over = self.world.stage is not None and self.world.stage.state in ("done", "reverted")
        before, told = len(self.world.registry.written), dict(self.world.desired)
        self.world.act()
        self.models_are_compared(300, 0.0)
        self.world.now += timedelta(minutes=70)
        self.world.act()
        self.operated.controller.turn(self.world, self.world.now)
        if not is_over:
            assert len(self.world.registry.written) == before, "invariant 3: it stands down"
            assert self.world.desired == told
        self.operated.controller, self.world.killer.left = self.operated.made(), left
        self.went_well = False

    def check(self, before: Stage | None, after: Stage) -> None:
        """Invariants 3, 4 and 5, at each stage that is signed."""
        if before is None:
            return
        assert (after.epoch, after.stage) != (before.epoch, before.stage)
        assert after.epoch >= before.epoch
        assert before.stage <= after.stage <= before.stage + 1
        if after.stage > before.stage or after.state == "done" != before.state:
            self.check_former_step(before)
        if after.state == "held" and " failed, allowed are " in after.reason:
            failed = [one for one in self.world.gateways.values() if one.state == "failed"]
            assert len(failed) > self.world.plan.max_failed

    def check_former_step(self, before: Stage) -> None:
        """Invariant 4, by what is true in the world and not by what the controller has computed."""
        made, now = self.world.plan, self.world.now
        assert before.state == "running"
        assert now < made.deadline
        if before.stage == 0:
            return
        opened = made.steps[before.stage - 1]
        members = [one for one in self.world.group(opened.group) if one.state != "pinned"]
        online = [one for one in members if one.is_online]
        least = max(min(made.min_executed, len(members)), ceil(made.needed * len(online) - 1e-9))
        assert least > 0
        assert sum(one.state == "failed" for one in members) <= made.max_failed
        if opened.mode == "shadow":
            shown = [one for one in online if one.state == "shadow" and is_shown(one)]
            assert len(shown) >= least
            return
        soaked = timedelta(seconds=made.groups[opened.group].soak_s)
        serving = [one for one in online if one.state == "serving" and one.seq == made.seq]
        assert len(serving) >= least
        long = [one for one in serving if one.proved_since and one.proved_since <= now - soaked]
        assert long, "nobody has served for as long as the group shall soak"

    @invariant()
    def serves_only_what_was_signed(self) -> None:
        """Invariant 1."""
        for one in self.world.gateways.values():
            assert one.seq in (one.first, self.world.plan.seq)
            if one.seq == self.world.plan.seq:
                assert one.known is not None
                part = assigned(self.world.plan, one.known, one.name, serves=one.seq).part
                assert part == "serve"

    @invariant()
    def known_stages_only_rise(self) -> None:
        """Invariant 3."""
        written = [(one.epoch, one.stage) for one in self.world.registry.written]
        assert written == sorted(set(written))

    @invariant()
    def every_gateway_is_told(self) -> None:
        """Invariants 6 and 9: after a turn each retained `desired` has the newest stage."""
        stage = self.world.stage
        followed = self.operated.controller.followed.get(self.world.plan.id)
        if not self.went_well or stage is None or followed is None or followed.trouble:
            return
        for name in self.world.gateways:
            hint = self.world.desired[name].rollout
            assert hint is not None
            assert (hint.epoch, hint.stage, hint.state) == (stage.epoch, stage.stage, stage.state)

    @invariant()
    def every_gateway_does_its_own_part(self) -> None:
        """Invariant 6 and 7: what comes back obeys the newest stage, and a revert is its own."""
        stage = self.world.stage
        for one in self.world.gateways.values():
            if stage is None or one.known != stage or one.state in ("pinned", "failed"):
                continue
            if stage.state == "reverted" and one.state == "returned":
                assert one.seq == one.first

    @invariant()
    def every_wait_has_a_deadline_and_a_reason(self) -> None:
        """Invariant 10."""
        for one in self.operated.controller.followed.values():
            decision = one.decision
            assert one.trouble or decision is not None or one.epoch < 0
            if decision is None:
                continue
            assert decision.reason
            if decision.action == "wait":
                assert decision.gate
                assert decision.until is not None
                assert decision.until <= self.world.plan.deadline


def is_shown(one: Gateway) -> bool:
    """Whether the counters of a gateway show the bundle to be no worse at 3 %, by beta .01."""
    return log_below(one.hits, one.blocks - one.hits, 0.03) >= log(100)


TestFleet = FleetMachine.TestCase
TestFleet.settings = settings(
    max_examples=100,
    stateful_step_count=40,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(kills=st.lists(st.integers(0, 15), max_size=12))
def test_a_good_bundle_reaches_everybody_however_often_the_controller_is_killed(
    kills: list[int],
) -> None:
    with tempfile.TemporaryDirectory(prefix="rollouts-", dir=MEMORY) as name:
        of = world(set())
        operated = Operated(of, Path(name))
        operated.person("start")
        for at in range(400):
            if kills and at % 3 == 0:
                of.killer.left = kills.pop()
            operated.turn()
            of.act()
            for one in of.gateways.values():
                one.compare(20, 0, of.plan)
            of.now += timedelta(minutes=15)
            if of.stage is not None and of.stage.state == "done":
                break
        of.killer.left = None
        operated.turn()
        of.act()
        of.now += timedelta(minutes=10)
        of.act()
        operated.close()
    assert {one.seq for one in of.gateways.values()} == {5}
    assert [one.stage for one in of.registry.written if one.state == "done"] == [3]


@pytest.mark.parametrize("effects", range(6))
def test_a_hold_whose_command_was_killed_is_signed_and_a_resume_is_not(
    effects: int, folder: Path
) -> None:
    of = world(set())
    operated = Operated(of, folder)
    operated.person("start")
    operated.turn()
    of.killer.left = effects
    operated.person("hold")
    was_written = effects > 0
    of.killer.left = None
    of.now += GRACE
    operated.turn()
    held = of.stage
    of.killer.left = effects
    operated.person("resume")
    of.killer.left = None
    of.now += GRACE
    operated.turn()
    resumed = of.stage
    operated.close()
    assert held is not None
    assert resumed is not None
    assert (held.state == "held") == was_written
    assert (resumed.state == "running") == (not was_written or effects > 2)


def test_a_revert_gives_each_gateway_its_own_former_bundle(folder: Path) -> None:
    of = world({"a"}, max_failed=3, groups=[{"name": "all", "share": 1.0, "mode": "serve"}])
    operated = Operated(of, folder)
    operated.person("start")
    for _ in range(4):
        operated.turn()
        of.act()
        of.now += timedelta(minutes=6)
    of.gateways["q"].is_online = False
    served = {name: one.seq for name, one in of.gateways.items()}
    operated.person("revert")
    operated.turn()
    of.act()
    away = of.gateways["q"].seq
    of.gateways["q"].is_online = True
    of.act()
    operated.close()
    assert served == {**dict.fromkeys(NAMES, 5), "a": 4}
    assert away == 5
    assert {name: one.seq for name, one in of.gateways.items()} == dict(
        zip(NAMES, FIRSTS, strict=True)
    )
