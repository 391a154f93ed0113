"""A graph whose large layers multiply whole numbers of eight bits.

A layer `x @ weights` becomes QuantizeLinear, MatMulInteger, and one multiplication that undoes both
scales. What a layer takes is measured on training windows, so the scale is part of the graph, and
an answer does not depend on the other windows of a batch, as it would if each batch were measured.

Weights have seven bits and a sign of their own for each column. Two products of them and of eight
bits fit into 16, which processors without VNNI add them in; with eight bits such sums are cut off,
and a gateway would answer otherwise than the machine that trained.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

LEAST_WEIGHTS = 4_096
"""Weights of a layer below which it stays as it is: smaller ones are no faster in eight bits."""
_LEVELS, _MOST = 255, 63
# Percent of the values on either side that lie beyond what eight bits reach, and are cut off.
_BEYOND = 0.01
_NUMBERS = (TensorProto.FLOAT, TensorProto.DOUBLE)

Measured = Callable[[bytes, Sequence[str]], dict[str, NDArray[Any]]]


def layer_bytes(content: bytes) -> int:
    """Bytes of the weights that `quantised` would replace; 0 if the graph has no large layer."""
    graph = onnx.load_from_string(content).graph
    weights = {one.name: one for one in graph.initializer}
    return sum(numpy_helper.to_array(weights[node.input[1]]).nbytes for node in _layers(graph))


def quantised(content: bytes, measured: Measured) -> bytes:
    """The graph with its large layers in eight bits.

    Args:
        content: the graph, as a serialised ONNX model.
        measured: given a graph and names of its outputs, their values for training windows.
    """
    proto = onnx.load_from_string(content)
    graph = proto.graph
    inputs = [node.input[0] for node in _layers(graph)]
    values = measured(_telling(content, inputs), inputs)
    nodes = list(graph.node)
    for layer in list(_layers(graph)):
        weights = next(one for one in graph.initializer if one.name == layer.input[1])
        written, constants = _written(layer, weights, values[layer.input[0]])
        at = nodes.index(layer)
        nodes[at : at + 1] = written
        graph.initializer.remove(weights)
        graph.initializer.extend(constants)
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(proto, full_check=True)
    found: bytes = proto.SerializeToString(deterministic=True)
    return found


def _layers(graph: Any) -> Iterator[Any]:  # noqa: ANN401  a GraphProto
    """The nodes that multiply with a large constant matrix."""
    large = {
        one.name
        for one in graph.initializer
        if one.data_type in _NUMBERS and len(one.dims) == 2 and np.prod(one.dims) >= LEAST_WEIGHTS  # noqa: PLR2004  a matrix
    }
    return (node for node in graph.node if node.op_type == "MatMul" and node.input[1] in large)


def _telling(content: bytes, names: Sequence[str]) -> bytes:
    """The graph with the inputs of its layers as its only outputs."""
    proto = onnx.shape_inference.infer_shapes(onnx.load_from_string(content))
    known = {one.name: one for one in proto.graph.value_info}
    del proto.graph.output[:]
    proto.graph.output.extend(known[name] for name in dict.fromkeys(names))
    told: bytes = proto.SerializeToString()
    return told


def _written(layer: Any, weights: Any, values: NDArray[Any]) -> tuple[list[Any], list[Any]]:  # noqa: ANN401  a NodeProto, a TensorProto
    """The nodes and constants in the place of a layer."""
    kind, name = weights.data_type, layer.output[0]
    step, zero = _scale(values)
    matrix = numpy_helper.to_array(weights).astype(np.float64)
    largest = np.abs(matrix).max(axis=0)
    column = np.where(largest > 0, largest, 1.0) / _MOST
    constants = {
        "step": np.float32(step),
        "zero": np.uint8(zero),
        "weights": np.rint(matrix / column).astype(np.int8),
        "scale": (np.float32(step) * column).astype(np.float32)[np.newaxis],
    }
    own = {part: f"{name}_int8_{part}" for part in (*constants, "x", "q", "sum", "sums", "y")}
    node = helper.make_node
    nodes = [
        node("Cast", [layer.input[0]], [own["x"]], to=TensorProto.FLOAT),
        node("QuantizeLinear", [own["x"], own["step"], own["zero"]], [own["q"]]),
        node("MatMulInteger", [own["q"], own["weights"], own["zero"]], [own["sum"]]),
        node("Cast", [own["sum"]], [own["sums"]], to=TensorProto.FLOAT),
        node("Mul", [own["sums"], own["scale"]], [own["y"]]),
        node("Cast", [own["y"]], [name], to=kind),
    ]
    return nodes, [
        numpy_helper.from_array(np.asarray(value), own[part]) for part, value in constants.items()
    ]


def _scale(values: NDArray[Any]) -> tuple[float, int]:
    """The step between two of the 256 values, and which of them is zero."""
    low, high = np.percentile(values, [_BEYOND, 100 - _BEYOND])
    low, high = min(float(low), 0.0), max(float(high), 0.0)
    step = (high - low) / _LEVELS or 1.0
    return step, round(-low / step)
