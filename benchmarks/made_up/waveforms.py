"""A made-up vibration whose classes differ in nothing but the direction of time.

    python -m benchmarks.made_up.waveforms [--seeds 3]

Impacts rise at once and ring out; swells are impacts played backwards. Chirps rise in frequency;
fallen ones are chirps played backwards. So the two of each pair have the same mean, variance,
extremes, kurtosis and spectrum, and statistics of a window cannot tell them apart: the best that
they can reach is half. Every machine has a resonance, a rate and a gain of its own and runs in
all four states, and a quarter of the machines is held out.

The last table has the time of a window on one thread beside that of a model on the plain features,
all timed in turn.
"""

import argparse
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from trainer.console import Console
from trainer.dataset.splits import split
from trainer.dataset.training_rows import training_rows
from trainer.estimators.fitting import fit
from trainer.graph.export import Graph, export
from trainer.recipe.document import Recipe
from trainer.search.contest import contest

CLASSES = ("impacts", "swells", "rising", "falling")
LENGTH, MACHINES, WINDOWS, NOISE = 256, 16, 8, 0.4
"""Samples of a window, machines, windows of each in each state, and noise beside a wave of 1."""
FEATURES: Mapping[str, Mapping[str, Any]] = {
    "plain": {},
    "statistics and spectrum": {"kinds": ["std", "range", "crest", "kurtosis", "slope", "bands"]},
    "84 kernels": {"kinds": ["kernels"], "kernels": 84},
    "500 kernels": {"kinds": ["kernels"], "kernels": 500},
    "kernels": {"kinds": ["kernels"]},
}
_ROUNDS, _RUNS = 7, 60


@dataclass(frozen=True, slots=True)
class Trained:
    """A model on one set of features, measured on machines that were held out.

    Attributes:
        family: the kind of model that the contest took.
        accuracy: share of windows whose class is right.
        graph: the graph.
        size_bytes: its size.
        windows: windows of the test part, `[n, length, 1]`.
    """

    family: str
    accuracy: float
    graph: Graph
    size_bytes: int
    windows: NDArray[np.float32]


def wave(kind: str, samples: int, drawn: np.random.Generator) -> NDArray[np.float64]:
    """A vibration of one kind with deviation 1, without noise, `[samples]`."""
    period = int(drawn.integers(40, 70))
    time = np.arange(period)
    if kind in {"impacts", "swells"}:
        pulse = np.exp(-time / 10) * np.sin(time * drawn.uniform(0.8, 1.1))
    else:
        pulse = np.sin(np.cumsum(np.linspace(0.15, drawn.uniform(0.7, 0.9), period)))
    if kind in {"swells", "falling"}:
        pulse = pulse[::-1]
    begins = int(drawn.integers(period))
    whole: NDArray[np.float64] = np.resize(np.roll(pulse, begins), samples)
    whole /= whole.std()
    return whole


def recording(path: Path, seed: int, machines: int = MACHINES) -> None:
    """Write the recording as a CSV of machine, state, number and vibration, one row a sample."""
    drawn = np.random.default_rng(seed)
    lines = ["machine,state,sample,vibration"]
    for machine in range(machines):
        gain, level = drawn.uniform(0.8, 1.25), drawn.uniform(-2, 2)
        for at, kind in enumerate(np.repeat(drawn.permutation(CLASSES), WINDOWS)):
            values = wave(kind, LENGTH, drawn) + drawn.normal(scale=NOISE, size=LENGTH)
            lines += [
                f"m{machine},{kind},{at * LENGTH + number},{value:.4f}"
                for number, value in enumerate(level + gain * values)
            ]
    path.write_text("\n".join(lines) + "\n")


def recipe_for(path: Path, seed: int, features: Mapping[str, Any]) -> Recipe:
    """The recipe of the recording: windows side by side, and machines held out."""
    return Recipe.model_validate(
        {
            "seed": seed,
            "bundle": {"stream": "waveforms"},
            "data": {
                "files": [str(path)],
                "asset_column": "machine",
                "time": {"column": "sample", "unit": "ms", "origin": "2025-01-01T00:00:00Z"},
            },
            "signals": [{"name": "vibration"}],
            "window": {"length": LENGTH, "hop": LENGTH},
            "features": features,
            "target": {"task": "classification", "column": "state", "classes": CLASSES},
            "split": {"method": "group", "test": 0.25},
        }
    )


def trained(path: Path, seed: int, features: Mapping[str, Any]) -> Trained:
    """Train the default on these features, and measure it on the machines that were held out."""
    recipe = recipe_for(path, seed, features)
    rows, truth = training_rows(recipe)
    parts = split(rows, truth, recipe, recipe.window.spec(rows.period_ms()))
    board = contest(parts.train, truth, recipe, Console())
    best = None if board is None else board.entries[0]
    model = fit(parts.train, truth, recipe, None if best is None else best.candidate)
    windows = parts.test.values
    right = model.answer(windows)["value"] == truth.y[parts.test.rows]
    content = export(model, windows.shape[1:], "waveforms", 1)
    family = "" if best is None else best.family
    return Trained(family, float(right.mean()), Graph(content), len(content), windows)


def ratios(models: Mapping[str, Trained]) -> dict[str, tuple[float, float]]:
    """Median milliseconds of a window, and the median of its ratio to `plain` round by round."""
    taken = {
        name: [float(np.median(one.graph.durations_ms(one.windows, _RUNS)))]
        for name, one in models.items()
    }
    for _ in range(_ROUNDS - 1):
        for name, one in models.items():
            taken[name].append(float(np.median(one.graph.durations_ms(one.windows, _RUNS))))
    plain = np.array(taken["plain"])
    return {
        name: (float(np.median(each)), float(np.median(np.array(each) / plain)))
        for name, each in taken.items()
    }


def main() -> None:
    """Print the accuracy of each set of features, and what it costs."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.made_up.waveforms")
    parser.add_argument("--seeds", type=int, default=3, help="number of recordings, default 3")
    options = parser.parse_args()
    found: dict[str, list[Trained]] = {name: [] for name in FEATURES}
    with threadpool_limits(limits=1), tempfile.TemporaryDirectory() as folder:
        for seed in range(options.seeds):
            path = Path(folder) / f"{seed}.csv"
            recording(path, seed)
            for name, features in FEATURES.items():
                found[name].append(trained(path, seed, features))
                print(f"{seed}: {name}", end="\r", file=sys.stderr)
    cost = ratios({name: each[0] for name, each in found.items()})
    print("| features | model | accuracy | kB | ms a window | ratio to plain |")
    print("| --- " * 6 + "|")
    for name, each in found.items():
        accuracy = ", ".join(f"{one.accuracy:.2f}" for one in each)
        (ms, ratio), kb = cost[name], each[0].size_bytes / 1000
        print(f"| {name} | {each[0].family} | {accuracy} | {kb:.0f} | {ms:.3f} | {ratio:.1f} |")


if __name__ == "__main__":
    main()
