"""A graph that something else has made: read, made whole, and held against what gateways can run.

Weights beside the file are taken in, so that the bundle has no external data; a ZipMap, which gives
a list of dictionaries instead of a tensor, is taken off. Every tensor is renamed, so that no name
of the graph's can be one of ours. What the graph computes stays as it is.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import onnx
from google.protobuf.message import DecodeError
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto
from onnx.external_data_helper import (
    ExternalDataInfo,
    load_external_data_for_model,
    uses_external_data,
)

from models.bundle.package import CAPS
from trainer.errors import GraphError

MAX_BYTES: Final = CAPS["model.onnx"]
MIN_OPSET: Final = 7
"""Older operators mean other things under the same names; converters of trees still write 8."""
ML: Final = "ai.onnx.ml"
_OWN_OPSET: Final = 13
"""Of a graph that has none, as trees have; any file version that is in use can carry it."""
_PREFIX: Final = "model/"
_STANDARD: Final = frozenset({"", "ai.onnx", ML})
_CONTRIBUTED: Final = frozenset({"com.microsoft"})
"""Not ONNX's, but part of every onnxruntime."""


@dataclass(frozen=True, slots=True)
class ExternalGraph:
    """A foreign graph, whole.

    Attributes:
        model: the graph; its inputs are those that are to be given, its outputs tensors.
        inputs: tensor by the name that the file gives it.
        outputs: likewise, of the outputs.
        labels: what a ZipMap called the columns, by the name of the output.
        producer: what made the file, as it says itself.
        digests: sha256 by name of the file and of the weights beside it.
        notes: what a reader should know.
    """

    model: ModelProto
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    labels: Mapping[str, tuple[str, ...]]
    producer: str
    digests: Mapping[str, str]
    notes: tuple[str, ...] = ()

    @property
    def opset(self) -> int:
        """Version of ONNX's own operators."""
        return _opset(self.model)


def read_external(path: Path) -> ExternalGraph:
    """Read an ONNX file and the weights beside it.

    Raises:
        GraphError: not an ONNX file, too large, weights that are not there, operators that no
            gateway has, or an operator set too old to build on.
        OSError: the file cannot be read.
    """
    model, digests = _whole(path)
    graph = model.graph
    if not graph.output:
        raise GraphError(f"{path}: is not an ONNX model: it has no graph with an output")
    notes = _check_operators(model, path)
    _check_opset(model, path)
    inputs = _real_inputs(graph)
    outputs, labels = _without_zipmaps(graph)
    _rename(graph)
    producer = f"{model.producer_name} {model.producer_version}".strip()
    return ExternalGraph(
        model=model,
        inputs={name: f"{_PREFIX}{name}" for name in inputs},
        outputs={name: f"{_PREFIX}{tensor}" for name, tensor in outputs.items()},
        labels=labels,
        producer=producer or "a producer that does not name itself",
        digests=digests,
        notes=tuple(notes),
    )


def _whole(path: Path) -> tuple[ModelProto, dict[str, str]]:
    """The model with its weights in it, and the digests of the files it was in."""
    if (size := path.stat().st_size) > MAX_BYTES:
        raise GraphError(f"{path}: has {size} bytes, a bundle's graph at most {MAX_BYTES}")
    content = path.read_bytes()
    digests = {path.name: hashlib.sha256(content).hexdigest()}
    try:
        model = onnx.load_model_from_string(content)
    except DecodeError as exc:
        raise GraphError(f"{path}: is not an ONNX model: {exc}") from exc
    # protobuf hands out as bytes what is not UTF-8.
    if not all(isinstance(name, str) for name in _names(model)):
        raise GraphError(f"{path}: is damaged: a name in it is not text")
    beside = _external(model, path)
    for name in beside:
        digests[name] = _digest(path.parent / name)
    try:
        load_external_data_for_model(model, str(path.parent))
    except (onnx.checker.ValidationError, OSError, ValueError) as exc:
        raise GraphError(
            f"{path}: its weights, in {', '.join(beside)}, cannot be taken in: {exc}"
        ) from exc
    return model, digests


