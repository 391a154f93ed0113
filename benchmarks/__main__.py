"""`python -m benchmarks`: measure the contenders in turns, and print and write the results."""

import argparse
import os
import signal
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table as RichTable

from benchmarks import large
from benchmarks.contenders.contender import Contender, limit, plain
from benchmarks.contenders.millhand import THIS, checkout, fetch, millhand
from benchmarks.contenders.peers import peers, versions
from benchmarks.errors import BenchmarkError
from benchmarks.experiments.cases import EXPERIMENTS, Step, steps
from benchmarks.experiments.suite import Measurement, Suite
from benchmarks.load.compiler import compiled
from benchmarks.machine import machine_line
from benchmarks.report.tables import Report
from benchmarks.report.views import Table
from tests.kit.children import python, run
from tests.kit.errors import KitError

RESULTS = Path(__file__).parent / "results"

LARGE = "large"
MAX_ROUNDS = 100
MAX_SECONDS = 60.0

_TRAIN_S = 120.0
_WIDTH = 120  # where the output is no terminal


def main() -> None:
    """Measure what the command line names, print and write the results."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    console = Console(width=None if sys.stdout.isatty() else _WIDTH)
    try:
        if options.only == LARGE:
            _measure_large(console)
            return
        report = _measured(options, console)
    except KitError as exc:
        console.print(f"benchmark stopped: {exc}", markup=False)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    _print(report, console)
    _write(report, console)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--rounds", type=int, default=5, help="number of turns of every contender (5)"
    )
    parser.add_argument("--seconds", type=float, default=2.0, help="measured seconds of a turn (2)")
    parser.add_argument(
        "--only",
        choices=[*EXPERIMENTS, LARGE],
        help="run one experiment instead of "
        f"all; '{LARGE}' takes minutes and 8 GB of memory, and runs only so",
    )
    others = parser.add_mutually_exclusive_group()
    others.add_argument(
        "--peers", action="store_true", help="measure two programs in JavaScript too"
    )
    others.add_argument(
        "--against",
        type=Path,
        metavar="DIR",
        help="measure this checkout's agent in turns with that of another checkout in DIR, which "
        "has its own .venv, and nothing else",
    )
    options = parser.parse_args()
    if not 1 <= options.rounds <= MAX_ROUNDS:
        parser.error(f"--rounds is {options.rounds}, allowed is 1 to {MAX_ROUNDS}")
    if not 0 < options.seconds <= MAX_SECONDS:
        parser.error(f"--seconds is {options.seconds:g}, allowed is more than 0 to {MAX_SECONDS:g}")
    return options


def _measured(options: argparse.Namespace, console: Console) -> Report:
    machine = machine_line() + (f", {versions()}" if options.peers else "")
    experiments = [options.only] if options.only else list(EXPERIMENTS)
    with tempfile.TemporaryDirectory(prefix="millhand-benchmark-") as name:
        folder = Path(name)
        suite = Suite(compiled("generator"), folder, options.seconds)
        with console.status(
            "training the forest, publishing the models, having the agent fetch them"
        ):
            contenders = _prepared(folder, options.against)
        if options.peers:
            with console.status("installing the peers"):
                contenders += peers(folder)
        plan = steps(contenders, experiments, options.rounds)
        return Report(machine, _take_turns(suite, plan, console))


def _measure_large(console: Console) -> None:
    """Measure the server with large models, each in a folder that is removed afterwards."""
    rows = []
    for kind, size_mb in large.cases():
        with (
            console.status(f"{kind}, {size_mb} MB"),
            tempfile.TemporaryDirectory(prefix="millhand-benchmark-") as name,
        ):
            rows.append(large.measured(Path(name), kind, size_mb))
        console.print(" | ".join(rows[-1]), markup=False)  # each takes minutes
    table = large.table(rows)
    _draw(table, console)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{LARGE}.md"
    path.write_text(f"{table.markdown()}\n\nMachine: {machine_line()}.\n")
    console.print(f"written: {path}", style="dim", soft_wrap=True)


def _prepared(folder: Path, against: Path | None) -> list[Contender]:
    """Train and publish the models; each agent fetches its bundles and keeps them."""
    checkouts = [THIS] if against is None else [checkout(against), THIS]
    run(python("benchmarks.served.prepare", os.fspath(folder)), _TRAIN_S)
    for one in checkouts:
        fetch(folder, one)
    agents = [
        millhand(folder, online=online, of=one) for online in (False, True) for one in checkouts
    ]
    return agents if against else [limit(), plain(folder), *agents]


def _take_turns(suite: Suite, plan: list[Step], console: Console) -> list[Measurement]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    taken = []
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        task = progress.add_task("", total=len(plan))
        for step in plan:
            progress.update(task, description=str(step))
            taken.append(_turn(suite, step, console))
            progress.advance(task)
    return taken


def _turn(suite: Suite, step: Step, console: Console) -> Measurement:
    """Measure a step, twice if need be: one moment of a busy machine must not cost all others."""
    try:
        return suite.measure(step)
    except BenchmarkError as exc:
        console.print(f"{step} is measured again: {exc}", markup=False)
        return suite.measure(step)


def _print(report: Report, console: Console) -> None:
    for table in report.tables():
        _draw(table, console)


def _draw(table: Table, console: Console) -> None:
    drawn = RichTable(*table.headers, title=table.title)
    for row in table.rows:
        drawn.add_row(*row)
    console.print(drawn)


def _write(report: Report, console: Console) -> None:
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    path.write_text(report.json())
    path.with_suffix(".md").write_text(report.markdown())
    path.with_suffix(".svg").write_text(report.svg())
    console.print(f"written: {path}, .md and .svg", style="dim", soft_wrap=True)


if __name__ == "__main__":
    main()
