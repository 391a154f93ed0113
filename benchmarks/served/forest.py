"""A random forest of 100 trees, in scikit-learn and as an ONNX graph."""

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, checker, helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.ensemble import RandomForestClassifier

from benchmarks.load.workload import LARGEST_VALUE, SIGNALS, Shape
from benchmarks.served.bundle import SEED, Model
from models.bundle.golden import Golden
from models.bundle.manifest import Output

_TREES, _DEPTH, _ROWS = 100, 10, 4000
_GOLDEN = 64
_OUTPUTS = (
    Output(name="value", dtype="int64", meaning="worn", classes=("good", "worn")),
    Output(name="score", dtype="float32", meaning="probability of worn"),
)


def fitted() -> RandomForestClassifier:
    """Return the forest, trained on rows like those of the load generator."""
    rows = _rows(_ROWS)
    noise = np.random.default_rng(SEED + 1).normal(0.0, LARGEST_VALUE / 10, len(rows))
    wear = rows[:, 0] * rows[:, 1] / LARGEST_VALUE + rows[:, 2] - rows[:, 3] + noise
    forest = RandomForestClassifier(_TREES, max_depth=_DEPTH, random_state=SEED)
    return forest.fit(rows, (wear > np.median(wear)).astype(np.int64))


def model(forest: RandomForestClassifier, shape: Shape, seq: int) -> Model:
    """Return the parts of a bundle for readings of a shape."""
    content = graph(forest, shape, seq)
    golden = _golden(forest, shape.window)
    return Model("Forest of the benchmark", "classification", _OUTPUTS, content, golden)


def graph(forest: RandomForestClassifier, shape: Shape, seq: int) -> bytes:
    """Return the forest as the graph of a bundle: `window` in, `value` and `score` out.

    Its input is the mean of the samples in a window.
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
    window: list[str | int | None] = ["batch", shape.window, width]
    inputs = [helper.make_tensor_value_info("window", TensorProto.FLOAT, window)]
    outputs = [
        helper.make_tensor_value_info("value", TensorProto.INT64, ["batch"]),
        helper.make_tensor_value_info("score", TensorProto.FLOAT, ["batch"]),
    ]
    positive = helper.make_tensor("positive", TensorProto.INT64, [], [1])
    constants = [*trees.initializer, *axes, positive]
    made = helper.make_model(
        helper.make_graph(nodes, shape.stream, inputs, outputs, constants),
        opset_imports=converted.opset_import,
        ir_version=converted.ir_version,
    )
    helper.set_model_props(made, {"stream": shape.stream, "seq": str(seq)})
    checker.check_model(made)
    content: bytes = made.SerializeToString()
    return content


def _sample(shape: Shape) -> tuple[NodeProto, list[TensorProto]]:
    """Return the node that makes one row of a window, and its constants."""
    if shape.window == 1:
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


def _rows(count: int) -> NDArray[np.float32]:
    """Return rows like those of the load generator, float32 `[count, signals]`."""
    spread = np.random.default_rng(SEED).uniform(0.0, LARGEST_VALUE, (count, len(SIGNALS)))
    return spread.astype(np.float32)
