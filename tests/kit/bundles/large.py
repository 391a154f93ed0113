"""Models of any size by seeded random weights: dense layers, convolutions, recurrent layers.

Each reads windows of four samples of eight signals, replaces missing values by 0, and adds `bias`
to what its layers give, so that two versions with the same seed are told apart by their answers.
The golden outputs are those of the graph, as `millhand-trainer pack` takes them.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from models.bundle.golden import Golden, write_golden
from models.bundle.manifest import WindowSpec
from models.bundle.package import Bundle, pack_bundle
from serving.runtime.graph import load_graph, run_graph
from tests.kit.bundles.factories import REFERENCE, REPORT, make_channels, make_manifest
from tests.kit.bundles.graphs import GOLDEN, IR_VERSION, OPSET

KINDS: Final = ("dense", "convolution", "recurrent")
LENGTH, SIGNALS = 4, 8
_WIDTHS: Final = {"dense": 1024, "convolution": 512, "recurrent": 512}
_KERNEL = 3


class _Layer(NamedTuple):
    """A layer: its nodes, and its weights by name."""

    nodes: Sequence[NodeProto]
    weights: dict[str, NDArray[np.float32]]


class LargeGraph(NamedTuple):
    """The parameters of a large model.

    Attributes:
        kind: one of `KINDS`.
        size_mb: size of the weights, in megabytes of 10**6 bytes; at least one layer is made.
        seed: seed of the weights.
        bias: number that is added to the answer.
    """

    kind: str
    size_mb: float
    seed: int = 0
    bias: float = 0.0

    def to_onnx(self, stream: str, seq: int) -> bytes:
        """The ONNX graph, with `stream` and `seq` in its metadata."""
        layers = list(self._layers())
        last = len(layers)
        axes = {"dense": [1], "convolution": [1, 2], "recurrent": [0, 2]}[self.kind]
        zero = numpy_helper.from_array(np.array(0.0, "f4"), "zero")
        weights = {name: array for layer in layers for name, array in layer.weights.items()}
        graph = helper.make_graph(
            [
                helper.make_node("IsNaN", ["window"], ["is_missing"]),
                helper.make_node("Where", ["is_missing", "zero", "window"], ["imputed"]),
                self._first(),
                *(node for layer in layers for node in layer.nodes),
                helper.make_node("ReduceMean", [f"h{last}"], ["mean"], axes=axes, keepdims=0),
                helper.make_node("Add", ["mean", "bias"], ["value"]),
            ],
            self.kind,
            [helper.make_tensor_value_info("window", TensorProto.FLOAT, ["n", LENGTH, SIGNALS])],
            [helper.make_tensor_value_info("value", TensorProto.FLOAT, ["n"])],
            [
                zero,
                numpy_helper.from_array(np.array(self.bias, "f4"), "bias"),
                *(numpy_helper.from_array(array, name) for name, array in weights.items()),
            ],
        )
        opset = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION)
        helper.set_model_props(model, {"stream": stream, "seq": str(seq)})
        content: bytes = model.SerializeToString(deterministic=True)
        return content

    def _first(self) -> NodeProto:
        """The node from `imputed` to `h0`, which has the axes that the layers need."""
        if self.kind == "dense":
            return helper.make_node("Flatten", ["imputed"], ["h0"])
        perm = [0, 2, 1] if self.kind == "convolution" else [1, 0, 2]
        return helper.make_node("Transpose", ["imputed"], ["h0"], perm=perm)

    def _layers(self) -> Iterator[_Layer]:
        """Layers until the weights have the wanted size."""
        drawn = np.random.default_rng(self.seed)
        made = {"dense": _dense, "convolution": _convolution, "recurrent": _recurrent}[self.kind]
        width = LENGTH * SIGNALS if self.kind == "dense" else SIGNALS
        number, size = 0, 0
        while not number or size < self.size_mb * 1e6:
            layer = made(drawn, number, width, _WIDTHS[self.kind])
            yield layer
            width = _WIDTHS[self.kind]
            number, size = number + 1, size + sum(one.nbytes for one in layer.weights.values())


def large_bundle(stream: str, seq: int, graph: LargeGraph) -> Bundle:
    """The bundle of a large model; its golden vectors are 32 windows with a missing value."""
    content = graph.to_onnx(stream, seq)
    windows = golden_windows()
    (value,) = run_graph(load_graph(content), ["value"], windows)
    manifest = make_manifest(
        stream=stream,
        seq=seq,
        version=f"1.0.{seq}",
        channels=make_channels(SIGNALS),
        window=WindowSpec(length=LENGTH),
        golden=GOLDEN,
    )
    members = {
        "model.onnx": content,
        "golden.npz": write_golden(Golden(windows, {"value": value})),
        "reference.json": REFERENCE,
        "report.html": REPORT,
    }
    return pack_bundle(manifest, members)


def write_large_bundle(path: Path, seq: int, graph: LargeGraph) -> None:
    """Write the bundle of a large model of the stream `large` to a file."""
    path.write_bytes(large_bundle("large", seq, graph).content)


def golden_windows() -> NDArray[np.float32]:
    """The golden windows of all large models, float32 `[32, 4, 8]`."""
    shape = (GOLDEN.count, LENGTH, SIGNALS)
    windows = np.random.default_rng(1).uniform(-1, 1, shape).astype(np.float32)
    windows[1, -1, 0] = np.nan
    return windows


def _drawn(drawn: np.random.Generator, *shape: int, inputs: int) -> NDArray[np.float32]:
    """Weights by which the values keep their size from layer to layer."""
    scale = np.float32(math.sqrt(2 / inputs))
    return drawn.standard_normal(shape, dtype=np.float32) * scale


def _dense(drawn: np.random.Generator, number: int, width: int, out: int) -> _Layer:
    weights = {f"w{number}": _drawn(drawn, width, out, inputs=width)}
    nodes = [
        helper.make_node("MatMul", [f"h{number}", f"w{number}"], [f"m{number}"]),
        helper.make_node("Relu", [f"m{number}"], [f"h{number + 1}"]),
    ]
    return _Layer(nodes, weights)


def _convolution(drawn: np.random.Generator, number: int, width: int, out: int) -> _Layer:
    weights = {f"w{number}": _drawn(drawn, out, width, _KERNEL, inputs=width * _KERNEL)}
    nodes = [
        helper.make_node(
            "Conv", [f"h{number}", f"w{number}"], [f"m{number}"], kernel_shape=[3], pads=[1, 1]
        ),
        helper.make_node("Relu", [f"m{number}"], [f"h{number + 1}"]),
    ]
    return _Layer(nodes, weights)


def _recurrent(drawn: np.random.Generator, number: int, width: int, out: int) -> _Layer:
    weights = {
        f"w{number}": _drawn(drawn, 1, 4 * out, width, inputs=width),
        f"r{number}": _drawn(drawn, 1, 4 * out, out, inputs=out),
    }
    nodes = [
        helper.make_node(
            "LSTM",
            [f"h{number}", f"w{number}", f"r{number}"],
            [f"y{number}"],
            hidden_size=out,
        ),
        # [samples, directions, n, width] without the one direction
        helper.make_node("ReduceSum", [f"y{number}", "direction"], [f"h{number + 1}"], keepdims=0),
    ]
    if not number:
        nodes.insert(0, helper.make_node("Constant", [], ["direction"], value_ints=[1]))
    return _Layer(nodes, weights)
