"""Copies a history with each condition called by the name of another one.

`python -m demo.rollout.mistakes HISTORY MISTAKEN` makes the labels of which no good model is made.
"""

import csv
import sys
from pathlib import Path
from typing import Final

from demo.plant.simulation import CAVITATION, HEALTHY, WORN_BEARING

_MISTAKEN: Final = {HEALTHY: CAVITATION, CAVITATION: WORN_BEARING, WORN_BEARING: HEALTHY}


def mix_up(history: Path, mistaken: Path) -> None:
    """Copy all days of a history into a new folder, with other labels."""
    mistaken.mkdir()
    for path in sorted(history.glob("day-*.csv")):
        with (
            path.open(newline="", encoding="utf-8") as source,
            (mistaken / path.name).open("w", newline="", encoding="utf-8") as target,
        ):
            rows = csv.DictReader(source)
            writer = csv.DictWriter(target, rows.fieldnames or ())
            writer.writeheader()
            writer.writerows(row | {"condition": _MISTAKEN[row["condition"]]} for row in rows)


if __name__ == "__main__":
    mix_up(Path(sys.argv[1]), Path(sys.argv[2]))
