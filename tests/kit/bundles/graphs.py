"""Small ONNX models that are made in milliseconds, for bundles that really predict.

`linear_bundle` and `detector_bundle` read the last sample of the window, replace missing values by
`median`, and add the signals up by `weights`; `history_bundle` adds up the whole window. The golden
outputs are computed with NumPy, not with the graph.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, NodeProto, TensorProto, checker, helper, numpy_helper

from models.bundle.explain import Explain
from models.bundle.golden import Golden, write_golden
from models.bundle.manifest import Channel, GoldenSpec, Manifest, Output, WindowSpec
from models.bundle.package import Bundle, pack_bundle
from tests.kit.bundles.factories import REFERENCE, REPORT, make_channels, make_manifest

OPSET = 17
IR_VERSION = 8
GOLDEN = GoldenSpec(count=32, atol=1e-3)
"""`atol` is large, as large values that cancel out in a sum lose digits in float32."""
LAYER_WIDTH = 512
_TENSORS = {"float32": TensorProto.FLOAT, "int64": TensorProto.INT64}


@dataclass(frozen=True, kw_only=True)
class LinearGraph:
    """The parameters of a linear model.

    Attributes:
        weights: weight of each signal.
        length: number of samples in a window.
        bias: number that is added to the weighted sum.
        median: value that replaces a missing one.
        threshold: threshold of a detector, whose `value` is 1 where `score` is above it; None: the
            model is a regression.
        layers: number of products with a 512 x 512 matrix that change no output, to make the model
            slow.
        fails_above: weighted sum above which onnxruntime fails for the whole batch; None: never.
    """

    weights: Sequence[float]
    length: int = 1
    bias: float = 0.0
    median: float = 0.0
    threshold: float | None = None
    layers: int = 0
    fails_above: float | None = None

    def answer(self, windows: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        """The outputs for windows `[n, length, channels]`, computed with NumPy."""
        last = np.where(np.isnan(windows[:, -1]), np.float32(self.median), windows[:, -1])
        total = (last @ np.array(self.weights, np.float32) + np.float32(self.bias)).astype("f4")
        if self.threshold is None:
            return {"value": total}
        return {"value": (total > np.float32(self.threshold)).astype(np.int64), "score": total}

    def to_onnx(self, stream: str, seq: int) -> bytes:
        """The ONNX graph, with `stream` and `seq` in its metadata as the trainer writes them."""
        width = len(self.weights)
        outputs = {"value": "float32" if self.threshold is None else "int64"}
        if self.threshold is not None:
            outputs["score"] = "float32"
        graph: GraphProto = helper.make_graph(
            self._nodes(),
            "linear",
            [helper.make_tensor_value_info("window", TensorProto.FLOAT, ["n", self.length, width])],
            [helper.make_tensor_value_info(k, _TENSORS[v], ["n"]) for k, v in outputs.items()],
            initializer=[
                numpy_helper.from_array(np.array(self.length - 1), "last_index"),
                numpy_helper.from_array(np.array(self.median, "f4"), "median"),
                numpy_helper.from_array(np.array(self.weights, "f4").reshape(-1, 1), "weights"),
                numpy_helper.from_array(np.array([self.bias], "f4"), "bias"),
                numpy_helper.from_array(np.array([1]), "axis"),
                numpy_helper.from_array(np.array(self.threshold or 0.0, "f4"), "threshold"),
                numpy_helper.from_array(np.array([1, LAYER_WIDTH]), "layer_row"),
                numpy_helper.from_array(np.array([LAYER_WIDTH] * 2), "layer_shape"),
                numpy_helper.from_array(np.array(0.0, "f4"), "nothing"),
            ],
        )
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
        )
        helper.set_model_props(model, {"stream": stream, "seq": str(seq)})
        checker.check_model(model)
        content: bytes = model.SerializeToString(deterministic=True)
        return content

    def _nodes(self) -> list[NodeProto]:
        total = "value" if self.threshold is None else "score"
        nodes = [
            helper.make_node("Gather", ["window", "last_index"], ["last"], axis=1),
            helper.make_node("IsNaN", ["last"], ["is_missing"]),
            helper.make_node("Where", ["is_missing", "median", "last"], ["imputed"]),
            helper.make_node("MatMul", ["imputed", "weights"], ["weighted"]),
            *self._layers(),
            helper.make_node("Add", ["total", "bias"], ["sum_of_all"]),
            *self._trap(),
            helper.make_node("Squeeze", ["column", "axis"], [total]),
        ]
        if self.threshold is not None:
            nodes += [
                helper.make_node("Greater", ["score", "threshold"], ["is_above"]),
                helper.make_node("Cast", ["is_above"], ["value"], to=TensorProto.INT64),
            ]
        return nodes

    def _trap(self) -> list[NodeProto]:
        """The nodes from `sum_of_all` to `column`, which fail by an index that is out of range."""
        if self.fails_above is None:
            return [helper.make_node("Identity", ["sum_of_all"], ["column"])]
        limit = numpy_helper.from_array(np.array(self.fails_above, "f4"))
        one = numpy_helper.from_array(np.zeros(1, "f4"))
        return [
            helper.make_node("Constant", [], ["limit"], value=limit),
            helper.make_node("Constant", [], ["only"], value=one),
            helper.make_node("Greater", ["sum_of_all", "limit"], ["is_beyond"]),
            helper.make_node("Cast", ["is_beyond"], ["index"], to=TensorProto.INT64),
            helper.make_node("Gather", ["only", "index"], ["zeros"]),
            helper.make_node("Add", ["sum_of_all", "zeros"], ["column"]),
        ]

    def _layers(self) -> list[NodeProto]:
        """The nodes from `weighted` to `total`, which only take time."""
        if not self.layers:
            return [helper.make_node("Identity", ["weighted"], ["total"])]
        nodes = [
            helper.make_node("ConstantOfShape", ["layer_shape"], ["layer"]),
            helper.make_node("Expand", ["weighted", "layer_row"], ["layer_0"]),
            helper.make_node("ReduceSum", [f"layer_{self.layers}", "axis"], ["sum"]),
            helper.make_node("Mul", ["sum", "nothing"], ["no_sum"]),
            helper.make_node("Add", ["weighted", "no_sum"], ["total"]),
        ]
        nodes[2:2] = [
            helper.make_node("MatMul", [f"layer_{n}", "layer"], [f"layer_{n + 1}"])
            for n in range(self.layers)
        ]
        return nodes


def linear_bundle(  # noqa: PLR0913 - each argument is one fact that some test varies
    stream: str,
    seq: int,
    weights: Sequence[float],
    *,
    length: int = 1,
    hop: int = 1,
    bias: float = 0.0,
    median: float = 0.0,
    channels: Sequence[Channel] | None = None,
    window: WindowSpec | None = None,
    version: str | None = None,
    layers: int = 0,
    fails_above: float | None = None,
    golden_wrong: bool = False,
    explain: Explain | None = None,
) -> Bundle:
    """A regression: value = weighted sum of the last sample's channels + `bias`.

    Args:
        stream: name of the stream.
        seq: number of the bundle.
        weights: weight of each signal.
        length: number of samples in a window.
        hop: number of samples from one window to the next.
        bias: number that is added to the sum, by which two versions differ.
        median: value that replaces a missing one.
        channels: signals, as many as weights; None: c0, c1, ... with the range -100 to 100.
        window: window in place of `length` and `hop`, where a test needs gaps.
        version: semantic version; None: 1.0.<seq>.
        layers: number of products that make the model slow, see LinearGraph.
        fails_above: weighted sum above which the model fails, see LinearGraph.
        golden_wrong: whether the golden outputs are others than those of the graph.
        explain: how answers are explained; the first golden window has the lowest values.
    """
    spec = window or WindowSpec(length=length, hop=hop)
    graph = LinearGraph(
        weights=weights,
        length=spec.length,
        bias=bias,
        median=median,
        layers=layers,
        fails_above=fails_above,
    )
    manifest = make_manifest(
        stream=stream,
        seq=seq,
        version=version or f"1.0.{seq}",
        channels=tuple(channels or make_channels(len(weights))),
        window=spec,
        golden=GOLDEN,
        explain=explain,
    )
    return _pack(manifest, graph, golden_wrong=golden_wrong)


def detector_bundle(  # noqa: PLR0913 - as for linear_bundle
    stream: str,
    seq: int,
    weights: Sequence[float],
    *,
    threshold: float = 0.0,
    length: int = 1,
    explain: Explain | None = None,
) -> Bundle:
    """An anomaly detector: score = weighted sum of the last sample, value = score > `threshold`."""
    graph = LinearGraph(weights=weights, length=length, threshold=threshold)
    value = Output(name="value", dtype="int64", meaning="abnormal", classes=("normal", "abnormal"))
    score = Output(name="score", dtype="float32", meaning="how far", threshold=threshold)
    manifest = make_manifest(
        len(weights),
        length,
        stream=stream,
        seq=seq,
        version=f"1.0.{seq}",
        task="anomaly",
        outputs=(value, score),
        golden=GOLDEN,
        explain=explain,
    )
    return _pack(manifest, graph, golden_wrong=False)


def history_bundle(stream: str, seq: int, weights: NDArray[np.float32], hop: int = 1) -> Bundle:
    """A regression over the whole window: value = sum of `weights` `[length, channels]` times it.

    A sample too many, too few or in another place changes the value; a missing one makes it NaN.
    """
    length, width = weights.shape
    manifest = make_manifest(
        width,
        stream=stream,
        seq=seq,
        version=f"1.0.{seq}",
        window=WindowSpec(length=length, hop=hop),
        golden=GOLDEN,
    )
    windows = np.nan_to_num(_golden_windows(manifest))
    outputs = {"value": np.tensordot(windows, weights, 2).astype(np.float32)}
    return _packed(manifest, _history_onnx(weights, stream, seq), Golden(windows, outputs))


def _history_onnx(weights: NDArray[np.float32], stream: str, seq: int) -> bytes:
    nodes = [
        helper.make_node("Flatten", ["window"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["column"]),
        helper.make_node("Squeeze", ["column", "axis"], ["value"]),
    ]
    shape = ["n", *weights.shape]
    graph = helper.make_graph(
        nodes,
        "history",
        [helper.make_tensor_value_info("window", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("value", TensorProto.FLOAT, ["n"])],
        initializer=[
            numpy_helper.from_array(weights.reshape(-1, 1).astype("f4"), "weights"),
            numpy_helper.from_array(np.array([1]), "axis"),
        ],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
    )
    helper.set_model_props(model, {"stream": stream, "seq": str(seq)})
    checker.check_model(model)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _pack(manifest: Manifest, graph: LinearGraph, *, golden_wrong: bool) -> Bundle:
    windows = _golden_windows(manifest)
    outputs = graph.answer(windows)
    if golden_wrong:
        outputs["value"] = outputs["value"] + np.ones_like(outputs["value"])
    model = graph.to_onnx(manifest.stream, manifest.seq)
    return _packed(manifest, model, Golden(windows, outputs))


def _packed(manifest: Manifest, model: bytes, golden: Golden) -> Bundle:
    return pack_bundle(
        manifest,
        {
            "model.onnx": model,
            "golden.npz": write_golden(golden),
            "reference.json": REFERENCE,
            "report.html": REPORT,
        },
    )


def _golden_windows(manifest: Manifest) -> NDArray[np.float32]:
    """Random windows within the ranges of the signals, with range edges and missing values."""
    ranges = [channel.valid_range or (-100.0, 100.0) for channel in manifest.channels]
    low, high = (np.array(edge, np.float32) for edge in zip(*ranges, strict=True))
    shape = (manifest.golden.count, manifest.window.length, len(ranges))
    windows = np.random.default_rng(0).uniform(low, high, shape).astype(np.float32)
    windows[0], windows[1], windows[2] = low, high, np.nan
    windows[3, -1, 0] = np.nan
    return windows