def _external(model: ModelProto, path: Path) -> list[str]:
    """Names of the files with the model's weights; all of them there, and not too large."""
    names: set[str] = set()
    for graph in _graphs(model.graph):
        names |= {
            ExternalDataInfo(tensor).location
            for tensor in graph.initializer
            if uses_external_data(tensor)
        }
    total = 0
    for name in sorted(names):
        place = path.parent / name
        if Path(name).name != name or not place.is_file():
            raise GraphError(
                f"{path}: has its weights in '{name}', which must be a file in the same folder; "
                "copy it there, or export into one file"
            )
        total += place.stat().st_size
    if total > MAX_BYTES:
        raise GraphError(
            f"{path}: has {total} bytes of weights beside it, a bundle's graph at most {MAX_BYTES}"
        )
    return sorted(names)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_operators(model: ModelProto, path: Path) -> list[str]:
    """Refuse operators that come with a library of their own; note those of onnxruntime."""
    local = {(function.domain, function.name) for function in model.functions}
    nodes = [node for graph in _graphs(model.graph) for node in graph.node]
    nodes += [node for function in model.functions for node in function.node]
    used = {(node.domain, node.op_type) for node in nodes} - local
    custom = sorted(f"{d}.{kind}" for d, kind in used if d not in _STANDARD | _CONTRIBUTED)
    if custom:
        raise GraphError(
            f"{path}: needs operators of its own ({', '.join(custom[:5])}), which no gateway has; "
            "export it with the operators of ONNX"
        )
    own = sorted(kind for domain, kind in used if domain in _CONTRIBUTED)
    if own:
        return [f"{', '.join(own[:5])}: operators of onnxruntime, which other runtimes lack"]
    return []


def _check_opset(model: ModelProto, path: Path) -> None:
    if (opset := _opset(model)) < MIN_OPSET:
        raise GraphError(
            f"{path}: is written in ONNX opset {opset}; export it with {MIN_OPSET} or later, "
            "best 13 to 21"
        )


def _opset(model: ModelProto) -> int:
    """The version of ONNX's operators, which is ours to choose where the graph uses none."""
    versions = [one.version for one in model.opset_import if one.domain in ("", "ai.onnx")]
    if not versions:
        model.opset_import.append(onnx.helper.make_opsetid("", _OWN_OPSET))
        return _OWN_OPSET
    return int(versions[0])


def _real_inputs(graph: GraphProto) -> list[str]:
    """The inputs without a value; files of IR 3 list the weights among them."""
    given = {tensor.name for tensor in graph.initializer}
    given |= {tensor.values.name for tensor in graph.sparse_initializer}
    kept = [one for one in graph.input if one.name not in given]
    del graph.input[:]
    graph.input.extend(kept)
    return [one.name for one in kept]


def _without_zipmaps(graph: GraphProto) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """The tensor behind each output, and the labels that a ZipMap gave its columns."""
    tensors = {one.name: one.name for one in graph.output}
    labels = {}
    for node in [node for node in graph.node if node.op_type == "ZipMap" and node.domain == ML]:
        if node.input and node.output and node.output[0] in tensors:
            tensors[node.output[0]] = node.input[0]
            labels[node.output[0]] = _zipmap_labels(node)
            graph.node.remove(node)
    return tensors, labels


def _zipmap_labels(node: NodeProto) -> tuple[str, ...]:
    for attribute in node.attribute:
        value = onnx.helper.get_attribute_value(attribute)
        if attribute.name == "classlabels_int64s" and value:
            return tuple(map(str, value))
        if attribute.name == "classlabels_strings" and value:
            return tuple(text.decode("utf-8", "replace") for text in value)
    return ()


def _names(model: ModelProto) -> Iterator[object]:
    """Every name that the graph goes by, its own operators' included."""
    yield from (model.producer_name, model.producer_version)
    yield from (one.domain for one in model.opset_import)
    nodes = [node for function in model.functions for node in function.node]
    for function in model.functions:
        yield from (function.domain, function.name)
    for graph in _graphs(model.graph):
        nodes += graph.node
        yield from (one.name for one in (*graph.input, *graph.output, *graph.initializer))
        for tensor in graph.initializer:
            yield from (entry.value for entry in tensor.external_data)
    for node in nodes:
        yield from (node.domain, node.op_type, node.name, *node.input, *node.output)
        yield from (attribute.name for attribute in node.attribute)


def _graphs(graph: GraphProto) -> Iterator[GraphProto]:
    """The graph and those inside it, of loops and branches."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == AttributeProto.GRAPH:
                yield from _graphs(attribute.g)
            for inner in attribute.graphs:
                yield from _graphs(inner)


def _rename(graph: GraphProto) -> None:
    """Put a prefix before every tensor's name, the same in all graphs, which see outer names."""
    for one in _graphs(graph):
        for node in one.node:
            node.input[:] = [name and _PREFIX + name for name in node.input]
            node.output[:] = [name and _PREFIX + name for name in node.output]
        for info in (*one.input, *one.output, *one.initializer):
            info.name = _PREFIX + info.name
        for sparse in one.sparse_initializer:
            sparse.values.name = _PREFIX + sparse.values.name
        # Shapes were written down for the batch of the export; a runtime finds them by itself.
        del one.value_info[:]
        del one.quantization_annotation[:]
