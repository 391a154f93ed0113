"""A made-up soft sensor: the default model beside a line that is told the right lags.

    python -m benchmarks.made_up.soft_sensor [--seeds 40] [--first 0]

A quality follows four measured inputs, each after a dead time of its own and through a first-order
lag. The inputs wander, and so does their mean: in the test part it lies where the training part has
never been. The hand-made rival is a ridge regression on exactly the samples that the quality
depends on, from the dead time to three time constants later. The default is told nothing: the
recipe has a window of 40 samples, no features and no search. Both learn from the first three
quarters and are measured on the last.
"""

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from trainer.console import Console
from trainer.dataset.splits import Parts, split
from trainer.dataset.training_rows import training_rows
from trainer.estimators.fitting import fit
from trainer.recipe.document import Recipe
from trainer.search.contest import contest

ROWS, WARM_UP, LENGTH, SIGNALS = 2000, 200, 40, 4
HEADER = "| seed | default | RMSE | hand-made ridge | ratio | boosting alone |"


@dataclass(frozen=True, slots=True)
class Plant:
    """The measured inputs and the quality of one made-up plant.

    Attributes:
        inputs: `[rows, signals]`.
        quality: `[rows]`.
        lags: for each input, the lags in samples that the quality depends on.
    """

    inputs: NDArray[np.float64]
    quality: NDArray[np.float64]
    lags: tuple[range, ...]


@dataclass(frozen=True, slots=True)
class Measured:
    """Root mean square errors on the test part, and the family of the default model."""

    family: str
    default: float
    hand_made: float
    boosting: float

    @property
    def ratio(self) -> float:
        """The default's error over that of the hand-made ridge."""
        return self.default / self.hand_made


def plant(seed: int, rows: int = ROWS) -> Plant:
    """Draw a plant: dead times of 2 to 12 samples, time constants of 2 to 8 samples."""
    drawn = np.random.default_rng(seed)
    count = rows + WARM_UP
    inputs, response, lags = [], np.zeros(count), []
    for _ in range(SIGNALS):
        dead, constant = int(drawn.integers(2, 13)), float(drawn.uniform(2, 8))
        shocks = drawn.normal(size=count)
        kept = float(drawn.uniform(0.8, 0.97))
        one = _filtered(shocks, kept) / np.sqrt(1 - kept**2) * (1 - kept)
        one = one / one.std() + np.linspace(0, drawn.choice([-4.0, 4.0]), count)
        follows = _filtered(one, float(np.exp(-1 / constant)))
        response += drawn.uniform(0.5, 1.5) * drawn.choice([-1, 1]) * _shifted(follows, dead)
        inputs.append(one)
        lags.append(range(dead, min(LENGTH, dead + round(3 * constant) + 1)))
    noise = _filtered(drawn.normal(size=count), 0.7)
    quality = 50 + response + 0.3 * noise / noise.std()
    return Plant(np.array(inputs).T[WARM_UP:], quality[WARM_UP:], tuple(lags))


def _filtered(values: NDArray[np.float64], kept: float) -> NDArray[np.float64]:
    """Values through a first-order lag of gain 1 that keeps the share `kept` of its state."""
    found, state = np.empty_like(values), values[0]
    for at, value in enumerate(values):
        state = kept * state + (1 - kept) * value
        found[at] = state
    return found


def _shifted(values: NDArray[np.float64], by: int) -> NDArray[np.float64]:
    return np.concatenate([np.full(by, values[0]), values[: len(values) - by]])


def measured(seed: int, rows: int = ROWS) -> Measured:
    """Train the default and its rivals on one plant, and measure them on the last quarter."""
    made = plant(seed, rows)
    with tempfile.TemporaryDirectory() as folder:
        recipe = _recipe(made, Path(folder), seed)
        recording, truth = training_rows(recipe)
        parts = split(recording, truth, recipe, recipe.window.spec(recording.period_ms()))
    board = contest(parts.train, truth, recipe, Console())
    if board is None:
        raise AssertionError("the default had no contest")
    model = fit(parts.train, truth, recipe, board.entries[0].candidate)
    wanted = truth.y[parts.test.rows]
    value = model.answer(parts.test.values)["value"]
    alone = fit(parts.train, truth, recipe).answer(parts.test.values)["value"]
    return Measured(
        f"{board.entries[0].family} on {board.entries[0].features}",
        rmse(value, wanted),
        rmse(_by_hand(made, parts, truth.y), wanted),
        rmse(alone, wanted),
    )


def _recipe(made: Plant, folder: Path, seed: int) -> Recipe:
    names = [f"x{number}" for number in range(SIGNALS)]
    table = np.column_stack([made.inputs, made.quality])
    header = ",".join([*names, "quality"])
    np.savetxt(folder / "plant.csv", table, delimiter=",", header=header, comments="", fmt="%.6g")
    return Recipe.model_validate(
        {
            "seed": seed,
            "bundle": {"stream": "quality"},
            "data": {
                "files": [str(folder / "plant.csv")],
                "time": {"unit": "min", "origin": "2025-01-01T00:00:00Z"},
            },
            "signals": [{"name": name} for name in names],
            "window": {"length": LENGTH},
            "target": {"task": "regression", "column": "quality"},
            "split": {"method": "time", "test": 0.25},
        }
    )


def _by_hand(made: Plant, parts: Parts, y: NDArray[np.float64]) -> NDArray[np.float64]:
    """The answers of a ridge regression on the right lags of each input."""

    def seen(windows: NDArray[np.float32]) -> NDArray[np.float64]:
        columns = [
            windows[:, LENGTH - 1 - lag, at] for at, lags in enumerate(made.lags) for lag in lags
        ]
        return np.array(columns, dtype=np.float64).T

    line = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 4, 15)))
    line.fit(seen(parts.train.values), y[parts.train.rows])
    found: NDArray[np.float64] = line.predict(seen(parts.test.values))
    return found


def rmse(value: NDArray[np.floating], wanted: NDArray[np.floating]) -> float:
    """The root of the mean square error."""
    return float(np.sqrt(np.mean((value.astype(np.float64) - wanted) ** 2)))


def row(seed: int, found: Measured) -> str:
    """One row of the table."""
    return (
        f"| {seed} | {found.family} | {found.default:.3f} | {found.hand_made:.3f} | "
        f"{found.ratio:.3f} | {found.boosting:.3f} |"
    )


def main() -> None:
    """Print a row for each plant, and the mean of the ratios."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.made_up.soft_sensor")
    parser.add_argument("--seeds", type=int, default=40, help="number of plants, default 40")
    parser.add_argument("--first", type=int, default=0, help="seed of the first, default 0")
    options = parser.parse_args()
    print(HEADER)
    print("| --- " * 6 + "|")
    found = []
    with threadpool_limits(limits=1):
        for done, seed in enumerate(range(options.first, options.first + options.seeds), 1):
            found.append(measured(seed))
            print(row(seed, found[-1]), flush=True)
            print(f"{done} of {options.seeds} plants", end="\r", file=sys.stderr)
    ratios = [one.ratio for one in found]
    print(
        f"\nratio: mean {np.mean(ratios):.3f}, median {np.median(ratios):.3f}, "
        f"largest {max(ratios):.3f}"
    )


if __name__ == "__main__":
    main()
