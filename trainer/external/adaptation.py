"""The adaptation of an external graph to a bundle's input and outputs.

Everything between a gateway's window and the graph's own input, and between the graph's own outputs
and those of a bundle, becomes a few nodes inside the graph: transpose, reshape, cast, a look-up of
labels, a threshold. So a gateway computes nothing for an external model either.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import (
    ModelProto,
    TensorProto,
    ValueInfoProto,
    helper,
)

from serving.runtime.graph import INPUT
from trainer.errors import GraphError
from trainer.external.declaration import Declaration, Layout, Tensor
from trainer.external.graph import ExternalGraph
from trainer.external.labels import ML
from trainer.external.wiring import MARK, Wiring

Seen = Mapping[str, NDArray[Any]]
"""The graph's own tensors for some windows, by `Tensor.name`; first axis the windows."""
_INPUT_TYPES = {
    TensorProto.FLOAT: "float32",
    TensorProto.DOUBLE: "float64",
    TensorProto.FLOAT16: "float16",
}
# Name of a detector's own answer in a graph that is inspected.
VERDICT = "verdict"
# First version of ai.onnx.ml whose LabelEncoder has keys and values; in version 1 it was another
# operator (https://onnx.ai/onnx/operators/onnx_aionnxml_LabelEncoder.html).
_LABELS_SINCE = 2


def with_window(external: ExternalGraph, wanted: Declaration) -> ModelProto:
    """The graph with the input `window`, float32 `[batch, length, channels]`, and no outputs yet.

    Raises:
        GraphError: the graph has not exactly one input, or the input's type or shape does not fit.
    """
    taken = _input(external, wanted)
    length, width = wanted.window.length, len(wanted.signals)
    layout = _layout(taken, wanted)
    model = ModelProto()
    model.CopyFrom(external.model)
    graph = model.graph
    own = list(graph.node)
    for part in (graph.node, graph.input, graph.output, model.training_info):
        del part[:]
    wiring = Wiring(graph, external.opset)
    tensor = INPUT
    if layout == "ncl":
        tensor = wiring.add("Transpose", tensor, perm=[0, 2, 1])
    if layout == "flat":
        tensor = wiring.add("Reshape", tensor, wiring.constant([0, length * width]))
    dtype = taken.type.tensor_type.elem_type
    wiring.end("Cast", tensor, name=taken.name, to=dtype)
    graph.node.extend(own)
    graph.input.append(
        helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["batch", length, width])
    )
    return model


def for_inspection(model: ModelProto, external: ExternalGraph, wanted: Declaration) -> bytes:
    """The graph with two outputs for each declared tensor, `<name> shape` and `<name> flat`.

    Tensors are flattened, so that one without a batch axis can be inspected too. `model` is the
    graph that `with_window` returns. Whole numbers that a detector gives beside its score, and that
    the description leaves out, are the output `verdict`, flattened.

    Raises:
        GraphError: a declared tensor is not among the graph's outputs, or is not a tensor.
    """
    shown = ModelProto()
    shown.CopyFrom(model)
    wiring = Wiring(shown.graph, external.opset)
    for one in wanted.outputs:
        tensor = _output(external, one)
        wiring.end("Shape", tensor, name=f"{one.name} shape")
        wiring.end("Reshape", tensor, wiring.constant([-1]), name=f"{one.name} flat")
        for part in ("shape", "flat"):
            shown.graph.output.append(ValueInfoProto(name=f"{one.name} {part}"))
    if wanted.task == "anomaly" and wanted.tensor("value") is None:
        for tensor in _whole_numbers(external)[:1]:
            wiring.end("Reshape", tensor, wiring.constant([-1]), name=VERDICT)
            shown.graph.output.append(ValueInfoProto(name=VERDICT))
    return _bytes(shown)


def _whole_numbers(external: ExternalGraph) -> list[str]:
    """The graph's outputs of type int64."""
    return [
        info.name
        for info in external.model.graph.output
        if info.type.tensor_type.elem_type == TensorProto.INT64
    ]


