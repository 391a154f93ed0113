"""`python -m benchmarks.http.beside`: the agent's figures with the server idle beside it.

The agent answers as fast as it can at QoS 0 and 1, and at 1,000 messages a second: alone, and with
a server on the same machine that serves both forests and is asked nothing, in turns. Printed are
medians over the rounds with the least and the most, and the ratio of both within a round.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.contenders.millhand import THIS, fetch, millhand
from benchmarks.experiments.cases import EXPERIMENTS, Case, Step
from benchmarks.experiments.suite import Measurement, Suite
from benchmarks.http.contenders import server
from benchmarks.load.compiler import compiled
from benchmarks.machine import machine_line
from benchmarks.report.views import spread
from tests.kit.children import python, run
from tests.kit.errors import KitError

_TRAIN_S = 120.0
_RATE = 1_000
_WIDTH = 140  # where the output is no terminal
_FIGURES = {
    "messages a second": "messages_rate",
    "processor s a million": "cpu_s_per_million",
    "p50 us": "p50_us",
    "p99 us": "p99_us",
}


def main() -> int:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.http.beside", description=__doc__)
    parser.add_argument("--rounds", type=int, default=4, help="turns of each (4)")
    parser.add_argument("--seconds", type=float, default=2.0, help="measured seconds of a turn (2)")
    options = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else _WIDTH)
    try:
        alone, beside = _measured(options.rounds, options.seconds, console)
    except KitError as exc:
        console.print(f"benchmark stopped: {exc}", markup=False)
        return 1
    table = Table("case", "figure", "alone", "server idle", "ratio", title="The agent")
    for row in _rows(alone, beside):
        table.add_row(*row)
    console.print(table)
    console.print(f"Machine: {machine_line()}.", style="dim", soft_wrap=True)
    return 0


def _measured(
    rounds: int, seconds: float, console: Console
) -> tuple[list[Measurement], list[Measurement]]:
    """What was measured alone, and with the server; both in the same order."""
    cases = (*EXPERIMENTS["throughput"], *_paced())
    found: tuple[list[Measurement], list[Measurement]] = [], []
    with tempfile.TemporaryDirectory(prefix="millhand-benchmark-") as name:
        folder = Path(name)
        with console.status("training the forest, having the agent fetch it"):
            run(python("benchmarks.served.prepare", os.fspath(folder)), _TRAIN_S)
            fetch(folder, THIS)
        suite, agent = Suite(compiled("generator"), folder, seconds), millhand(folder, online=False)
        for number in track(range(rounds), "measuring", console=console):
            for has_server in (False, True) if number % 2 == 0 else (True, False):
                with server(folder) if has_server else nullcontext():
                    taken = [suite.measure(Step(case, number, agent)) for case in cases]
                found[has_server].extend(taken)
    return found


def _paced() -> Iterator[Case]:
    return (case for case in EXPERIMENTS["latency"] if case.rate == _RATE)


def _rows(alone: Sequence[Measurement], beside: Sequence[Measurement]) -> Iterator[Sequence[str]]:
    pairs = list(zip(alone, beside, strict=True))
    for experiment, case, qos in dict.fromkeys((a.experiment, a.case, a.qos) for a in alone):
        of_case = [
            (a, b) for a, b in pairs if (a.experiment, a.case, a.qos) == (experiment, case, qos)
        ]
        for words, name in _FIGURES.items():
            first = [a.figures[name] for a, _ in of_case]
            second = [b.figures[name] for _, b in of_case]
            ratios = [b / a for a, b in zip(first, second, strict=True)]
            where = f"{experiment} {case} QoS {qos}".replace("  ", " ")
            yield where, words, spread(first), spread(second), spread(ratios)


if __name__ == "__main__":
    sys.exit(main())
