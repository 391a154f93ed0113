"""Writes what a historian would have recorded: `python -m demo.plant.history FOLDER DAYS HOURS`.

There is one CSV file for each day of so many hours, and in it one row for each pump and sample: the
time, the asset, all signals (empty where the sensor was silent), and the condition, as a
maintenance log would have it. The same arguments give the same bytes.
"""

import argparse
import csv
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console
from rich.progress import track

from demo.plant.scenario import DAY_S, SAMPLE_S, history_faults
from demo.plant.simulation import SIGNALS, Plant, Reading

BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
COLUMNS = ["time", "asset", *SIGNALS, "condition"]
SEED = 20260105


def write_history(folder: Path, days: int, hours: int, console: Console) -> list[Path]:
    """Write `day-1.csv`, `day-2.csv` and so on, each of so many hours; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    day_s = hours * 3600.0
    plant = Plant(SEED, history_faults(SEED, days * day_s / DAY_S))
    paths = [folder / f"day-{day}.csv" for day in range(1, days + 1)]
    for path in paths:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            for _ in track(range(int(day_s / SAMPLE_S)), path.name, console=console):
                writer.writerows(map(row, plant.step(SAMPLE_S)))
    return paths


def row(reading: Reading) -> list[str]:
    """Return the row of a reading, in the order of `COLUMNS`."""
    time = (BEGIN + timedelta(seconds=reading.time_s)).isoformat().replace("+00:00", "Z")
    values = [f"{value:.3f}" if math.isfinite(value) else "" for value in reading.signals.values()]
    return [time, reading.asset, *values, reading.condition]


def main() -> None:
    """Write a history into the folder that the command line names."""
    parser = argparse.ArgumentParser(description="Write the simulated plant's history as CSV.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("days", type=int)
    parser.add_argument("hours", type=int)
    called = parser.parse_args()
    write_history(called.folder, called.days, called.hours, Console())


if __name__ == "__main__":
    main()