def with_answers(
    model: ModelProto,
    external: ExternalGraph,
    wanted: Declaration,
    seen: Seen,
    marks: Mapping[str, str],
) -> bytes:
    """The graph with the outputs that the manifest promises.

    Args:
        model: the graph with its window, see `with_window`; it is changed.
        external: the external graph, with its outputs.
        wanted: the description of the graph.
        seen: the graph's tensors for some windows; their types decide what has to be cast.
        marks: stream and seq, for the graph's metadata.

    Returns:
        The serialised ONNX model.

    Raises:
        GraphError: a label is not of the graph's type, or the graph is too large.
    """
    graph = model.graph
    wiring = Wiring(graph, external.opset)
    for name, make in (("probabilities", _probabilities), ("score", _score), ("value", _value)):
        one = wanted.tensor(name)
        make(wiring, wanted, _output(external, one) if one else None, seen.get(name))
    for output in wanted.promised():
        dtype = TensorProto.INT64 if output.dtype == "int64" else TensorProto.FLOAT
        shape: list[str | int] = ["batch"]
        if output.name == "probabilities":
            shape.append(len(output.classes))
        graph.output.append(helper.make_tensor_value_info(output.name, dtype, shape))
    if any(node.op_type == "LabelEncoder" for node in wiring.added):
        _need_labels(model)
    del model.metadata_props[:]
    helper.set_model_props(model, dict(marks))
    return _bytes(model)


def _input(external: ExternalGraph, wanted: Declaration) -> ValueInfoProto:
    """The graph's only input, which takes the window."""
    names, given = list(external.inputs), wanted.input.name
    if given is not None and given not in names:
        raise GraphError(
            f"input.name is '{given}', but the graph's inputs are {', '.join(names)}; use one"
        )
    if len(names) != 1:
        raise GraphError(
            f"the graph has {len(names)} inputs ({', '.join(names[:8])}), but a window is a single "
            "one; export it with one input that holds all signals"
        )
    taken: ValueInfoProto = external.model.graph.input[0]
    dtype = taken.type.tensor_type.elem_type
    if dtype not in _INPUT_TYPES:
        found = {number: name.lower() for name, number in TensorProto.DataType.items()}.get(dtype)
        raise GraphError(
            f"input '{names[0]}' takes {found}, allowed are {', '.join(_INPUT_TYPES.values())}; "
            "signals are floating-point numbers: put the rounding or the look-up into the graph"
        )
    return taken


def _layout(taken: ValueInfoProto, wanted: Declaration) -> Layout:
    """The layout of the graph's input, compared with its shape as far as that is known."""
    length, width, layout = wanted.window.length, len(wanted.signals), wanted.input.layout
    shapes = {"nlc": [length, width], "ncl": [width, length], "flat": [length * width]}
    kind = taken.type.tensor_type
    if not kind.HasField("shape"):
        if layout is None:
            raise GraphError("the graph does not state the shape of its input; give input.layout")
        return layout
    found = [dim.dim_value or None for dim in kind.shape.dim]
    fitting = [name for name, shape in shapes.items() if _fits(found[1:], shape)]
    if layout is None and fitting == ["flat"] and length == 1:
        return "flat"
    if layout in fitting:
        return layout
    said = "[" + ", ".join("?" if dim is None else str(dim) for dim in found) + "]"
    shapes_said = f"the graph's input is {said}, the window is {length} samples of {width} signals"
    if layout is None and fitting:
        raise GraphError(f"{shapes_said}; give input.layout, {' or '.join(fitting)} would fit")
    meant = ", ".join(f"{name} [batch, {str(shape)[1:]}" for name, shape in shapes.items())
    asked = "none fits" if layout is None or not fitting else f"{layout} does not fit"
    raise GraphError(
        f"{shapes_said}; {asked} of the layouts {meant}: correct [window], [[signals]] or [input]"
    )


def _fits(found: list[int | None], shape: list[int]) -> bool:
    return len(found) == len(shape) and all(
        dim in (None, size) for dim, size in zip(found, shape, strict=True)
    )


def _output(external: ExternalGraph, one: Tensor) -> str:
    """The name that a declared tensor has in the graph."""
    if one.source not in external.outputs:
        raise GraphError(
            f"outputs: the graph has no output '{one.source}'; its outputs are "
            f"{', '.join(external.outputs)}: give one of them as tensor"
        )
    kinds = {info.name: info.type.WhichOneof("value") for info in external.model.graph.output}
    tensor = external.outputs[one.source]
    if kinds.get(tensor) not in ("tensor_type", None):
        raise GraphError(
            f"output '{one.source}' is not a tensor; export it as one (skl2onnx: "
            "options={'zipmap': False})"
        )
    return tensor


