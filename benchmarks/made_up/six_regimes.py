"""A made-up fleet that changes between six regimes: remaining life with and without conditions.

    python -m benchmarks.made_up.six_regimes [--seeds 5]

Each machine runs until it fails, and every cycle is flown in one of six regimes, as in the sets
FD002 and FD004 of C-MAPSS. A regime moves the sensors a hundred times further than wear does, and
wear shows only in the mean of several cycles. Two settings tell the regime, with a little noise.
There are fewer signals than regimes, so that no weighted sum of signals is the same in all regimes.
The recipe is the same with and without `[conditions]`: windows of 20 cycles, remaining life capped
at 100, no search. A quarter of the machines is held out.
"""

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.made_up.soft_sensor import rmse
from trainer.console import Console
from trainer.dataset.splits import split
from trainer.dataset.training_rows import training_rows
from trainer.estimators.fitting import fit
from trainer.recipe.document import Recipe
from trainer.search.contest import contest

MACHINES, REGIMES, SENSORS, LENGTH, CAP = 40, 6, 3, 20, 100
WEARING, NOISE = 120, 1.0
"""Cycles before the end at which wear begins, and noise of a sensor; at the end wear is about 4."""
HEADER = "| seed | RMSE without conditions | with | ratio |"


@dataclass(frozen=True, slots=True)
class Measured:
    """Root mean square errors of the remaining life on machines that were held out, in cycles."""

    without: float
    conditions: float

    @property
    def ratio(self) -> float:
        """The error with conditions over that without."""
        return self.conditions / self.without


def fleet(path: Path, seed: int, machines: int = MACHINES) -> None:
    """Write the recording of a fleet as a CSV of machine, cycle, settings and sensors."""
    drawn = np.random.default_rng(seed)
    settings = drawn.uniform(0, 40, size=(REGIMES, 2))
    level = drawn.uniform(100, 900, size=(REGIMES, SENSORS))
    gain = drawn.uniform(0.5, 1.5, size=(REGIMES, SENSORS)) * drawn.choice([-1, 1], SENSORS)
    lines = ["machine,cycle,altitude,speed," + ",".join(f"s{at}" for at in range(SENSORS))]
    for machine in range(machines):
        life = int(drawn.integers(120, 220))
        worn = 4 * np.maximum(0, 1 - np.arange(life)[::-1] / WEARING)
        regime = drawn.integers(0, REGIMES, life)
        told = settings[regime] + drawn.normal(scale=0.01, size=(life, 2))
        sensors = level[regime] + gain[regime] * worn[:, np.newaxis]
        sensors += drawn.normal(scale=NOISE, size=sensors.shape)
        for cycle, values in enumerate(np.column_stack([told, sensors])):
            lines.append(f"{machine},{cycle}," + ",".join(f"{value:.4f}" for value in values))
    path.write_text("\n".join(lines) + "\n")


def recipe_for(path: Path, seed: int, *, conditions: bool) -> Recipe:
    """The recipe of the fleet, with or without conditions."""
    names = ["altitude", "speed", *(f"s{at}" for at in range(SENSORS))]
    regimes = {"conditions": {"signals": ["altitude", "speed"], "clusters": REGIMES}}
    return Recipe.model_validate(
        {
            "seed": seed,
            "bundle": {"stream": "remaining-life"},
            "data": {
                "files": [str(path)],
                "asset_column": "machine",
                "time": {"column": "cycle", "unit": "h", "origin": "2025-01-01T00:00:00Z"},
            },
            "signals": [{"name": name} for name in names],
            "window": {"length": LENGTH},
            "target": {"task": "regression", "remaining": "h", "cap": CAP},
            "split": {"method": "group", "test": 0.25},
            **(regimes if conditions else {}),
        }
    )


def error(path: Path, seed: int, *, conditions: bool) -> float:
    """Train the default on a fleet, and measure it on the machines that were held out."""
    recipe = recipe_for(path, seed, conditions=conditions)
    recording, truth = training_rows(recipe)
    parts = split(recording, truth, recipe, recipe.window.spec(recording.period_ms()))
    board = contest(parts.train, truth, recipe, Console())
    model = fit(parts.train, truth, recipe, None if board is None else board.entries[0].candidate)
    return rmse(model.answer(parts.test.values)["value"], truth.y[parts.test.rows])


def measured(seed: int, machines: int = MACHINES) -> Measured:
    """The errors with and without conditions on one fleet."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fleet.csv"
        fleet(path, seed, machines)
        return Measured(*(error(path, seed, conditions=given) for given in (False, True)))


def main() -> None:
    """Print a row for each fleet, and the mean of the ratios."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.made_up.six_regimes")
    parser.add_argument("--seeds", type=int, default=5, help="number of fleets, default 5")
    options = parser.parse_args()
    print(HEADER)
    print("| --- " * 4 + "|")
    ratios = []
    with threadpool_limits(limits=1):
        for seed in range(options.seeds):
            one = measured(seed)
            ratios.append(one.ratio)
            print(
                f"| {seed} | {one.without:.1f} | {one.conditions:.1f} | {one.ratio:.2f} |",
                flush=True,
            )
            print(f"{seed + 1} of {options.seeds} fleets", end="\r", file=sys.stderr)
    print(f"\nratio: mean {np.mean(ratios):.2f}, largest {max(ratios):.2f}")


if __name__ == "__main__":
    main()
