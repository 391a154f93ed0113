"""The model of raw blocks, so small that decoding and windowing take most of the time.

Its score is linear in the mean and the RMS of each axis. Its value is the first sample of the first
axis, where the load generator puts the number of the block: as a raw block has no timestamp, this
number shows which block an answer belongs to.
"""

import numpy as np
from onnx import NodeProto, TensorProto, checker, helper, numpy_helper

from benchmarks.load.workload import Shape
from benchmarks.served.bundle import SEED, Model
from models.bundle.golden import Golden
from models.bundle.manifest import Output

_OPSET, _IR_VERSION = 18, 8
_GOLDEN = 32
_SPREAD = 20.0
_OUTPUTS = (
    Output(name="value", dtype="float32", meaning="number of the block"),
    Output(name="score", dtype="float32", meaning="distance from the usual vibration"),
)


def model(shape: Shape, seq: int) -> Model:
    """Return the model whose windows are the blocks of a shape."""
    return Model("Vibration", "regression", _OUTPUTS, _graph(shape, seq), _golden(shape))


def _weights(axes: int) -> list[float]:
    """The weights of the means, then those of the RMS values."""
    return [0.01 * (number + 1) for number in range(2 * axes)]


def _golden(shape: Shape) -> Golden:
    size = (_GOLDEN, shape.window, len(shape.signals))
    windows = np.random.default_rng(SEED).normal(0.0, _SPREAD, size).astype(np.float32)
    exact = windows.astype(np.float64)
    features = np.hstack([exact.mean(axis=1), np.sqrt((exact**2).mean(axis=1))])
    score = features @ _weights(len(shape.signals))
    return Golden(windows, {"value": windows[:, 0, 0], "score": score.astype(np.float32)})


def _graph(shape: Shape, seq: int) -> bytes:
    """Return `window` float32 `[batch, length, axes]` in, `value` and `score` `[batch]` out."""
    axes = len(shape.signals)
    window: list[str | int | None] = ["batch", shape.window, axes]
    constants = {
        "first": np.array(0),
        "time": np.array([1]),
        "root": np.array(shape.window**0.5, np.float32),
        "weights": np.array(_weights(axes), np.float32),
    }
    graph = helper.make_graph(
        _nodes(),
        shape.stream,
        [helper.make_tensor_value_info("window", TensorProto.FLOAT, window)],
        [helper.make_tensor_value_info(one.name, TensorProto.FLOAT, ["batch"]) for one in _OUTPUTS],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    made = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION
    )
    helper.set_model_props(made, {"stream": shape.stream, "seq": str(seq)})
    checker.check_model(made)
    content: bytes = made.SerializeToString()
    return content


def _nodes() -> list[NodeProto]:
    node = helper.make_node
    return [
        node("Gather", ["window", "first"], ["sample"], axis=1),
        node("Gather", ["sample", "first"], ["value"], axis=1),
        node("ReduceMean", ["window", "time"], ["mean"], keepdims=0),
        node("ReduceL2", ["window", "time"], ["norm"], keepdims=0),
        node("Div", ["norm", "root"], ["effective"]),
        node("Concat", ["mean", "effective"], ["features"], axis=1),
        node("MatMul", ["features", "weights"], ["score"]),
    ]
