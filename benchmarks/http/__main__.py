"""`python -m benchmarks.http`: processor time, latency and memory of models over HTTP, in turns.

wrk asks each contender the same windows over 1 and over 32 connections: a JSON document of one row,
and raw bytes of 60 rows. Printed are medians over the rounds with the least and the most, and each
as a multiple of the server's own in the same round. `--peers` installs MLServer and MLflow into the
user's cache, and measures them too.
"""

import argparse
import json
import os
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.__main__ import RESULTS
from benchmarks.http.contenders import mlflow_scoring, mlserver, nginx, server
from benchmarks.http.load import program
from benchmarks.http.requests import BINARY, JSON
from benchmarks.http.turns import CONNECTIONS, Turn, rows, take
from benchmarks.machine import machine_line
from tests.kit.children import python, run
from tests.kit.errors import KitError

_TRAIN_S = 120.0
_WIDTH = 140  # where the output is no terminal
_HEADERS = (
    "request",
    "connections",
    "contender",
    "processor us a request",
    "x ours",
    "p50 ms",
    "x ours",
    "requests/s",
    "PSS MB",
)


def main() -> None:
    """Measure, print the table, and write the turns."""
    options = _options()
    console = Console(width=None if sys.stdout.isatty() else _WIDTH)
    machine = machine_line()
    try:
        program()
        turns = _measured(options, console)
    except KitError as exc:
        console.print(f"benchmark stopped: {exc}", markup=False)
        sys.exit(1)
    table = Table(*_HEADERS, title="Models over HTTP")
    for row in rows(turns):
        table.add_row(*row)
    console.print(table)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"http-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    found = {"machine": machine, "turns": [asdict(turn) for turn in turns]}
    path.write_text(json.dumps(found, indent=1) + "\n")
    console.print(f"Machine: {machine}.\nwritten: {path}", style="dim", soft_wrap=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.http", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="turns of every contender (5)")
    parser.add_argument("--seconds", type=int, default=2, help="measured seconds of a turn (2)")
    parser.add_argument("--peers", action="store_true", help="measure MLServer and MLflow too")
    return parser.parse_args()


def _measured(options: argparse.Namespace, console: Console) -> list[Turn]:
    starts = [nginx, server, *((mlserver, mlflow_scoring) if options.peers else ())]
    turns = []
    with tempfile.TemporaryDirectory(prefix="millhand-benchmark-") as name, ExitStack() as stack:
        folder = Path(name)
        with console.status("training the forest, starting the contenders"):
            run(python("benchmarks.served.prepare", os.fspath(folder)), _TRAIN_S)
            contenders = [stack.enter_context(start(folder)) for start in starts]
        plan = [
            ((number, case, connections), contender)
            for number in range(options.rounds)
            for case in (JSON, BINARY)
            for connections in CONNECTIONS
            for contender in contenders
            if case in contender.posts
        ]
        for place, contender in track(plan, "measuring", console=console):
            turns.append(take(contender, place, options.seconds, folder))
    return turns


if __name__ == "__main__":
    main()
