"""The model that is served: a forest of 100 trees, as a pickle and as a bundle in a registry.

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
from onnx import TensorProto, checker, helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.ensemble import RandomForestClassifier

from benchmarks.workload import KEYS, LARGEST_VALUE, PICKLE, REGISTRY, SIGNALS, STREAM
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

_SEQ = 1
_SEED = 1
_TREES, _DEPTH, _ROWS = 100, 10, 4000
_GOLDEN_ROWS = 64


def main() -> None:
    """Train the forest, write it in both shapes, and publish the bundle."""
    folder = Path(sys.argv[1])
    rows = _rows()
    forest = _fitted(rows)
    (folder / PICKLE).write_bytes(pickle.dumps(forest))
    model = _graph(forest)
    members = {
        "model.onnx": model,
        "golden.npz": write_golden(_golden(forest, rows[:_GOLDEN_ROWS])),
        "reference.json": b"{}\n",
        "report.html": b"<!doctype html><title>forest</title><p>Made by the benchmark.\n",
    }
    bundle = folder / "forest.zip"
    write_bundle(bundle, _manifest(len(model)), members)
    keys = Keys(folder / KEYS)
    registry.init(folder / REGISTRY, keys)
    registry.publish(folder / REGISTRY, bundle, keys)


def _rows() -> NDArray[np.float32]:
    """Return rows as the load generator sends them, float32 `[rows, signals]`."""
    spread = np.random.default_rng(_SEED).uniform(0.0, LARGEST_VALUE, (_ROWS, len(SIGNALS)))
    return spread.astype(np.float32)


def _fitted(rows: NDArray[np.float32]) -> RandomForestClassifier:
    noise = np.random.default_rng(_SEED + 1).normal(0.0, LARGEST_VALUE / 10, len(rows))
    wear = rows[:, 0] * rows[:, 1] / LARGEST_VALUE + rows[:, 2] - rows[:, 3] + noise
    forest = RandomForestClassifier(_TREES, max_depth=_DEPTH, random_state=_SEED)
    return forest.fit(rows, (wear > np.median(wear)).astype(np.int64))


def _graph(forest: RandomForestClassifier) -> bytes:
    """Return the forest as the graph of a bundle: `window` in, `value` and `score` out."""
    width = len(SIGNALS)
    converted = to_onnx(
        forest, initial_types=[("rows", FloatTensorType([None, width]))], options={"zipmap": False}
    )
    trees = converted.graph
    (forest_node,) = trees.node
    forest_node.output[0] = "value"
    nodes = [
        helper.make_node("Flatten", ["window"], ["rows"], axis=1),
        forest_node,
        helper.make_node("Gather", [forest_node.output[1], "positive"], ["score"], axis=1),
    ]
    inputs = [helper.make_tensor_value_info("window", TensorProto.FLOAT, ["batch", 1, width])]
    outputs = [
        helper.make_tensor_value_info("value", TensorProto.INT64, ["batch"]),
        helper.make_tensor_value_info("score", TensorProto.FLOAT, ["batch"]),
    ]
    constants = [*trees.initializer, helper.make_tensor("positive", TensorProto.INT64, [], [1])]
    model = helper.make_model(
        helper.make_graph(nodes, STREAM, inputs, outputs, constants),
        opset_imports=converted.opset_import,
        ir_version=converted.ir_version,
    )
    helper.set_model_props(model, {"stream": STREAM, "seq": str(_SEQ)})
    checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def _golden(forest: RandomForestClassifier, rows: NDArray[np.float32]) -> Golden:
    outputs = {
        "value": forest.predict(rows).astype(np.int64),
        "score": forest.predict_proba(rows)[:, 1].astype(np.float32),
    }
    return Golden(windows=rows[:, np.newaxis, :], outputs=outputs)


def _manifest(model_bytes: int) -> Manifest:
    return Manifest(
        stream=STREAM,
        name="Forest of the benchmark",
        version="1.0.0",
        seq=_SEQ,
        created=datetime.now(UTC),
        task="classification",
        channels=tuple(Channel(name=signal) for signal in SIGNALS),
        window=WindowSpec(length=1),
        outputs=(
            Output(name="value", dtype="int64", meaning="worn", classes=("good", "worn")),
            Output(name="score", dtype="float32", meaning="probability of worn"),
        ),
        golden=GoldenSpec(count=_GOLDEN_ROWS),
        metrics=Metrics(split="none", test_rows=0, values={}),
        lineage=Lineage(data={}, code_version=version("millhand"), seed=_SEED),
        budget=Budget(latency_ms_p99=1.0, model_bytes=model_bytes),
    )


if __name__ == "__main__":
    main()
