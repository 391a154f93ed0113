"""Bundles that are signed and bad: each does one thing that a gateway must survive.

All of them have the signal `c0` (range -100 to 100), windows of one sample, and the right answer
`value = c0`. `evil_bundle(kind, stream, seq)` makes one of these kinds:

at load, before a single window is answered:
    "crash at load"        a tree of depth 20,000: segmentation fault, as the recursion is too deep
    "memory at load"       a few kilobytes that ask for 8 GB, when constants are folded
    "doubling functions"   local functions that double 33 times when they are inlined
    "endless at load"      convolutions of constants that take minutes to fold
    "large"                an honest model of 160 MB
at the golden vectors:
    "memory at golden"     asks for 3 GB for 32 windows
    "endless at golden"    a Loop without an end
    "wrong answer"         golden outputs of another model
    "NaN"                  answers that are not numbers
    "wrong shape"          two values for each window
    "no batch axis"        one value for all windows
    "slow"                 passes, and takes `SLOW_S` seconds of one core for each window
    "hungry"               passes, and takes `HUNGRY_BYTES` of memory for each window of a batch
after they have passed their golden vectors, which lie within -50 and 50:
    "memory above 70"      allocates without bound where a window of the batch is above 70
    "endless above 70"     a Loop without an end where a window of the batch is above 70
    "crash above 70"       the process dies of SIGFPE where a window of the batch is above 70
    "error above 70"       onnxruntime fails on the whole batch where a window is above 70
    "NaN above 70"         answers NaN for each window above 70
    "crash at run 1000"    the process dies of SIGFPE at its 1000th inference, whatever the windows

`AT_LOAD`, `AT_GOLDEN` and `LIVE` list the kinds, among the first two the honest "large", "slow" and
"hungry". Graphs are made by code when they are asked for, and none is in the repository.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from onnx import FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto, helper
from onnx.numpy_helper import from_array

from models.bundle.golden import Golden, write_golden
from models.bundle.manifest import GoldenSpec
from models.bundle.package import Bundle, pack_bundle
from tests.kit.bundles.factories import REFERENCE, REPORT, make_channels, make_manifest

LIMIT: Final = 70.0
"""Readings above it set off the kinds "... above 70"."""
SLOW_S: Final = 0.05
"""Seconds of one core that a window of the kind "slow" takes, on a machine of 2026."""
HUNGRY_BYTES: Final = 1_400_000
"""Bytes of memory that a window of the kind "hungry" takes: 45 MB for 32, 358 MB for 256."""
_DEPTH: Final = 20_000
_LAYERS: Final = 20
_DOUBLINGS: Final = 10
_HUGE: Final = 750_000_000  # floats: 3 GB
_FOR_EVER: Final = np.iinfo(np.int64).max
_SEED, _BOUND = 1846.0, 0.9996
_FUNCTIONS: Final = "evil"
_OPSET, _ML_OPSET, _IR_VERSION = 17, 3, 8


@dataclass(frozen=True, kw_only=True)
class Graph:
    """The graph of a bundle without its ends: `x` `[n]` is given, `nothing` is a zero to be added.

    Attributes:
        nodes: nodes from `x` or `window` `[n, 1, 1]` to `nothing`.
        constants: initializers, by name.
        functions: local functions.
        value: nodes from `x` and `nothing` to `value`; empty for their sum.
        answers: the golden outputs for `x`, which is also what the model should answer.
    """

    nodes: Sequence[NodeProto] = ()
    constants: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    functions: Sequence[FunctionProto] = ()
    value: Sequence[NodeProto] = ()
    answers: Callable[[NDArray[np.float32]], NDArray[np.float32]] = lambda x: x

    def to_model(self, stream: str, seq: int) -> ModelProto:
        """The whole model, with stream and seq in its metadata as the trainer writes them."""
        constants = {"both": _ints(1, 2), "zero": _float(0), **self.constants}
        model = helper.make_model(
            helper.make_graph(
                [
                    _node("Squeeze", "window both", "x"),
                    *(self.nodes or [_node("Identity", "zero", "nothing")]),
                    *(self.value or [_node("Add", "x nothing", "value")]),
                ],
                "evil",
                [helper.make_tensor_value_info("window", TensorProto.FLOAT, ["n", 1, 1])],
                [helper.make_tensor_value_info("value", TensorProto.FLOAT, None)],
                initializer=[from_array(value, name) for name, value in constants.items()],
            ),
            opset_imports=[
                helper.make_opsetid("", _OPSET),
                helper.make_opsetid("ai.onnx.ml", _ML_OPSET),
                helper.make_opsetid(_FUNCTIONS, 1),
            ],
            ir_version=_IR_VERSION,
            functions=self.functions,
        )
        helper.set_model_props(model, {"stream": stream, "seq": str(seq)})
        return model


def evil_bundle(kind: str, stream: str, seq: int, **fields: Any) -> Bundle:  # noqa: ANN401  as Manifest
    """Make a bundle of one of the kinds above.

    Args:
        kind: a kind of `AT_LOAD`, `AT_GOLDEN` or `LIVE`.
        stream: name of the stream.
        seq: number of the bundle.
        fields: parts of the manifest that are replaced, such as its budget.
    """
    graph = {**AT_LOAD, **AT_GOLDEN, **LIVE}[kind]()
    windows = np.linspace(-50, 50, 32, dtype=np.float32)
    manifest = make_manifest(
        stream=stream,
        seq=seq,
        version=f"1.0.{seq}",
        channels=make_channels(1),
        golden=GoldenSpec(count=len(windows), atol=1e-3),
        **fields,
    )
    golden = Golden(windows.reshape(-1, 1, 1), {"value": graph.answers(windows)})
    members = {
        "model.onnx": graph.to_model(stream, seq).SerializeToString(deterministic=True),
        "golden.npz": write_golden(golden),
        "reference.json": REFERENCE,
        "report.html": REPORT,
    }
    return pack_bundle(manifest, members)


def _deep_tree() -> Graph:
    """Every node's left child is the next node, and its right child a leaf."""
    depth = _DEPTH
    inner, leaves = range(depth), range(depth, 2 * depth + 1)
    tree = helper.make_node(
        "TreeEnsembleRegressor",
        ["column"],
        ["leaf"],
        domain="ai.onnx.ml",
        n_targets=1,
        nodes_treeids=[0] * (2 * depth + 1),
        nodes_nodeids=[*inner, *leaves],
        nodes_featureids=[0] * (2 * depth + 1),
        nodes_modes=["BRANCH_LEQ"] * depth + ["LEAF"] * (depth + 1),
        nodes_values=[float(-at) for at in inner] + [0.0] * (depth + 1),
        nodes_truenodeids=[*range(1, depth), 2 * depth] + [0] * (depth + 1),
        nodes_falsenodeids=[*range(depth, 2 * depth)] + [0] * (depth + 1),
        target_treeids=[0] * (depth + 1),
        target_nodeids=[*leaves],
        target_ids=[0] * (depth + 1),
        target_weights=[0.0] * (depth + 1),
    )
    nodes = [
        _node("Reshape", "window column_shape", "column"),
        tree,
        _node("Squeeze", "leaf one", "nothing"),
    ]
    return Graph(nodes=nodes, constants={"column_shape": _ints(-1, 1), "one": _ints(1)})


