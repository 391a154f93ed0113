"""`python -m demo`: a plant, a broker, the trainer and the agent on this machine.

It runs until Ctrl-C, or for DEMO_SECONDS. Exit codes: 0 all promises were kept, 1 a promise was
broken, 2 wrong arguments, 3 a part of the demo failed, 130 interrupted.
"""

import argparse
import math
import os
import signal
import sys
from pathlib import Path

from rich.console import Console

from demo.rollout.show import run_rollouts
from demo.show import Options, run_demo
from tests.kit.errors import KitError

_MIN_SECONDS = 20.0  # the faults need time to develop


def main() -> int:
    """Run the demo with the options of the command line and of the environment."""
    options = _options()
    # SIGTERM must end the children as Ctrl-C does. SIGINT is set as well, as a shell ignores it for
    # programs that a script starts in the background.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    console = Console()
    try:
        run = run_rollouts if options.rollout else run_demo
        return 0 if run(options, console) else 1
    except KitError as exc:
        Console(stderr=True).print(f"demo: {exc}", style="bold red", markup=False, highlight=False)
        return 3
    except KeyboardInterrupt:
        return 130


def _options() -> Options:
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument(
        "--seconds",
        type=_seconds,
        default=os.environ.get("DEMO_SECONDS") or None,  # argparse converts this text too
        help="seconds to stream; without it DEMO_SECONDS, or else until Ctrl-C",
    )
    parser.add_argument(
        "--broker",
        choices=("auto", "mosquitto", "amqtt"),
        default="auto",
        help="the broker: auto takes Mosquitto where it is installed, else the embedded amqtt",
    )
    parser.add_argument("--keep", action="store_true", help="keep the work folder after the end")
    parser.add_argument(
        "--export-table",
        type=Path,
        metavar="FILE",
        help="write a picture of the table to FILE, as SVG",
    )
    parser.add_argument(
        "--hours",
        type=int,
        choices=range(12, 25),
        default=24,
        metavar="HOURS",
        help="how long a recorded day is; fewer than 24 train sooner",
    )
    parser.add_argument(
        "--rollout",
        action="store_true",
        default=bool(os.environ.get("ROLLOUT")),
        help="three gateways and the rollouts of a good and of a bad model, or ROLLOUT=1",
    )
    called = parser.parse_args()
    options = (called.seconds, called.broker, called.keep, called.export_table, called.hours)
    return Options(*options, rollout=called.rollout)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not _MIN_SECONDS <= seconds < math.inf:
        raise argparse.ArgumentTypeError(
            f"found '{text}', allowed is a number from {_MIN_SECONDS:.0f} on"
        )
    return seconds


if __name__ == "__main__":
    sys.exit(main())
