"""`python -m benchmarks.fleet_agents.compare`: the simulation of a fleet beside real agents.

The same plan is rolled out over real agents on loopback, and over as many simulated ones with the
same settings. How long a look into the registry takes is measured before, with the client of the
agent; how long download and proof take is taken from the run. Everything else is the model's.
"""

import argparse
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from benchmarks.fleet_agents.scenario import GOOD
from benchmarks.fleet_agents.site import Site, site
from benchmarks.machine import machine_line
from benchmarks.made_up.fleet_model import BEGINS, Fleet
from benchmarks.made_up.fleet_parts import Bundle, Conditions
from benchmarks.made_up.store import Traffic
from benchmarks.made_up.update_costs import Costs, measure, plan_of
from models.rollout.plan import Group
from tests.kit.errors import KitError

ROLLOUT: Final = "press-2"
HEALTHY_S, EVIDENCE_S, SOAK_S = 5.0, 2.0, 5.0
KINDS: Final = ("current", "evidence", "desired", "feedback")
ALLOWED: Final = 0.2
"""Part by which a figure of the simulation may differ."""
_HOURS: Final = 24.0
_QUIET_S: Final = 32.0
"""Agents look into the registry once within half a minute after their start."""


class Figures(NamedTuple):
    """What a rollout has cost.

    Attributes:
        took_s: seconds from its start until it is done and all serve.
        adopted_s: seconds from the opening of a gateway's step until it serves, by gateway.
        traffic: between gateways and the store.
        said: messages of the control plane by kind.
        passed: all messages that the broker has received.
    """

    took_s: float
    adopted_s: list[float]
    traffic: Traffic
    said: Mapping[str, int]
    passed: float

    def rows(self) -> dict[str, float]:
        """The figures by name."""
        half, most = np.quantile(self.adopted_s, [0.5, 0.99]).tolist()
        return {
            "seconds until it is done": self.took_s,
            "seconds to adoption, p50": half,
            "seconds to adoption, p99": most,
            "bytes from the store": self.traffic.bytes,
            "requests": self.traffic.requests,
            **{f"messages `{kind}`": self.said.get(kind, 0) for kind in KINDS},
            "messages at the broker, with readings and answers": self.passed,
        }


