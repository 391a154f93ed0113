"""`ModelInfer`: from a message to what a client wants, and from outputs to a message.

A message becomes the document that the same request is over HTTP, so that both are read, and
refused, by the same code.
"""

from collections.abc import Mapping
from typing import Any, Final

from server.batching.job import Outputs
from server.http.refusals import RefusedError
from server.oip.inference import Infer, Wanted
from server.oip.tensors import DATATYPE
from server.rpc.open_inference_pb2 import ModelInferRequest, ModelInferResponse

_CONTENTS: Final = {"FP32": "fp32_contents", "INT64": "int64_contents", "BYTES": "bytes_contents"}


def read(infer: Infer, message: ModelInferRequest) -> Wanted:
    """Take a request apart.

    Raises:
        RefusedError: what was found, and what is allowed.
    """
    raw = message.raw_input_contents
    if raw and len(raw) != len(message.inputs):
        raise RefusedError(
            f"raw_input_contents has {len(raw)} entries; allowed is one for each of the "
            f"{len(message.inputs)} inputs"
        )
    parameters = _plain(message.parameters)
    document = {
        "id": message.id or None,
        "parameters": {"timeout": parameters.get("timeout"), "binary_data_output": bool(raw)},
        "inputs": [_input(one, raw[at] if raw else None) for at, one in enumerate(message.inputs)],
        "outputs": [_output(one) for one in message.outputs],
    }
    return infer.read_document(document, raw[0] if raw else b"")


def written(infer: Infer, wanted: Wanted, outputs: Outputs) -> ModelInferResponse:
    """Put an answer together: raw where the request was.

    Raises:
        ModelError: the model has answered a window by NaN or an infinity.
    """
    manifest = infer.manifest
    answer = ModelInferResponse(
        model_name=manifest.stream, model_version=str(manifest.seq), id=wanted.id or ""
    )
    answer.parameters["version"].string_param = manifest.version
    for tensor, content in infer.tensors(wanted, outputs):
        kind = tensor["datatype"]
        added = answer.outputs.add(name=tensor["name"], datatype=kind, shape=tensor["shape"])
        if "data" not in tensor:
            answer.raw_output_contents.append(content)
            continue
        values = tensor["data"]
        if kind == "BYTES":
            values = [one.encode() for one in values]
        getattr(added.contents, _CONTENTS[kind]).extend(values)
    return answer


def _input(tensor: ModelInferRequest.InferInputTensor, raw: bytes | None) -> dict[str, Any]:
    found = {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}
    if raw is None:
        for filled, _ in tensor.contents.ListFields():
            if filled.name != _CONTENTS[DATATYPE]:
                raise RefusedError(
                    f"'{tensor.name[:60]}' has {filled.name}; allowed are {_CONTENTS[DATATYPE]}, "
                    "or raw_input_contents"
                )
        return {**found, "data": list(tensor.contents.fp32_contents)}
    if tensor.HasField("contents"):
        raise RefusedError(
            f"'{tensor.name[:60]}' has contents, and raw_input_contents beside them; allowed is "
            "one of both"
        )
    return {**found, "parameters": {"binary_data_size": len(raw)}}


def _output(output: ModelInferRequest.InferRequestedOutputTensor) -> dict[str, Any]:
    options = _plain(output.parameters)
    options.pop("binary_data", None)  # over gRPC an answer is raw where its request was
    return {"name": output.name, "parameters": options}


def _plain(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Values of parameters by name; None for one without a value."""
    found: dict[str, Any] = {}
    for name, parameter in parameters.items():
        choice = parameter.WhichOneof("parameter_choice")
        found[name] = getattr(parameter, choice) if choice else None
    return found
