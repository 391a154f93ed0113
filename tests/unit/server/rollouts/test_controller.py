"""The controller where ledger, registry or broker are not as they should be."""

from dataclasses import replace
from pathlib import Path

from server.rollouts.controller import Controller
from server.rollouts.decisions import Decisions
from server.rollouts.ledger import Ledger
from tests.kit.rollouts.documents import START, plan
from tests.kit.rollouts.world import Gateway, World


def begun(path: Path) -> tuple[World, Ledger, Controller]:
    """A rollout of one group whose first step is open."""
    made = plan(groups=[{"name": "all", "share": 1.0, "soak_s": 60}])
    world = World(made, [Gateway("a", 4), Gateway("b", 4)], START)
    ledger = Ledger(path / "ledger.sqlite3", "registry")
    Decisions(world.registry, ledger, lambda: world.now).start(made.id, by="Eva", reason="begin")
    controller = Controller(world.registry, ledger, world, name="c", run="run-1")
    controller.turn(world, world.now)
    world.act()
    return world, ledger, controller


def test_nothing_is_opened_while_the_broker_is_away(tmp_path: Path) -> None:
    world, ledger, controller = begun(tmp_path)
    for one in world.gateways.values():
        one.compare(300, 0, world.plan)
    world.missing = "no connection to the broker"
    before = len(world.registry.written)
    controller.turn(world, world.now)
    waited = controller.followed["press-5"].decision
    world.missing = ""
    controller.turn(world, world.now)
    ledger.close()
    assert waited is not None
    assert (waited.action, waited.reason) == ("wait", "no connection to the broker")
    assert [one.stage for one in world.registry.written[before:]] == [2]


def test_a_ledger_that_can_no_longer_be_used_stops_the_controller(tmp_path: Path) -> None:
    world, ledger, controller = begun(tmp_path)
    ledger.close()
    before = list(world.registry.written)
    controller = Controller(world.registry, ledger, world, name="c", run="run-1")
    controller.turn(world, world.now)
    assert "nothing is opened" in controller.followed["press-5"].trouble
    assert world.registry.written == before


def test_an_older_copy_of_the_registry_opens_nothing_until_a_new_start(tmp_path: Path) -> None:
    world, ledger, controller = begun(tmp_path)
    newest = world.registry.stages["press-5"]
    older = newest.model_copy(update={"epoch": newest.epoch - 1, "stage": 0})
    world.registry.stages["press-5"] = older
    controller.turn(world, world.now)
    trouble, unchanged = controller.followed["press-5"].trouble, world.registry.stages["press-5"]
    again = Controller(world.registry, ledger, world, name="c", run="run-2")
    again.turn(world, world.now)
    ledger.close()
    assert "an older copy of it was put back" in trouble
    assert unchanged == older
    assert world.registry.stages["press-5"].epoch > newest.epoch


def test_a_new_ledger_goes_on_above_what_gateways_know(tmp_path: Path) -> None:
    world, ledger, _ = begun(tmp_path)
    ledger.close()
    known = world.gateways["a"].says
    assert known.current is not None
    assert known.current.rollout is not None
    ahead = known.current.rollout.model_copy(update={"epoch": 70})
    current = known.current.model_copy(update={"rollout": ahead})
    world.gateways["a"].says = replace(known, current=current)
    fresh = Ledger(tmp_path / "fresh.sqlite3", "registry")
    Controller(world.registry, fresh, world, name="c", run="run-9").turn(world, world.now)
    fresh.close()
    assert world.registry.stages["press-5"].epoch == 71


def test_a_pushed_bundle_stays_where_a_person_has_pushed_it(tmp_path: Path) -> None:
    world, ledger, controller = begun(tmp_path)
    pushed = world.desired["a"].model_copy(update={"seq": 3, "rollout": None})
    world.desired["a"] = pushed
    Decisions(world.registry, ledger, lambda: world.now).decide(
        "hold", "press-5", by="Eva", reason="noise"
    )
    controller.turn(world, world.now)
    ledger.close()
    told = world.desired["b"].rollout
    assert world.desired["a"] == pushed
    assert told is not None
    assert told.state == "held"


def test_a_gateway_that_claims_a_later_epoch_delays_steps_but_no_hold(tmp_path: Path) -> None:
    world, ledger, controller = begun(tmp_path)
    said = world.gateways["a"].says.current
    assert said is not None
    assert said.rollout is not None
    false = said.rollout.model_copy(update={"epoch": 70})
    world.gateways["a"].says = replace(
        world.gateways["a"].says, current=said.model_copy(update={"rollout": false})
    )
    Decisions(world.registry, ledger, lambda: world.now).decide(
        "hold", "press-5", by="Eva", reason="noise"
    )
    controller.turn(world, world.now)
    ledger.close()
    told = world.desired["b"].rollout
    assert "70 was signed" in controller.followed["press-5"].trouble
    assert told is not None
    assert told.state == "held"


def test_the_ledger_says_once_that_a_rollout_was_superseded(tmp_path: Path) -> None:
    world, ledger, controller = begun(tmp_path)
    made = plan(id="press-6", supersedes="press-5", groups=[{"name": "all", "share": 1.0}])
    world.registry.plans = {made.id: made}
    Decisions(world.registry, ledger, lambda: world.now).start(made.id, by="Eva", reason="better")
    again = Controller(world.registry, ledger, world, name="c", run="run-2")
    for one in (controller, controller, again):
        one.turn(world, world.now)
    notes = {
        rollout: [
            (one.state, one.reason) for one in ledger.lines(rollout, 100) if one.what == "notes"
        ]
        for rollout in ("press-5", "press-6")
    }
    ledger.close()
    assert notes["press-5"] == [("superseded", "superseded by press-6; it was running")]
    assert notes["press-6"] == [("running", "supersedes press-5, which was running")]
