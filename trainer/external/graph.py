"""An external graph: read, completed, and checked for operators that gateways cannot run.

Weights in files of their own are put into the graph, because a bundle has no external data. A
ZipMap, which returns a list of dictionaries instead of a tensor, is removed. Every tensor is
renamed, so that no name in the graph can be equal to one of ours. What the graph computes is not
changed.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import onnx
from google.protobuf.message import DecodeError
from onnx import AttributeProto, GraphProto, ModelProto, TensorProto
from onnx.external_data_helper import (
    load_external_data_for_model,
    uses_external_data,
)

from models.bundle.package import CAPS
from trainer.errors import GraphError
from trainer.external.labels import ML, without_zipmaps

MAX_BYTES: Final = CAPS["model.onnx"]
# Before opset 7 operators such as Add had another way of broadcasting. Converters of trees still
# write opset 8.
MIN_OPSET: Final = 7
# Opset of a graph that imports none, as of trees alone; every IR version in use allows it.
_OWN_OPSET: Final = 13
_PREFIX: Final = "model/"
_STANDARD: Final = frozenset({"", "ai.onnx", ML})
# Operators that are not ONNX's, but part of every build of onnxruntime.
_CONTRIBUTED: Final = frozenset({"com.microsoft"})


@dataclass(frozen=True, slots=True)
class ExternalGraph:
    """An external graph, complete with its weights.

    Attributes:
        model: the graph; its inputs have no default, and its outputs are tensors.
        inputs: name of each input's tensor in `model`, by its name in the file.
        outputs: name of each output's tensor in `model`, by its name in the file.
        labels: labels that the graph states for the columns of an output, by the name of the
            output; see `trainer.external.labels`.
        producer: name and version of the tool that made the file, as the file states it.
        digests: sha256 of the file and of the files with its weights, by name.
        notes: notes for the reader of the report.
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
        """Version of ONNX's own operators that the graph imports."""
        return _opset(self.model)


