"""The model that is served: a forest of 100 trees, as pickle, graph, and bundles in a registry.

Run as `python -m benchmarks.forest FOLDER`, a process of its own, so that the benchmark itself
shares no library pages with the contenders whose memory it measures.
"""

import pickle
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, checker, helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.ensemble import RandomForestClassifier

from benchmarks.workload import (
    GRAPH,
    KEYS,
    LARGEST_VALUE,
    PICKLE,
    REGISTRY,
    ROWS,
    SCALARS,
    SIGNALS,
    Shape,
)
from models.bundle import write_bundle
from models.golden import Golden, write_golden
from models.manifest import (
    Budget,
    Channel,
    GoldenSpec,
    Lineage,
    Manifest,
    Metrics,
    Output,
    WindowSpec,
)
from trainer import registry
from trainer.keys import Keys

_SEED = 1
_TREES, _DEPTH, _ROWS = 100, 10, 4000
_GOLDEN = 64
_BUNDLES = ((ROWS, 1), (ROWS, 2), (SCALARS, 1))
"""Shape and seq; two of one stream, so that there is something to swap."""


def main() -> None:
    """Train the forest, write it in all its forms, and publish the bundles."""
    folder = Path(sys.argv[1])
    forest = _fitted(_rows(_ROWS))
    (folder / PICKLE).write_bytes(pickle.dumps(forest))
    (folder / GRAPH).write_bytes(_graph(forest, ROWS, 1))
    keys = Keys(folder / KEYS)
    registry.init(folder / REGISTRY, keys)
    for shape, seq in _BUNDLES:
        registry.publish(folder / REGISTRY, _bundle(folder, forest, shape, seq), keys)


def _bundle(folder: Path, forest: RandomForestClassifier, shape: Shape, seq: int) -> Path:
    model = _graph(forest, shape, seq)
    members = {
        "model.onnx": model,
        "golden.npz": write_golden(_golden(forest, shape.length)),
        "reference.json": b"{}\n",
        "report.html": b"<!doctype html><title>forest</title><p>Made by the benchmark.\n",
    }
    path = folder / f"{shape.stream}-{seq}.zip"
    write_bundle(path, _manifest(shape, seq, len(model)), members)
    return path


def _rows(count: int) -> NDArray[np.float32]:
    """Return rows as the load generator sends them, float32 `[count, signals]`."""
    spread = np.random.default_rng(_SEED).uniform(0.0, LARGEST_VALUE, (count, len(SIGNALS)))
    return spread.astype(np.float32)


def _fitted(rows: NDArray[np.float32]) -> RandomForestClassifier:
    noise = np.random.default_rng(_SEED + 1).normal(0.0, LARGEST_VALUE / 10, len(rows))
    wear = rows[:, 0] * rows[:, 1] / LARGEST_VALUE + rows[:, 2] - rows[:, 3] + noise
    forest = RandomForestClassifier(_TREES, max_depth=_DEPTH, random_state=_SEED)
    return forest.fit(rows, (wear > np.median(wear)).astype(np.int64))


def _graph(forest: RandomForestClassifier, shape: Shape, seq: int) -> bytes:
    """Return the forest as the graph of a bundle: `window` in, `value` and `score` out.

    It judges the mean of the window's samples, which in a window of one is that sample.
    """
    width = len(SIGNALS)
    converted = to_onnx(
        forest, initial_types=[("rows", FloatTensorType([None, width]))], options={"zipmap": False}
    )
    trees = converted.graph
    (forest_node,) = trees.node
    forest_node.output[0] = "value"
    sample_node, axes = _sample(shape)
    nodes = [
        sample_node,
        forest_node,
        helper.make_node("Gather", [forest_node.output[1], "positive"], ["score"], axis=1),
    ]
    window: list[str | int | None] = ["batch", shape.length, width]
    inputs = [helper.make_tensor_value_info("window", TensorProto.FLOAT, window)]
    outputs = [
        helper.make_tensor_value_info("value", TensorProto.INT64, ["batch"]),
        helper.make_tensor_value_info("score", TensorProto.FLOAT, ["batch"]),
    ]
    positive = helper.make_tensor("positive", TensorProto.INT64, [], [1])
    constants = [*trees.initializer, *axes, positive]
    model = helper.make_model(
        helper.make_graph(nodes, shape.stream, inputs, outputs, constants),
        opset_imports=converted.opset_import,
        ir_version=converted.ir_version,
    )
    helper.set_model_props(model, {"stream": shape.stream, "seq": str(seq)})
    checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def _sample(shape: Shape) -> tuple[NodeProto, list[TensorProto]]:
    """Return the node that makes one row of a window, and the constants it takes."""
    if shape.length == 1:
        return helper.make_node("Flatten", ["window"], ["rows"], axis=1), []
    axes = helper.make_tensor("axes", TensorProto.INT64, [1], [1])
    return helper.make_node("ReduceMean", ["window", "axes"], ["rows"], keepdims=0), [axes]


def _golden(forest: RandomForestClassifier, length: int) -> Golden:
    windows = _rows(_GOLDEN * length).reshape(_GOLDEN, length, len(SIGNALS))
    means = windows.mean(axis=1)
    outputs = {
        "value": forest.predict(means).astype(np.int64),
        "score": forest.predict_proba(means)[:, 1].astype(np.float32),
    }
    return Golden(windows=windows, outputs=outputs)


def _manifest(shape: Shape, seq: int, model_bytes: int) -> Manifest:
    return Manifest(
        stream=shape.stream,
        name="Forest of the benchmark",
        version=f"{seq}.0.0",
        seq=seq,
        created=datetime.now(UTC),
        task="classification",
        channels=tuple(Channel(name=signal) for signal in SIGNALS),
        window=WindowSpec(length=shape.length),
        outputs=(
            Output(name="value", dtype="int64", meaning="worn", classes=("good", "worn")),
            Output(name="score", dtype="float32", meaning="probability of worn"),
        ),
        golden=GoldenSpec(count=_GOLDEN),
        metrics=Metrics(split="none", test_rows=0, values={}),
        lineage=Lineage(data={}, code_version=version("millhand"), seed=_SEED),
        budget=Budget(latency_ms_p99=1.0, model_bytes=model_bytes),
    )


if __name__ == "__main__":
    main()
