"""What eight bits save, and what they cost, in networks of several sizes.

    python -m benchmarks.made_up.eight_bits

Networks are fitted on windows of 64 samples of 8 signals, every sample a feature, to a number that
depends on three delayed signals, two of them bent. The table has the size of the graph and the
error on 1,000 other windows, in full precision and in eight bits, and how many times faster 1 and
32 windows are answered on one thread; both graphs are timed in turn. The last networks are wider
than those of a search. Those below a megabyte are left as they are by the trainer.
"""

import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from benchmarks.estimators import modelled
from models.bundle.manifest import Task
from trainer.estimators.fitting import Answers, Model
from trainer.estimators.network import Network
from trainer.features.scaling import Standardise
from trainer.features.window_features import WindowFeatures
from trainer.graph.export import Graph, export
from trainer.graph.int8 import quantised

LENGTH, SIGNALS, TRAIN, TEST = 64, 8, 2_000, 1_000
WIDTHS: Sequence[tuple[int, ...]] = ((128,), (128, 128), (512,), (512, 512), (1024, 1024))
HEADER = "| task | network | MB | in int8 | figure | in int8 | 1 window | 32 windows |"
_ROUNDS, _RUNS = 9, 30

Windows = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Both:
    """A network as two graphs, with what they answer to the windows that were held out."""

    contents: tuple[bytes, bytes]
    answers: tuple[Answers, Answers]


def drawn(rows: int) -> tuple[Windows, NDArray[np.float64]]:
    """Windows `[rows, length, signals]`, and a number that depends on three samples."""
    random = np.random.default_rng(0)
    noise = random.normal(size=(rows, LENGTH + 8, SIGNALS))
    kernel = np.exp(-np.arange(9) / 3)
    smooth = np.apply_along_axis(np.convolve, 1, noise, kernel, "valid")
    y = np.abs(smooth[:, -5, 0]) + np.maximum(smooth[:, -20, 1], 0) + 2 * smooth[:, -9, 2]
    return (smooth * 3 + 40).astype(np.float32), y + random.normal(scale=0.2, size=rows)


def fitted(task: Task, widths: tuple[int, ...], windows: Windows, y: NDArray[Any]) -> Model:
    """A network on every sample of the windows."""
    lags = WindowFeatures(("lags",), lags=range(LENGTH)).fit(windows)
    scaling = Standardise()
    kind = Network if task == "regression" else MLPClassifier
    network = kind(hidden_layer_sizes=widths, max_iter=12, alpha=1e-2, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        network.fit(scaling.fit_transform(lags.transform(windows)), y)
    return modelled(task, Pipeline([("features", lags), ("scaling", scaling), ("net", network)]))


def both(model: Model, shown: Windows, tested: Windows) -> Both:
    """The graph of a network in full precision and in eight bits, measured on `shown` windows."""

    def measured(telling: bytes, names: Sequence[str]) -> dict[str, NDArray[Any]]:
        answers = Graph(telling).run(shown)
        return {name: answers[name] for name in names}

    whole = export(model, (LENGTH, SIGNALS), "eight-bits", 1)
    small = quantised(whole, measured)
    return Both((whole, small), (Graph(whole).run(tested), Graph(small).run(tested)))


def ratio(contents: tuple[bytes, bytes], windows: Windows) -> float:
    """How many times longer the first graph takes than the second, the median of rounds in turn."""
    graphs, ratios = [Graph(one) for one in contents], []
    for _ in range(_ROUNDS):
        taken = []
        for graph in graphs:
            each = []
            for _ in range(_RUNS):
                start = time.perf_counter_ns()
                graph.run(windows)
                each.append(time.perf_counter_ns() - start)
            taken.append(np.median(each))
        ratios.append(taken[0] / taken[1])
    return float(np.median(ratios))


def row(task: Task, widths: tuple[int, ...], windows: Windows, y: NDArray[Any]) -> str:
    """One row of the table."""
    found = both(fitted(task, widths, windows[:TRAIN], y[:TRAIN]), windows[:500], windows[TRAIN:])
    truth, values = y[TRAIN:], [one["value"] for one in found.answers]
    if task == "regression":
        figures = [f"RMSE {np.sqrt(np.mean((value - truth) ** 2)):.3f}" for value in values]
    else:
        figures = [f"accuracy {np.mean(value == truth):.3f}" for value in values]
    megabytes = [f"{len(one) / 1e6:.2f}" for one in found.contents]
    faster = [f"x {ratio(found.contents, windows[:count]):.1f}" for count in (1, 32)]
    cells = [task, " x ".join(map(str, widths)), *megabytes, *figures, *faster]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Print the table."""
    windows, y = drawn(TRAIN + TEST)
    classes = np.digitize(y, np.quantile(y, [1 / 3, 2 / 3]))
    print(HEADER)
    print("| --- " * 8 + "|")
    with threadpool_limits(limits=1):
        for widths in WIDTHS:
            print(row("regression", widths, windows, y), flush=True)
            print(row("classification", widths, windows, classes), flush=True)


if __name__ == "__main__":
    main()