def _memory_at_load() -> Graph:
    """Four megabytes of zeros, joined with themselves ten times over."""
    doubled = [
        _node("Concat", f"zeros_{n} zeros_{n}", f"zeros_{n + 1}", axis=0) for n in range(_DOUBLINGS)
    ]
    nodes = [
        _node("ConstantOfShape", "megabytes", "zeros_0"),
        *doubled,
        *_largest(f"zeros_{_DOUBLINGS}"),
    ]
    return Graph(nodes=nodes, constants={"megabytes": _ints(1 << 20)})


def _doubling_functions() -> Graph:
    opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(_FUNCTIONS, 1)]
    functions = [_function("f0", [_node("Neg", "in", "out")], opsets)]
    for number in range(1, 34):
        twice = [
            helper.make_node(f"f{number - 1}", ["in"], ["half"], domain=_FUNCTIONS),
            helper.make_node(f"f{number - 1}", ["half"], ["out"], domain=_FUNCTIONS),
        ]
        functions.append(_function(f"f{number}", twice, opsets))
    nodes = [helper.make_node("f33", ["zero"], ["nothing"], domain=_FUNCTIONS)]
    return Graph(nodes=nodes, functions=functions)


def _endless_at_load() -> Graph:
    """Convolutions of constants, one of the other: each has half a million megaflops."""
    layers = [
        _node("Conv", f"image_{n} kernel", f"image_{n + 1}", auto_pad="SAME_UPPER")
        for n in range(_LAYERS)
    ]
    nodes = [
        _node("ConstantOfShape", "image_shape", "image_0"),
        _node("ConstantOfShape", "kernel_shape", "kernel"),
        *layers,
        *_largest(f"image_{_LAYERS}"),
    ]
    shapes = {"image_shape": _ints(1, 1, 1024, 1024), "kernel_shape": _ints(1, 1, 512, 512)}
    return Graph(nodes=nodes, constants=shapes)