def _probabilities(
    wiring: Wiring, wanted: Declaration, tensor: str | None, seen: NDArray[Any] | None
) -> None:
    declared = wanted.tensor("probabilities")
    if tensor is None or seen is None or declared is None:
        return
    tensor = _as_float(wiring, tensor, seen)
    if declared.apply:
        wiring.end("Softmax", tensor, name="probabilities", axis=1)
    else:
        wiring.end("Identity", tensor, name="probabilities")


def _score(
    wiring: Wiring, wanted: Declaration, tensor: str | None, seen: NDArray[Any] | None
) -> None:
    declared = wanted.tensor("score")
    if tensor is not None and seen is not None and declared is not None:
        flat = wiring.add("Reshape", _as_float(wiring, tensor, seen), wiring.constant([-1]))
        kind = "Sigmoid" if declared.apply else "Neg" if declared.is_turned else "Identity"
        wiring.end(kind, flat, name="score")
    elif wanted.tensor("probabilities") is None:
        return
    elif wanted.threshold is None:
        wiring.highest("probabilities", name="score")
    else:
        wiring.end("Gather", "probabilities", wiring.constant(1), name="score", axis=1)


def _value(
    wiring: Wiring, wanted: Declaration, tensor: str | None, seen: NDArray[Any] | None
) -> None:
    if tensor is not None and seen is not None:
        flat = wiring.add("Reshape", tensor, wiring.constant([-1]))
        if wanted.task == "regression":
            wiring.end("Identity", _as_float(wiring, flat, seen), name="value")
        else:
            wiring.end("Identity", _index(wiring, wanted, flat, seen), name="value")
    elif wanted.threshold is not None:
        limit = wiring.constant(wanted.threshold, np.float32)
        wiring.end(
            "Cast", wiring.add("Greater", "score", limit), name="value", to=TensorProto.INT64
        )
    else:
        wiring.end("ArgMax", "probabilities", name="value", axis=1, keepdims=0)


def _as_float(wiring: Wiring, tensor: str, seen: NDArray[Any]) -> str:
    if seen.dtype == np.float32:
        return tensor
    return wiring.add("Cast", tensor, to=TensorProto.FLOAT)


def _index(wiring: Wiring, wanted: Declaration, tensor: str, seen: NDArray[Any]) -> str:
    """The class index: as given, or looked up by the graph's own label; -1 for unknown labels."""
    if seen.dtype.kind in "OUS":
        keys: dict[str, Any] = {"keys_strings": list(wanted.labels)}
    else:
        tensor = wiring.add("Cast", tensor, to=TensorProto.INT64)
        if not wanted.has_own_labels:
            return tensor
        keys = {"keys_int64s": _whole_labels(wanted)}
    indices = list(range(len(wanted.classes)))
    return wiring.add("LabelEncoder", tensor, **keys, values_int64s=indices, default_int64=-1)


def _whole_labels(wanted: Declaration) -> list[int]:
    try:
        return [int(label) for label in wanted.labels]
    except ValueError as exc:
        raise GraphError(
            f"outputs: classes has the labels {', '.join(wanted.labels)}, but the graph's labels "
            "are whole numbers; give these"
        ) from exc


def _need_labels(model: ModelProto) -> None:
    """Import ai.onnx.ml in a version whose LabelEncoder can look up labels."""
    imported = next((one for one in model.opset_import if one.domain == ML), None)
    if imported is None:
        model.opset_import.append(helper.make_opsetid(ML, _LABELS_SINCE))
    elif imported.version < _LABELS_SINCE:
        # LabelEncoder is the only operator that means something else before version 2.
        if any(
            n.op_type == "LabelEncoder" and not n.name.startswith(MARK) for n in model.graph.node
        ):
            raise GraphError(
                f"the graph uses the LabelEncoder of {ML} {imported.version}; export it with "
                f"{ML} {_LABELS_SINCE} or later"
            )
        imported.version = _LABELS_SINCE


def _bytes(model: ModelProto) -> bytes:
    try:
        content: bytes = model.SerializeToString(deterministic=True)
    except ValueError as exc:  # protobuf serialises at most two gigabytes
        raise GraphError(f"the graph is too large: {exc}") from exc
    return content
