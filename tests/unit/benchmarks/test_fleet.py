"""The simulation of a fleet: what becomes of a good bundle, and how far a bad one gets."""

from benchmarks.made_up.fleet import BUNDLES, GROUPS
from benchmarks.made_up.fleet_model import BEGINS, Fleet
from benchmarks.made_up.fleet_parts import Bundle, Conditions
from benchmarks.made_up.store import Traffic
from benchmarks.made_up.update_costs import Costs, plan_of

COSTS = Costs(Traffic(2, 500), Traffic(7, 4000), Traffic(5, 2000), Traffic(1, 10_000))
FIRST = len(GROUPS[0].gateways)


def simulated(bundle: Bundle, *, spread_s: float = 10.0) -> Fleet:
    fleet = Fleet(plan_of(GROUPS, BEGINS, 48.0), bundle, COSTS, Conditions(100, spread_s))
    fleet.run(48 * 3600)
    return fleet


def test_a_good_bundle_reaches_every_gateway_that_is_ever_online() -> None:
    fleet = simulated(BUNDLES[0])
    assert fleet.stage.state == "done"
    assert fleet.found.served == 99  # one of a hundred is away all the time
    assert fleet.found.traffic.bytes > 99 * COSTS.bundle.bytes


def test_a_bundle_that_disagrees_is_held_before_it_serves_anywhere() -> None:
    fleet = simulated(BUNDLES[1])
    assert (fleet.stage.state, fleet.stage.stage) == ("held", 1)
    assert fleet.found.served == 0


def test_a_bundle_that_turns_bad_does_not_leave_the_first_group() -> None:
    fleet = simulated(BUNDLES[2])
    assert (fleet.stage.state, fleet.stage.stage) == ("held", 2)
    assert 0 < fleet.found.served <= FIRST


def test_looks_after_a_hint_are_spread() -> None:
    at_once, spread = (simulated(BUNDLES[0], spread_s=one).found for one in (0.0, 60.0))
    assert at_once.most_requests > 5 * spread.most_requests
