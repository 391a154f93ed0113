"""`python -m chaos`: faults under load, a fuzz of the packet codec, and a soak.

The results are printed and written to chaos/results. Exit code 1: a promise was broken.
"""

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from benchmarks.machine import machine_line
from chaos.faults import FAULTS
from chaos.fuzz import fuzz
from chaos.publisher_faults import PUBLISHER_FAULTS
from chaos.report import HEADERS, Report
from chaos.soak import soak
from chaos.trial import run

RESULTS = Path(__file__).parent / "results"
FUZZ, SOAK = "fuzz", "soak"
ALL = (*FAULTS, *PUBLISHER_FAULTS)
NAMES = (*(fault.name for fault in ALL), FUZZ, SOAK)

MAX_TRIALS = 10_000
MAX_MINUTES = 24 * 60.0
DEFAULT_MINUTES = 10.0

_WIDTH = 150  # where the output is no terminal


def main() -> None:
    """Run what the command line names, print and write the results."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    console = Console(width=None if sys.stdout.isatty() else _WIDTH)
    console.print(f"seed {options.seed}")
    report = Report(machine_line())
    try:
        _take(report, options, console)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    finally:
        _print(report, console)
        _write(report, console)
    sys.exit(0 if report.is_good else 1)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument(
        "--only",
        choices=NAMES,
        action="append",
        metavar="FAULT",
        help=f"run one part only: {', '.join(NAMES)}; the option may be repeated",
    )
    parser.add_argument(
        "--trials", type=int, help="number of trials of each fault, in place of its default"
    )
    parser.add_argument(
        "--minutes",
        type=float,
        default=DEFAULT_MINUTES,
        help="minutes of the fuzz, and of the soak (10)",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=int(time.time()),
        help="seed of the moments of the faults and of the examples of the fuzz; default: the time",
    )
    options = parser.parse_args()
    if options.trials is not None and not 1 <= options.trials <= MAX_TRIALS:
        parser.error(f"--trials is {options.trials}, allowed is 1 to {MAX_TRIALS}")
    if not 0 < options.minutes <= MAX_MINUTES:
        parser.error(f"--minutes is {options.minutes:g}, allowed is more than 0 to {MAX_MINUTES:g}")
    return options


def _take(report: Report, options: argparse.Namespace, console: Console) -> None:
    """Run one part after the other; each result is put into the report at once."""
    names = options.only or NAMES
    with _progress(console) as progress, tempfile.TemporaryDirectory(prefix="chaos-") as name:
        for fault in ALL:
            if fault.name in names:
                trials = options.trials or fault.trials
                with _task(progress, fault.title, trials) as progressed:
                    folder = Path(name) / fault.name
                    folder.mkdir()
                    rows = run(fault, trials, options.seed, folder, progressed)
                good = all(row.is_good for row in rows)
                console.print(f"{fault.title}: {'good' if good else 'BROKEN'}", markup=False)
                report.rows += rows
        if FUZZ in names:
            started = time.monotonic()
            with _task(progress, "fuzz of the codec", 60 * options.minutes) as progressed:
                report.fuzzed = fuzz(
                    options.seed,
                    options.minutes,
                    lambda _seed: progressed(time.monotonic() - started),
                )
        if SOAK in names:
            with _task(progress, "soak", 60 * options.minutes) as progressed:
                report.soaked = soak(Path(name), options.minutes, progressed)


@contextmanager
def _progress(console: Console) -> Iterator[Progress]:
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        yield progress


@contextmanager
def _task(progress: Progress, what: str, total: float) -> Iterator[Callable[[float], None]]:
    """Show the progress of a part; yields the function to call with the amount that is done."""
    task: TaskID = progress.add_task(what, total=total)
    yield lambda done: progress.update(task, completed=done)
    progress.update(task, completed=total)


def _print(report: Report, console: Console) -> None:
    if report.rows:
        table = Table(*HEADERS)
        for row in report.rows:
            table.add_row(*row.cells())
        console.print(table)
    for line in report.remarks:
        console.print(line, markup=False)


def _write(report: Report, console: Console) -> None:
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    path.write_text(report.json())
    path.with_suffix(".md").write_text(report.markdown())
    console.print(f"written: {path} and .md", style="dim", soft_wrap=True)


if __name__ == "__main__":
    main()
