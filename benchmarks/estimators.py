"""The size, latency and error of the ONNX graph of each estimator of the trainer.

    python -m benchmarks.estimators

Every family of a search, with the hyper-parameters that it tries first, and every detector is
fitted on 1,500 artificial windows, exported, and compared with scikit-learn on 1,500 other windows.
The table is in docs/estimators.md.
"""

import warnings
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from optuna.trial import FixedTrial
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from models.bundle.manifest import Output, Task
from trainer.bundle.package import tolerance_of
from trainer.estimators.candidate import steps
from trainer.estimators.detectors import DETECTORS
from trainer.estimators.families import FAMILIES, Setting
from trainer.estimators.fitting import Model
from trainer.estimators.monitor import Monitor
from trainer.features.window_features import WindowFeatures
from trainer.graph.export import Graph, export

ROWS, LENGTH, CHANNELS = 1500, 10, 4
CLASSES = ("low", "middle", "high")
HEADER = "| task | estimator | worst error | beyond tolerance | kB | ms a window (p99) |"

Windows = NDArray[np.float32]


def drawn(rows: int = ROWS) -> tuple[Windows, NDArray[np.float64]]:
    """Twice `rows` windows, and a target that depends on them with a bend and a step."""
    windows = np.random.default_rng(0).normal(size=(2 * rows, LENGTH, CHANNELS))
    y = 2 * windows[:, -1, 0] + np.sin(3 * windows[:, -1, 2]) + (windows[:, :, 3].mean(axis=1) > 0)
    windows[:, :, 1] = windows[:, :, 1] * 50 + 640
    return windows.astype(np.float32), y


def models(rows: int = ROWS) -> Iterator[tuple[str, Model]]:
    """Every estimator by name, fitted on `rows` windows."""
    windows, y = drawn(rows)
    classes = np.digitize(y, np.quantile(y, [0.5, 0.9])).astype(np.float64)
    train = windows[:rows]
    features = WindowFeatures().fit(train)
    described = features.transform(train)
    truths: dict[Task, NDArray[np.float64]] = {"classification": classes, "regression": y}
    for task, truth in truths.items():
        spread = float(np.std(truth[:rows])) if task == "regression" else 1.0
        of = Setting(task, 0, rows, spread, features.width)
        for name, family in FAMILIES.items():
            estimator = family.draw(FixedTrial(dict(family.first(of))), of)
            unfitted = steps(estimator, scaled=family.scaled)
            with warnings.catch_warnings():
                # The number of iterations of a network is a hyper-parameter, and may be too low.
                warnings.simplefilter("ignore", ConvergenceWarning)
                fitted = unfitted.fit(described, truth[:rows])
            yield name, modelled(task, Pipeline([("features", features), *fitted.steps]))
    halves = [(np.arange(rows // 2), np.arange(rows // 2, rows))]
    for name in DETECTORS:
        monitor = Monitor((name,)).fit(described, folds=halves)
        yield name, modelled("anomaly", Pipeline([("features", features), ("monitor", monitor)]))


def modelled(task: Task, pipeline: Pipeline) -> Model:
    """A model of the pipeline with the outputs of its task."""
    names = {
        "classification": (("value", "int64"), ("score", "float32"), ("probabilities", "float32")),
        "regression": (("value", "float32"),),
        "anomaly": (("value", "int64"), ("score", "float32")),
    }
    classes = {"classification": CLASSES, "anomaly": ("normal", "anomaly"), "regression": ()}
    outputs = tuple(
        Output(
            name=name,
            dtype=dtype,
            meaning="",
            classes=() if name == "score" else classes[task],
            threshold=1.0 if task == "anomaly" and name == "score" else None,
        )
        for name, dtype in names[task]
    )
    return Model(task, pipeline, outputs)


def compared(model: Model, rows: int = ROWS) -> tuple[bytes, NDArray[np.float64], int]:
    """The graph, its errors on other windows, and the number of errors beyond the tolerance."""
    windows, y = drawn(rows)
    tested = windows[rows:]
    content = export(model, (LENGTH, CHANNELS), "estimators", 1)
    output = {"classification": "probabilities", "anomaly": "score"}.get(model.task, "value")
    wanted, given = model.answer(tested)[output], Graph(content).run(tested)[output]
    error = np.abs(given.astype(np.float64) - wanted)
    tolerance = tolerance_of(model, y[:rows])
    return content, error, int((error > tolerance.atol + tolerance.rtol * np.abs(wanted)).sum())


def row(name: str, model: Model) -> str:
    """One row of the table."""
    content, error, beyond = compared(model)
    latency = Graph(content).latency(drawn()[0][ROWS:])
    return (
        f"| {model.task} | {name} | {error.max():.1e} | {beyond} of {error.size} | "
        f"{len(content) / 1000:.0f} | {latency.p99_ms:.3f} |"
    )


def main() -> None:
    """Print the table."""
    print(HEADER)
    print("| --- " * 6 + "|")
    with threadpool_limits(limits=1):
        for name, model in models():
            print(row(name, model), flush=True)


if __name__ == "__main__":
    main()
