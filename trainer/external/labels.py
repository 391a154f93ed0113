"""The labels that a graph of a classifier states for its columns.

A ZipMap names them. Without one the classifier before the output does, by its attribute
`classlabels_strings` or its like, or a list of texts that the winning column is looked up in.
Sources: https://onnx.ai/onnx/operators/onnx_aionnxml_TreeEnsembleClassifier.html and its
neighbours LinearClassifier, SVMClassifier, ZipMap and ArrayFeatureExtractor.
"""

from collections.abc import Iterator
from typing import Final

from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper

ML: Final = "ai.onnx.ml"
_ATTRIBUTES: Final = frozenset({"classlabels_ints", "classlabels_int64s", "classlabels_strings"})

Labels = tuple[str, ...]


def without_zipmaps(graph: GraphProto) -> tuple[dict[str, str], dict[str, Labels]]:
    """Remove each ZipMap of the graph.

    Returns:
        The tensor of each output, and the labels that the graph states for the columns of an
        output, both by the name of the output. An output without labels is left out of the second.
    """
    tensors = {one.name: one.name for one in graph.output}
    labels = {}
    for node in [node for node in graph.node if node.op_type == "ZipMap" and node.domain == ML]:
        if node.input and node.output and node.output[0] in tensors:
            tensors[node.output[0]] = node.input[0]
            labels[node.output[0]] = _stated(node)
            graph.node.remove(node)
    looked_up = _looked_up(graph)
    for name, tensor in tensors.items():
        found = {stated for node in _before(graph, tensor) if (stated := _stated(node))} | looked_up
        # Members of an ensemble number the classes, and one of them has their names.
        named = {one for one in found if not all(label.isdigit() for label in one)} or found
        if not labels.get(name) and len(named) == 1:
            labels[name] = next(iter(named))
    return tensors, labels


def _stated(node: NodeProto) -> Labels:
    """The labels in an attribute of the node; empty if there are none."""
    for attribute in node.attribute:
        if node.domain == ML and attribute.name in _ATTRIBUTES:
            return tuple(_text(label) for label in helper.get_attribute_value(attribute))
    return ()


def _looked_up(graph: GraphProto) -> set[Labels]:
    """Lists of texts from which a class is picked, as scikit-learn's converters write them."""
    texts = {one.name: one for one in graph.initializer if one.data_type == TensorProto.STRING}
    return {
        tuple(_text(label) for label in numpy_helper.to_array(texts[node.input[0]]).ravel())
        for node in graph.node
        if node.op_type == "ArrayFeatureExtractor" and node.input and node.input[0] in texts
    }


def _before(graph: GraphProto, tensor: str) -> Iterator[NodeProto]:
    """The nodes that the tensor is computed by."""
    makers = {name: node for node in graph.node for name in node.output if name}
    waiting, seen = [tensor], set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen or name not in makers:
            continue
        seen.update(makers[name].output)
        waiting += makers[name].input
        yield makers[name]


def _text(label: object) -> str:
    return label.decode("utf-8", "replace") if isinstance(label, bytes) else str(label)