def _large() -> Graph:
    """A table of 40 million weights, of which each window takes a row."""
    return Graph(
        nodes=[
            _node("Cast", "x", "index", to=TensorProto.INT64),
            _node("Gather", "table index", "rows"),
            _node("ReduceSum", "rows one", "nothing", keepdims=0),
        ],
        constants={"table": np.zeros((10_000_000, 4), np.float32), "one": _ints(1)},
    )


def _memory_at_golden() -> Graph:
    return Graph(
        nodes=[
            _node("Shape", "x", "count"),
            _node("Mul", "count each", "shape"),
            _node("ConstantOfShape", "shape", "zeros"),
            *_largest("zeros"),
        ],
        constants={"each": _ints(_HUGE // 32)},
    )


def _endless_at_golden() -> Graph:
    nodes = [
        _node("ReduceMax", "x", "largest", keepdims=0),
        _node("Equal", "largest largest", "goes_on"),
        *_loop("for_ever", "goes_on"),
    ]
    return Graph(nodes=nodes, constants={"for_ever": _int(_FOR_EVER)})


def _wrong_answer() -> Graph:
    return Graph(answers=lambda x: x + np.float32(1))


def _nan() -> Graph:
    return Graph(value=[_node("Log", "minus_one", "nan"), _node("Add", "x nan", "value")],
                 constants={"minus_one": _float(-1)})  # fmt: skip


def _wrong_shape() -> Graph:
    nodes = [_node("Reshape", "x column_shape", "column"),
             _node("Tile", "column twice", "value")]  # fmt: skip
    return Graph(value=nodes, constants={"column_shape": _ints(-1, 1), "twice": _ints(1, 2)})


def _no_batch_axis() -> Graph:
    return Graph(value=[_node("ReduceMax", "x", "value", keepdims=0)])


def _slow() -> Graph:
    """Products of 512 x 512 matrices, so many that each window takes `SLOW_S` seconds."""
    times = round(SLOW_S / 0.0026)
    work = [_node("MatMul", "matrix matrix", "product"), *_largest("product", "naught_again")]
    nodes = [
        _node("Shape", "x", "count"),
        _node("Mul", "count each", "times"),
        _node("Squeeze", "times", "trips"),
        _node("ReduceMax", "x", "largest", keepdims=0),
        _node("Equal", "largest largest", "goes_on"),
        _node("Sub", "largest largest", "naught"),
        _node("Expand", "naught matrix_shape", "matrix"),
        *_loop("trips", "goes_on", work),
    ]
    return Graph(nodes=nodes, constants={"each": _ints(times), "matrix_shape": _ints(512, 512)})


def _hungry() -> Graph:
    nodes = [
        _node("Reshape", "x column_shape", "column"),
        _node("Expand", "column row_shape", "layer"),
        _node("Mul", "layer zero", "zeros"),
        _node("ReduceMax", "zeros", "nothing", axes=[1], keepdims=0),
    ]
    row = HUNGRY_BYTES // 8  # two layers of float32
    return Graph(nodes=nodes, constants={"column_shape": _ints(-1, 1), "row_shape": _ints(1, row)})


def _memory_above() -> Graph:
    nodes = [
        *_is_above(),
        _node("Where", "is_above endless_shape short_shape", "shape"),
        _node("ConstantOfShape", "shape", "zeros"),
        *_largest("zeros"),
    ]
    shapes = {"endless_shape": _ints(64 * _HUGE), "short_shape": _ints(1)}
    return Graph(nodes=nodes, constants=_LIMITS | shapes)


def _endless_above() -> Graph:
    nodes = [*_is_above(), *_loop("for_ever", "is_above")]
    return Graph(nodes=nodes, constants=_LIMITS | {"for_ever": _int(_FOR_EVER)})


def _crash_above() -> Graph:
    return Graph(nodes=[*_is_above(), *_crash("is_above")], constants=_LIMITS | _DIVISION)


def _error_above() -> Graph:
    nodes = [
        *_is_above(),
        _node("Cast", "is_above", "index", to=TensorProto.INT64),
        _node("Gather", "only index", "nothing"),
    ]
    return Graph(nodes=nodes, constants=_LIMITS | {"only": np.zeros(1, np.float32)})


def _nan_above() -> Graph:
    nodes = [_node("Sub", "limit x", "room"),
             _node("Sign", "room", "sign"),
             _node("Log", "sign", "nothing")]  # fmt: skip
    return Graph(nodes=nodes, constants=_LIMITS)


def _crash_at_run_1000() -> Graph:
    """A generator of random numbers with a seed counts the runs: it keeps its state in a session.

    Of the numbers that it draws with this seed, the 1000th is the first above the bound.
    """
    nodes = [
        helper.make_node("RandomUniform", [], ["drawn"], seed=_SEED, shape=[1]),
        _node("Squeeze", "drawn", "number"),
        _node("Greater", "number bound", "is_due"),
        *_crash("is_due"),
    ]
    return Graph(nodes=nodes, constants=_DIVISION | {"bound": _float(_BOUND)})


AT_LOAD: Final[Mapping[str, Callable[[], Graph]]] = {
    "crash at load": _deep_tree,
    "memory at load": _memory_at_load,
    "doubling functions": _doubling_functions,
    "endless at load": _endless_at_load,
    "large": _large,
}
AT_GOLDEN: Final[Mapping[str, Callable[[], Graph]]] = {
    "memory at golden": _memory_at_golden,
    "endless at golden": _endless_at_golden,
    "wrong answer": _wrong_answer,
    "NaN": _nan,
    "wrong shape": _wrong_shape,
    "no batch axis": _no_batch_axis,
    "slow": _slow,
    "hungry": _hungry,
}
LIVE: Final[Mapping[str, Callable[[], Graph]]] = {
    "memory above 70": _memory_above,
    "endless above 70": _endless_above,
    "crash above 70": _crash_above,
    "error above 70": _error_above,
    "NaN above 70": _nan_above,
    "crash at run 1000": _crash_at_run_1000,
}


def _is_above() -> list[NodeProto]:
    """The nodes from `x` to the boolean scalar `is_above`."""
    return [
        _node("ReduceMax", "x", "largest", keepdims=0),
        _node("Greater", "largest limit", "is_above"),
    ]


def _crash(condition: str) -> list[NodeProto]:
    """The least int32 divided by -1, which has no result: SIGFPE on x86-64; `nothing` otherwise."""
    return [
        _node("Where", f"{condition} minus_one one_part", "divisor"),
        _node("Div", "least divisor", "quotient"),
        _node("Equal", "quotient never", "is_never"),
        _node("Cast", "is_never", "nothing", to=TensorProto.FLOAT),
    ]


def _largest(zeros: str, name: str = "nothing") -> list[NodeProto]:
    return [_node("ReduceMax", zeros, name, keepdims=0)]


def _loop(trips: str, condition: str, work: Sequence[NodeProto] = ()) -> list[NodeProto]:
    """A Loop that carries a zero, and gives it as `nothing`.

    `work` is done at each pass; its last output, a zero, is added, so that it is not left out.
    """
    more = work[-1].output[0] if work else "carried"
    body: GraphProto = helper.make_graph(
        [_node("Identity", "again", "still"), *work, _node("Add", f"carried {more}", "next")],
        "body",
        [
            helper.make_tensor_value_info("pass", TensorProto.INT64, []),
            helper.make_tensor_value_info("again", TensorProto.BOOL, []),
            helper.make_tensor_value_info("carried", TensorProto.FLOAT, []),
        ],
        [
            helper.make_tensor_value_info("still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, []),
        ],
    )
    return [helper.make_node("Loop", [trips, condition, "zero"], ["nothing"], body=body)]


def _function(name: str, nodes: Sequence[NodeProto], opsets: Sequence[Any]) -> FunctionProto:
    return helper.make_function(_FUNCTIONS, name, ["in"], ["out"], nodes, opsets)


def _node(kind: str, inputs: str, outputs: str, **attributes: Any) -> NodeProto:  # noqa: ANN401  as make_node
    return helper.make_node(kind, inputs.split(), outputs.split(), **attributes)


def _ints(*values: int) -> NDArray[Any]:
    return np.array(values, np.int64)


def _int(value: int) -> NDArray[Any]:
    return np.array(value, np.int64)


def _float(value: float) -> NDArray[Any]:
    return np.array(value, np.float32)


_LIMITS: Final = {"limit": _float(LIMIT)}
_DIVISION: Final = {
    "least": np.array(np.iinfo(np.int32).min, np.int32),
    "minus_one": np.array(-1, np.int32),
    "one_part": np.array(1, np.int32),
    "never": np.array(7, np.int32),
}
