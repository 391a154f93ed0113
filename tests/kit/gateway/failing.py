"""Bundles whose models pass their golden vectors, and fail on live readings beyond a limit.

All of them answer the sum of the signals c0 and c1. What they do beyond `LIMIT` is one of `FAULTS`.
"""

from typing import Final

import numpy as np
from onnx import GraphProto, NodeProto, TensorProto, checker, helper, numpy_helper

from models.bundle.golden import Golden, write_golden
from models.bundle.manifest import Channel
from models.bundle.package import Bundle, pack_bundle
from tests.kit.bundles.factories import REFERENCE, REPORT, make_manifest
from tests.kit.bundles.graphs import GOLDEN, IR_VERSION, OPSET

LIMIT: Final = 1000.0
"""Sum of a window beyond which the model misbehaves; golden windows stay below it."""
BEYOND: Final = 5000.0
"""Value of a signal that is beyond the limit."""
ENDLESS: Final = 1 << 60
"""Passes of a loop that does not end while anybody waits."""
FAULTS: Final = ("error", "nan", "shape", "passes", "memory")


def failing_bundle(stream: str, seq: int, fault: str, amount: int = 1) -> Bundle:
    """A bundle with one fault.

    Args:
        stream: name of the stream.
        seq: number of the bundle.
        fault: what a window beyond the limit does: `error` makes onnxruntime fail for the whole
            batch, `nan` is answered NaN, `shape` is answered by two numbers, `passes` takes passes
            of a loop, `memory` allocates.
        amount: for each such window, the number of passes, or that of bytes to allocate.
    """
    manifest = make_manifest(
        stream=stream,
        seq=seq,
        version=f"1.0.{seq}",
        channels=(Channel(name="c0"), Channel(name="c1")),
        golden=GOLDEN,
    )
    windows = np.random.default_rng(0).uniform(-100, 100, (GOLDEN.count, 1, 2)).astype(np.float32)
    outputs = {"value": windows.sum(axis=(1, 2))}
    return pack_bundle(
        manifest,
        {
            "model.onnx": _model(stream, seq, fault, amount),
            "golden.npz": write_golden(Golden(windows, outputs)),
            "reference.json": REFERENCE,
            "report.html": REPORT,
        },
    )


def _model(stream: str, seq: int, fault: str, amount: int) -> bytes:
    nodes = [
        helper.make_node("ReduceSum", ["window", "both"], ["sum"], keepdims=0),
        helper.make_node("Greater", ["sum", "limit"], ["is_beyond"]),
        helper.make_node("Cast", ["is_beyond"], ["ones"], to=TensorProto.INT64),
        helper.make_node("ReduceSum", ["ones"], ["count"], keepdims=0),
        helper.make_node("Mul", ["count", "amount"], ["total"]),
        *_fault(fault),
    ]
    graph: GraphProto = helper.make_graph(
        nodes,
        "failing",
        [helper.make_tensor_value_info("window", TensorProto.FLOAT, ["n", 1, 2])],
        [helper.make_tensor_value_info("value", TensorProto.FLOAT, ["n"])],
        initializer=[
            numpy_helper.from_array(np.array([1, 2]), "both"),
            numpy_helper.from_array(np.array(LIMIT, "f4"), "limit"),
            numpy_helper.from_array(np.array(amount), "amount"),
            numpy_helper.from_array(np.array(0.0, "f4"), "nothing"),
            numpy_helper.from_array(np.array(np.nan, "f4"), "nan"),
            numpy_helper.from_array(np.array([4]), "float_bytes"),
            numpy_helper.from_array(np.array(1), "one"),
            numpy_helper.from_array(np.array([1]), "one_axis"),
            numpy_helper.from_array(np.array(True), "true"),  # noqa: FBT003 - a value, no flag
        ],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
    )
    helper.set_model_props(model, {"stream": stream, "seq": str(seq)})
    checker.check_model(model)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _fault(fault: str) -> list[NodeProto]:
    """The nodes from `sum`, `is_beyond`, `ones` and `total` to `value`."""
    if fault == "nan":
        return [helper.make_node("Where", ["is_beyond", "nan", "sum"], ["value"])]
    if fault == "shape":
        one, two = (helper.make_tensor("value", TensorProto.INT64, [1], [n]) for n in (1, 2))
        return [
            helper.make_node("Min", ["count", "one"], ["axes"]),
            helper.make_node("Reshape", ["axes", "one_axis"], ["more"]),
            helper.make_node("ConstantOfShape", ["more"], ["single"], value=one),
            helper.make_node("ConstantOfShape", ["more"], ["double"], value=two),
            helper.make_node("Shape", ["sum"], ["rows"]),
            helper.make_node("Concat", ["rows", "single"], ["column_shape"], axis=0),
            helper.make_node("Concat", ["rows", "double"], ["pair_shape"], axis=0),
            helper.make_node("Reshape", ["sum", "column_shape"], ["column"]),
            helper.make_node("Expand", ["column", "pair_shape"], ["value"]),
        ]
    if fault == "passes":
        return [helper.make_node("Loop", ["total", "true", "sum"], ["value"], body=_pass())]
    if fault == "memory":
        return [
            helper.make_node("Div", ["total", "float_bytes"], ["floats"]),
            helper.make_node("ConstantOfShape", ["floats"], ["zeros"]),
            helper.make_node("ReduceSum", ["zeros"], ["zero"], keepdims=0),
            helper.make_node("Add", ["sum", "zero"], ["value"]),
        ]
    # The index of a window beyond the limit is 1, where only 0 exists.
    only = numpy_helper.from_array(np.zeros(1, "f4"))
    return [
        helper.make_node("Constant", [], ["only"], value=only),
        helper.make_node("Gather", ["only", "ones"], ["zeros"]),
        helper.make_node("Add", ["sum", "zeros"], ["value"]),
    ]


def _pass() -> GraphProto:
    """The body of a loop that changes nothing."""
    value, number, flag = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
    return helper.make_graph(
        [
            helper.make_node("Identity", ["go_on"], ["goes_on"]),
            helper.make_node("Add", ["before", "nothing"], ["after"]),
        ],
        "pass",
        [
            helper.make_tensor_value_info("number", number, []),
            helper.make_tensor_value_info("go_on", flag, []),
            helper.make_tensor_value_info("before", value, None),
        ],
        [
            helper.make_tensor_value_info("goes_on", flag, []),
            helper.make_tensor_value_info("after", value, None),
        ],
    )
