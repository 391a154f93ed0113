"""`python -m demo`: everything at once on this machine, until Ctrl-C or for DEMO_SECONDS.

Exit codes: 0 every promise kept, 1 one broken, 2 wrong call, 3 a part failed, 130 interrupted.
"""

import argparse
import math
import os
import signal
import sys
from pathlib import Path

from rich.console import Console

from demo.show import Options, run_demo
from tests.kit.errors import KitError

_MIN_SECONDS = 20.0  # the faults need time to develop


def main() -> int:
    """Run the demo as the command line and the environment say."""
    options = _options()
    # An end from outside shall end the children as Ctrl-C does, also in the background of a
    # script, where the shell has SIGINT ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    console = Console()
    try:
        return 0 if run_demo(options, console) else 1
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
        help="how long to stream; default: DEMO_SECONDS, else until Ctrl-C",
    )
    parser.add_argument(
        "--broker",
        choices=("auto", "mosquitto", "amqtt"),
        default="auto",
        help="auto takes Mosquitto where it is installed, else the embedded amqtt",
    )
    parser.add_argument("--keep", action="store_true", help="keep the work folder")
    parser.add_argument(
        "--export-table", type=Path, metavar="FILE", help="write a picture of the table as SVG"
    )
    parser.add_argument(
        "--hours",
        type=int,
        choices=range(12, 25),
        default=24,
        metavar="HOURS",
        help="how long a recorded day is; fewer than 24 train sooner",
    )
    called = parser.parse_args()
    return Options(called.seconds, called.broker, called.keep, called.export_table, called.hours)


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