def read_external(path: Path) -> ExternalGraph:
    """Read an ONNX file, and the files with its weights from the same folder.

    Raises:
        GraphError: the file is not an ONNX model or too large, weights are missing, it needs
            operators that no gateway has, or its opset is too old.
        OSError: the file cannot be read.
    """
    model, digests = _whole(path)
    graph = model.graph
    if not graph.output:
        raise GraphError(f"{path}: is not an ONNX model: it has no output")
    notes = _check_operators(model, path)
    _check_opset(model, path)
    inputs = _real_inputs(graph)
    outputs, labels = without_zipmaps(graph)
    _rename(graph)
    producer = f"{model.producer_name} {model.producer_version}".strip()
    return ExternalGraph(
        model=model,
        inputs={name: f"{_PREFIX}{name}" for name in inputs},
        outputs={name: f"{_PREFIX}{tensor}" for name, tensor in outputs.items()},
        labels=labels,
        producer=producer or "an unknown producer",
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
    # protobuf returns a string that is not UTF-8 as bytes.
    if not all(isinstance(name, str) for name in _names(model)):
        raise GraphError(f"{path}: is damaged: a name in it is not text")
    beside = _external(model, path)
    for name in beside:
        digests[name] = _digest(path.parent / name)
    try:
        load_external_data_for_model(model, str(path.parent))
    except (onnx.checker.ValidationError, OSError, OverflowError, TypeError, ValueError) as exc:
        raise GraphError(
            f"{path}: its weights, in {', '.join(beside)}, cannot be read: {exc}"
        ) from exc
    return model, digests


def _external(model: ModelProto, path: Path) -> list[str]:
    """Names of the files with the model's weights; they exist, and are not too large."""
    # Read here, since onnx parses offset and length too, and they may be anything.
    names = {
        entry.value
        for tensor in _tensors(model)
        if uses_external_data(tensor)
        for entry in tensor.external_data
        if entry.key == "location"
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
    """Refuse operators that need a library of their own; return a note on those of onnxruntime."""
    local = {(function.domain, function.name) for function in model.functions}
    nodes = [node for graph in _graphs(model.graph) for node in graph.node]
    nodes += [node for function in model.functions for node in function.node]
    used = {(node.domain, node.op_type) for node in nodes} - local
    custom = sorted(f"{d}.{kind}" for d, kind in used if d not in _STANDARD | _CONTRIBUTED)
    if custom:
        raise GraphError(
            f"{path}: needs custom operators ({', '.join(custom[:5])}), which no gateway has; "
            "export it with the operators of ONNX"
        )
    own = sorted(kind for domain, kind in used if domain in _CONTRIBUTED)
    if own:
        return [f"{', '.join(own[:5])}: operators of onnxruntime, which other runtimes lack"]
    return []


def _check_opset(model: ModelProto, path: Path) -> None:
    if (opset := _opset(model)) < MIN_OPSET:
        raise GraphError(
            f"{path}: uses ONNX opset {opset}; export it with opset {MIN_OPSET} or later, best 13 "
            "to 21"
        )


def _opset(model: ModelProto) -> int:
    """The version of ONNX's operators; a graph that imports none gets one."""
    versions = [one.version for one in model.opset_import if one.domain in ("", "ai.onnx")]
    if not versions:
        model.opset_import.append(onnx.helper.make_opsetid("", _OWN_OPSET))
        return _OWN_OPSET
    return int(versions[0])


def _real_inputs(graph: GraphProto) -> list[str]:
    """Names of the inputs without a value; files of IR version 3 list the weights as inputs."""
    given = {tensor.name for tensor in graph.initializer}
    given |= {tensor.values.name for tensor in graph.sparse_initializer}
    kept = [one for one in graph.input if one.name not in given]
    del graph.input[:]
    graph.input.extend(kept)
    return [one.name for one in kept]


def _names(model: ModelProto) -> Iterator[object]:
    """Every name in the model, and the names in its functions."""
    yield from (model.producer_name, model.producer_version)
    yield from (one.domain for one in model.opset_import)
    nodes = [node for function in model.functions for node in function.node]
    for function in model.functions:
        yield from (function.domain, function.name)
    for tensor in _tensors(model):
        yield from (text for entry in tensor.external_data for text in (entry.key, entry.value))
    for graph in _graphs(model.graph):
        nodes += graph.node
        yield from (one.name for one in (*graph.input, *graph.output, *graph.initializer))
    for node in nodes:
        yield from (node.domain, node.op_type, node.name, *node.input, *node.output)
        yield from (attribute.name for attribute in node.attribute)


def _tensors(model: ModelProto) -> Iterator[TensorProto]:
    """Every tensor whose values may lie in a file: weights, and constants of nodes."""
    nodes = [node for function in model.functions for node in function.node]
    for graph in _graphs(model.graph):
        nodes += graph.node
        yield from graph.initializer
        yield from (part for one in graph.sparse_initializer for part in (one.values, one.indices))
    for node in nodes:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)


def _graphs(graph: GraphProto) -> Iterator[GraphProto]:
    """The graph, and the graphs of its loops and branches."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == AttributeProto.GRAPH:
                yield from _graphs(attribute.g)
            for inner in attribute.graphs:
                yield from _graphs(inner)


def _rename(graph: GraphProto) -> None:
    """Prefix every tensor's name, in inner graphs too, because they refer to outer names."""
    for one in _graphs(graph):
        for node in one.node:
            node.input[:] = [name and _PREFIX + name for name in node.input]
            node.output[:] = [name and _PREFIX + name for name in node.output]
        for info in (*one.input, *one.output, *one.initializer):
            info.name = _PREFIX + info.name
        for sparse in one.sparse_initializer:
            sparse.values.name = _PREFIX + sparse.values.name
        # The shapes are those of the batch at export; onnxruntime infers them anew.
        del one.value_info[:]
        del one.quantization_annotation[:]
