"""`python -m benchmarks.fleet_agents`: three rollouts over a fleet of real agents, under faults.

Broker, registry over HTTP, server and agents are real programs on loopback. A bundle that is worse
in the shadow, a good one, and one that turns bad after the swap are rolled out one after the other;
meanwhile the controller is killed, a third of the gateways is away, and the broker is restarted.
Printed is what was promised beside what was found. Exit code 1: a promise was broken, or the time
was over.
"""

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.fleet_agents.faults import Faults
from benchmarks.fleet_agents.promises import Promise, promises
from benchmarks.fleet_agents.scenario import Scenario
from benchmarks.fleet_agents.site import Site, site
from benchmarks.machine import machine_line
from tests.kit.errors import KitError

_MOST_GATEWAYS, _MOST_KILLS, _MOST_SECONDS = 200, 1_000, 7_200.0
_LEAST_GATEWAYS = 6
_SECTIONS: dict[str, dict[str, object]] = {
    "updates": {"healthy_s": 2.0, "hint_s": 3.0},
    "shadow": {"evidence_s": 1.0, "probation_s": 150.0},
}


def main() -> None:
    """Run the fleet, and print the table."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    began_s = time.monotonic()
    names = [f"gw{number:02}" for number in range(1, options.gateways + 1)]
    print(f"{machine_line()}; seed {options.seed}", flush=True)
    try:
        with tempfile.TemporaryDirectory(prefix="fleet-") as folder:
            found = _run(Path(options.keep or folder), names, options)
    except KitError as exc:
        sys.exit(f"stopped: {exc}")
    print(f"{options.gateways} gateways, {time.monotonic() - began_s:.0f} s")
    print("| promise | found | |\n| --- | --- | --- |")
    for one in found:
        print(f"| {one.what} | {one.found} | {'kept' if one.is_kept else 'BROKEN'} |")
    sys.exit(0 if all(one.is_kept for one in found) else 1)


def _run(folder: Path, names: list[str], options: argparse.Namespace) -> list[Promise]:
    with site(folder, names, _SECTIONS, options.rate, options.seconds) as fleet:
        faults = Faults(fleet, options.seed)
        scenario = Scenario(fleet, faults, options.kills)
        scenario.run()
        _drain(fleet)
        return promises(fleet, scenario, faults)


def _drain(fleet: Site) -> None:
    """Send no more readings, and wait until those that were sent are answered, or time is over."""
    fleet.plant.stop()
    fleet.plant.flush()

    def is_answered() -> bool:
        answers = fleet.recording.answers
        return all(
            len({one.row for one in answers[name]}) >= count
            for name, count in fleet.plant.sent.items()
        )

    fleet.ends_s = min(fleet.ends_s, time.monotonic() + 60.0)
    try:
        fleet.wait(is_answered, "all readings were answered")
    except KitError as exc:
        print(exc)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.fleet_agents",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--gateways", type=int, default=30)
    parser.add_argument("--kills", type=int, default=20, help="how often the controller is killed")
    parser.add_argument("--seconds", type=float, default=1_200.0, help="limit of the whole run")
    parser.add_argument("--rate", type=float, default=10.0, help="readings of a gateway a second")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the faults")
    parser.add_argument("--keep", help="empty folder for all files, which stay; default: none stay")
    options = parser.parse_args()
    limits = {
        "gateways": (_LEAST_GATEWAYS, _MOST_GATEWAYS),
        "kills": (0, _MOST_KILLS),
        "seconds": (1, _MOST_SECONDS),
        "rate": (0.1, 1_000.0),
    }
    for name, (least, most) in limits.items():
        if not least <= (value := getattr(options, name)) <= most:
            parser.error(f"--{name} is {value:g}, allowed is {least:g} to {most:g}")
    return options


if __name__ == "__main__":
    main()
