"""A rollout over a made-up fleet: how long it takes, what it costs, and how far a bad model gets.

    python -m benchmarks.made_up.fleet [--gateways 10000] [--hours 24]

Plan, stages, membership, what a gateway does and what the controller decides are the code that
runs on gateways and in `millhand-server`; what a look into the registry costs is measured with the
agent's client before the simulation begins. Made up are the clock, the broker, when gateways are
away, and what two models answer: each block of time disagrees with a probability of its own.

Three bundles: a good one; one that disagrees twice as often as it may; and one that passes in the
shadow, and then meets a reading on which a hard gate brings the former bundle back.
"""

import argparse
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Final, NamedTuple

import numpy as np

from benchmarks.made_up.fleet_model import BEGINS, Fleet
from benchmarks.made_up.fleet_parts import Bundle, Conditions
from benchmarks.made_up.update_costs import Costs, measure, plan_of
from models.rollout.plan import Group

GROUPS: Final = (
    Group(name="first", gateways=tuple(f"gateway-{n}" for n in range(10)), soak_s=3600),
    Group(name="tenth", share=0.1, mode="shadow", soak_s=3600),
    Group(name="rest", share=0.9, mode="serve", soak_s=3600),
)
BUNDLES: Final = (
    Bundle("good", disagreement=0.003, trips_per_hour=0.0),
    Bundle("disagrees twice as often as it may", disagreement=0.06, trips_per_hour=0.0),
    Bundle("turns bad after the swap", disagreement=0.003, trips_per_hour=2.0),
)
_HEAD: Final = (
    "bundle",
    "ended as",
    "after",
    "adopted p50, p99",
    "served it",
    "hours of it",
    "MB of the store",
    "requests a second at most",
    "messages of the broker",
)


class Row(NamedTuple):
    """What became of one bundle.

    Attributes:
        bundle: its name.
        cells: what the table says of it.
    """

    bundle: str
    cells: tuple[str, ...]


def rollout(bundle: Bundle, costs: Costs, options: argparse.Namespace) -> Row:
    """Simulate one rollout.

    Args:
        bundle: the bundle.
        costs: what looks into the registry cost.
        options: of the command line.
    """
    plan = plan_of(GROUPS, BEGINS, options.hours)
    fleet = Fleet(plan, bundle, costs, Conditions(options.gateways, options.spread, options.seed))
    fleet.run(options.hours * 3600)
    found = fleet.found
    waits = np.array(found.adopted_s) / 60
    adopted = (
        "none" if not waits.size else "{:.1f}, {:.1f} min".format(*np.quantile(waits, [0.5, 0.99]))
    )
    return Row(
        bundle.name,
        (
            f"{fleet.stage.state}, step {fleet.stage.stage}",
            f"{found.ended_s / 3600:.1f} h" if found.ended_s is not None else "-",
            adopted,
            f"{found.served} gateways",
            f"{found.served_s / 3600:.1f}",
            f"{found.traffic.bytes / 1e6:.1f}",
            f"{found.most_requests}",
            f"{found.messages.total()}",
        ),
    )


def idle(costs: Costs, gateways: int, poll_s: float = 3600.0) -> str:
    """What a fleet asks of the store while nothing happens, in words."""
    a_day = 86_400 / poll_s * gateways
    return (
        f"an idle fleet of {gateways}, a poll every {poll_s:.0f} s: {costs.idle.requests} requests "
        f"and {costs.idle.bytes} bytes a look, {a_day * costs.idle.bytes / 1e6:.0f} MB a day, "
        f"{a_day * costs.idle.requests / 86_400:.1f} requests a second"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--gateways", type=int, default=10_000)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--spread", type=float, default=10.0, help="seconds, as updates.hint_s")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        costs = measure(Path(folder), plan_of(GROUPS, datetime.now(UTC), options.hours))
    for name in ("idle", "plan", "stage", "bundle"):
        traffic = getattr(costs, name)
        print(f"{name}: {traffic.requests} requests, {traffic.bytes} bytes")
    print(idle(costs, options.gateways))
    print("| " + " | ".join(_HEAD) + " |")
    print("|" + " --- |" * len(_HEAD))
    for bundle in BUNDLES:
        began_s = perf_counter()
        row = rollout(bundle, costs, options)
        print("| " + " | ".join((row.bundle, *row.cells)) + " |", flush=True)
        print(f"  simulated in {perf_counter() - began_s:.0f} s", flush=True)


if __name__ == "__main__":
    main()