def groups(names: list[str]) -> tuple[Group, ...]:
    """A tenth compares, then as many as make half of the fleet do, then the rest serves."""
    few, half = max(1, len(names) // 10), len(names) // 2
    return (
        Group(name="first", gateways=tuple(names[:few]), soak_s=SOAK_S),
        Group(name="second", gateways=tuple(names[few:half]), soak_s=SOAK_S),
        Group(name="rest", share=1.0, mode="serve", soak_s=SOAK_S),
    )


def real(fleet: Site) -> tuple[Figures, float]:
    """Roll a bundle out over agents.

    Returns:
        What it has cost, and seconds of download and proof.
    """
    recording, names = fleet.recording, fleet.names
    fleet.fleet.server.start()
    time.sleep(_QUIET_S)
    fleet.store.count()
    before, passed, began_s = recording.count(), recording.passed, time.monotonic()
    documents = [one.model_dump(exclude_none=True) for one in groups(names)]
    fleet.fleet.begin(ROLLOUT, GOOD, [_members(one) for one in documents])
    fleet.wait_for(ROLLOUT, 5, "done")
    fleet.wait(lambda: fleet.runs(GOOD.manifest.seq, names), "all gateways served it")
    took_s = time.monotonic() - began_s
    said = Counter(recording.count())
    said.subtract(before)
    fleet.wait(lambda: recording.passed > passed, "the broker has told its counters")
    adopted = [_adopted_s(fleet, name) for name in names]
    figures = Figures(took_s, adopted, fleet.store.count(), said, recording.passed - passed)
    proof_s = float(np.median([_proof_s(fleet, name) for name in names]))
    return figures, proof_s


def _members(group: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in group.items() if value != ()}


def _adopted_s(fleet: Site, name: str) -> float:
    """Seconds from the hint that opens a gateway's step until it says that it serves."""
    steps = zip(groups(fleet.names), (2, 4, 5), strict=True)
    opens = next(step for group, step in steps if name in group.gateways or group.share)
    hints = fleet.recording.said["desired", name]
    opened_s = next(
        one.at_s for one in hints if (one.document.get("rollout") or {}).get("stage", 0) >= opens
    )
    said = fleet.recording.said["current", name]
    served_s = next(one.at_s for one in said if one.document.get("seq") == GOOD.manifest.seq)
    return served_s - opened_s


def _proof_s(fleet: Site, name: str) -> float:
    """Seconds from the first word of a download until the bundle runs, in the shadow or not."""
    said = fleet.recording.said["feedback", name]
    begins = (one.at_s for one in said if one.document.get("state") == "downloading")
    began_s = next(begins, None)
    runs = (
        one.at_s
        for one in fleet.recording.said["current", name]
        if one.document.get("seq") == GOOD.manifest.seq or "shadow" in one.document
    )
    return max(0.0, next(runs) - began_s) if began_s is not None else 0.0


def simulated(costs: Costs, names: list[str], conditions: Conditions, rate: float) -> Figures:
    """Roll the same plan out over simulated gateways.

    Args:
        costs: of looks into the registry.
        names: ids of the gateways.
        conditions: of the gateways.
        rate: readings of a gateway a second, each of which is answered.
    """
    plan = plan_of(groups(names), BEGINS, _HOURS)
    fleet = Fleet(plan, Bundle("good", 0.0, 0.0), costs, conditions)
    fleet.run(_HOURS * 3600)
    found = fleet.found
    took_s = (found.ended_s or 0.0) - conditions.turn_s
    passed = found.messages.total() + 2 * rate * len(names) * took_s
    return Figures(took_s, found.adopted_s, found.traffic, found.messages, passed)


def _table(both: tuple[Figures, Figures]) -> None:
    print("| | agents | simulation | |\n| --- | --- | --- | --- |")
    ours, model = (one.rows() for one in both)
    for name, value in ours.items():
        part = model[name] / value - 1 if value else 0.0
        flag = "" if abs(part) <= ALLOWED else " differs"
        print(f"| {name} | {value:,.4g} | {model[name]:,.4g} | {part:+.0%}{flag} |")


def main() -> None:
    """Run both, and print them side by side."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--gateways", type=int, default=50)
    parser.add_argument("--rate", type=float, default=5.0, help="readings of a gateway a second")
    parser.add_argument("--hint", type=float, default=20.0, help="seconds, as updates.hint_s")
    parser.add_argument("--seconds", type=float, default=1_200.0, help="limit of the whole run")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    names = [f"gateway-{number}" for number in range(options.gateways)]
    sections: dict[str, dict[str, object]] = {
        "updates": {"healthy_s": HEALTHY_S, "hint_s": options.hint},
        "shadow": {"evidence_s": EVIDENCE_S},
    }
    print(machine_line(), flush=True)
    try:
        with tempfile.TemporaryDirectory(prefix="fleet-") as folder:
            costs = measure(Path(folder), plan_of(groups(names), datetime.now(UTC), _HOURS))
        with (
            tempfile.TemporaryDirectory(prefix="fleet-") as folder,
            site(Path(folder), names, sections, options.rate, options.seconds) as fleet,
        ):
            figures, proof_s = real(fleet)
    except KitError as exc:
        sys.exit(f"stopped: {exc}")
    print(f"a look takes {costs.look_s:.1f} s, download and proof {proof_s:.1f} s")
    conditions = Conditions(
        options.gateways,
        options.hint,
        look_s=costs.look_s,
        proof_s=proof_s,
        healthy_s=HEALTHY_S,
        evidence_s=EVIDENCE_S,
        turn_s=0.5,
        block_s=1 / options.rate,
        poll_s=_HOURS * 3600 * 1000,  # no look by itself falls into the run
        online_s=float("inf"),
        never=0.0,
    )
    _table((figures, simulated(costs, names, conditions, options.rate)))


if __name__ == "__main__":
    main()
