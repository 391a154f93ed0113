"""The gates of a rollout on public recordings, through a broker and an agent with a shadow.

    MILLHAND_DATA=/data/public python -m benchmarks.recorded.gates [--only SET ...]

A recording that nobody was trained on is replayed through Mosquitto to an agent, which serves a
bundle of its first part and has a candidate in its shadow: the same model again, one that was
trained on other rows, or one that takes a signal to be in another unit. The verdicts are those of
the evidence that the broker retains; each is computed again from its counters, and beside it stands
where the same trial ends offline.
"""

import argparse
import os
import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path
from typing import Final

from benchmarks.errors import BenchmarkError
from tests.realdata.plants import KINDS, PLANTS, Kind
from tests.realdata.trial import FIRST_LOOK, Ended, Trial, at_the_gateway, offline_trial, verdict

LOOKS: Final = 40
"""Times that the evidence of a whole recording is looked at, about."""
HEADER: Final = (
    "| recording | candidate | ends by | windows | blocks | left out | offline | windows offline |"
)


def row(name: str, kind: Kind, data: Path) -> str:
    """Cells of the table for one trial.

    Raises:
        BenchmarkError: the verdict of the agent is not that of its own counters.
    """
    with redirect_stdout(sys.stderr):  # where the trainer shows what it does
        trial = Trial.of(name, kind, data)
    look = max(FIRST_LOOK, len(trial.plant.windows(data)[1]) // LOOKS)
    with tempfile.TemporaryDirectory(prefix="millhand-gates-") as folder:
        found = at_the_gateway(Path(folder), trial, look)
    evidence = found.evidence
    if not evidence.tripped and verdict(evidence) != evidence.verdict:
        raise BenchmarkError(
            f"{name}, {kind}: the agent says {evidence.verdict}, its counters {verdict(evidence)}"
        )
    blocks = evidence.gates["disagreement"].hits + evidence.gates["disagreement"].misses
    left = sum(evidence.left_out.values())
    other = offline_trial(trial, FIRST_LOOK)
    return f"{name} | {kind} | {_said(found)} | {blocks} | {left} | {_said(other)}"


def _said(ended: Ended) -> str:
    return f"{ended.end} | {ended.windows}"


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.recorded.gates", description=__doc__
    )
    parser.add_argument("--only", choices=PLANTS, nargs="+", help="only these recordings")
    parser.add_argument("--kind", choices=KINDS, nargs="+", help="only these candidates")
    options = parser.parse_args()
    if "MILLHAND_DATA" not in os.environ:
        parser.error("MILLHAND_DATA must name the folder of the datasets; see docs/data.md")
    data = Path(os.environ["MILLHAND_DATA"])
    print(HEADER)
    print("| --- " * HEADER.count(" |") + "|")
    for name in options.only or PLANTS:
        for kind in options.kind or KINDS:
            print(f"| {row(name, kind, data)} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
