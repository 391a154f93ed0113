"""Writes what the historians of three sites have recorded: `python -m demo.rollout.history`.

It takes the arguments of `demo.plant.history`, and writes the same files; an asset is named by its
site, too. The same arguments give the same bytes.
"""

import argparse
import csv
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.progress import track

from demo.plant.history import COLUMNS, row
from demo.plant.simulation import Reading
from demo.rollout.scenario import SPEED, recorded_plants, sample, samples


def write_history(folder: Path, days: int, hours: int, console: Console) -> list[Path]:
    """Write `day-1.csv`, `day-2.csv` and so on, each of so many plant hours; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    plants = recorded_plants(days * hours / 24)
    paths = [folder / f"day-{day}.csv" for day in range(1, days + 1)]
    for path in paths:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            for _ in track(range(samples(hours)), path.name, console=console):
                for site, plant in plants.items():
                    for reading in sample(plant):
                        writer.writerow(row(_recorded(site, reading)))
    return paths


def _recorded(site: str, reading: Reading) -> Reading:
    """A reading as a historian has it, whose clock is that on the wall."""
    return replace(reading, line=f"{site}/{reading.line}", time_s=reading.time_s / SPEED)


def main() -> None:
    """Write a history into the folder that the command line names."""
    parser = argparse.ArgumentParser(description="Write the history of three sites as CSV.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("days", type=int)
    parser.add_argument("hours", type=int)
    called = parser.parse_args()
    write_history(called.folder, called.days, called.hours, Console())


if __name__ == "__main__":
    main()
