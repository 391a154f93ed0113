"""`infer` of the Open Inference Protocol: the request taken apart, and the answer put together.

    POST /v2/models/{model}[/versions/{version}]/infer

Specification: https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol
and Triton's extension_binary_data.md. Binary data follow the JSON of a request or an answer, and
`Inference-Header-Content-Length` has the length of the JSON; 0 means that a request is nothing but
the raw data of its one input.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from models.bundle.manifest import Manifest
from models.input.quality import NAMES, Quality
from server.batching.job import Outputs
from server.http.answer import Answer
from server.http.document import as_object, parsed
from server.http.refusals import ModelError, RefusedError
from server.oip.tensors import DATATYPE, INPUT, WindowTensor
from serving.errors import NotFiniteError

HEADER_LENGTH: Final = b"inference-header-content-length"
QUALITY: Final = "quality"
WHY: Final = "why"
"""The output that is given only where a request names it: which signals an answer is due to."""
DATATYPES: Final[Mapping[str, str]] = {"float32": "FP32", "int64": "INT64"}
_DATATYPES: Final = {np.dtype(name): datatype for name, datatype in DATATYPES.items()}
_OCTETS: Final = b"application/octet-stream"
_US_PER_S: Final = 1_000_000
_ID_CHARACTERS: Final = 256


@dataclass(slots=True)
class Wanted:
    """What a client has asked for.

    Attributes:
        windows: float32 `[n, length, channels]`, as the model is given them.
        qualities: quality of each window.
        outputs: names of the outputs, each with whether it is wanted as raw bytes.
        id: identity of the request, which the answer repeats; None without one.
        timeout_s: seconds in which it wants to be answered; None: it does not say.
    """

    windows: NDArray[np.float32]
    qualities: Sequence[Quality]
    outputs: Mapping[str, bool]
    id: str | None = None
    timeout_s: float | None = None


@dataclass(slots=True)
class Infer:
    """Reads requests for one version of a model, and writes their answers.

    Args:
        manifest: manifest of the version.
    """

    manifest: Manifest
    _tensor: WindowTensor = field(init=False)
    _outputs: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        self._tensor = WindowTensor(self.manifest)
        self._outputs = (*(str(one.name) for one in self.manifest.outputs), QUALITY)

    def read(self, body: bytes, header_length: bytes) -> Wanted:
        """Take a request apart.

        Args:
            body: the body, not compressed.
            header_length: value of the header `Inference-Header-Content-Length`; empty without it.

        Raises:
            RefusedError: what was found, and what is allowed.
        """
        document, raw = _parted(body, header_length)
        if document is None:
            values = self._tensor.read_raw(raw)
            return Wanted(*self._tensor.admitted(values), dict.fromkeys(self._outputs, True))
        return self.read_document(document, raw)

    def read_document(self, document: Mapping[str, Any], raw: bytes) -> Wanted:
        """Take a request apart whose document is parsed already.

        Args:
            document: the request, as the protocol writes it in JSON.
            raw: bytes of the tensors that say `binary_data_size`.

        Raises:
            RefusedError: what was found, and what is allowed.
        """
        parameters = as_object(document.get("parameters", {}), "parameters")
        windows, qualities = self._tensor.admitted(self._windows(document, raw))
        is_binary = bool(parameters.get("binary_data_output", False))
        return Wanted(
            windows,
            qualities,
            self._requested(document.get("outputs"), is_binary=is_binary),
            _id(document.get("id")),
            _timeout_s(parameters.get("timeout")),
        )

    def write(self, wanted: Wanted, outputs: Outputs) -> Answer:
        """Put an answer together.

        Raises:
            ModelError: the model has answered a window by NaN or an infinity.
        """
        tensors: list[dict[str, Any]] = []
        raw: list[bytes] = []
        for tensor, content in self.tensors(wanted, outputs):
            tensors.append(tensor)
            if "data" not in tensor:
                raw.append(content)
        document: dict[str, Any] = {
            "model_name": self.manifest.stream,
            "model_version": str(self.manifest.seq),
            "parameters": {"version": self.manifest.version},
            "outputs": tensors,
        }
        if wanted.id is not None:
            document["id"] = wanted.id
        header = orjson.dumps(document)
        if not raw:
            return Answer(200, header)
        lengths = ((HEADER_LENGTH, str(len(header)).encode()),)
        return Answer(200, b"".join((header, *raw)), _OCTETS, lengths)

    def tensors(self, wanted: Wanted, outputs: Outputs) -> list[tuple[dict[str, Any], bytes]]:
        """The tensors that a client has asked for, each with its raw bytes.

        Those that are wanted in JSON have `data`, and no raw bytes.

        Raises:
            ModelError: the model has answered a window by NaN or an infinity.
        """
        _check_finite(outputs)
        return [
            self._tensor_of(name, wanted.qualities, outputs, is_binary=is_binary)
            for name, is_binary in wanted.outputs.items()
        ]

    def _windows(self, document: Mapping[str, Any], raw: bytes) -> NDArray[np.float64]:
        inputs = document.get("inputs")
        if not isinstance(inputs, list) or len(inputs) != 1:
            found = f"{len(inputs)} inputs" if isinstance(inputs, list) else "no list of inputs"
            raise RefusedError(f"the request has {found}; allowed is one, named '{INPUT}'")
        tensor = as_object(inputs[0], "inputs[0]")
        if tensor.get("name") != INPUT:
            raise RefusedError(
                f"the input is named '{str(tensor.get('name'))[:60]}'; the model's is '{INPUT}'"
            )
        if tensor.get("datatype") != DATATYPE:
            raise RefusedError(
                f"'{INPUT}' has the datatype '{str(tensor.get('datatype'))[:20]}'; allowed is "
                f"{DATATYPE}"
            )
        size = as_object(tensor.get("parameters", {}), "parameters of the input")
        _check_memory(size, INPUT)
        if "binary_data_size" not in size:
            if raw:
                raise RefusedError(f"{len(raw)} bytes follow the JSON, which names no binary data")
            if "data" not in tensor:
                raise RefusedError(f"'{INPUT}' has no data; allowed are numbers, or raw bytes")
            return self._tensor.read_json(tensor.get("data"), tensor.get("shape", ()))
        if size["binary_data_size"] != len(raw):
            raise RefusedError(
                f"binary_data_size of '{INPUT}' is {str(size['binary_data_size'])[:20]}, but "
                f"{len(raw)} bytes follow the JSON"
            )
        return self._tensor.read_raw(raw, tensor.get("shape", ()))

    def _requested(self, outputs: Any, *, is_binary: bool) -> Mapping[str, bool]:  # noqa: ANN401  any JSON value
        if outputs is None or outputs == []:
            return dict.fromkeys(self._outputs, is_binary)
        if not isinstance(outputs, list):
            raise RefusedError("outputs is no list")
        wanted: dict[str, bool] = {}
        for output in outputs:
            name = as_object(output, "an entry of outputs").get("name")
            if name not in {*self._outputs, WHY}:
                raise RefusedError(
                    f"there is no output '{str(name)[:60]}'; there are {', '.join(self._outputs)}"
                )
            options = as_object(output.get("parameters", {}), f"parameters of output '{name}'")
            _check_memory(options, name)
            if "classification" in options:
                raise RefusedError("classification is not supported; ask for 'probabilities'")
            wanted[name] = bool(options.get("binary_data", is_binary))
        return wanted

    def _tensor_of(
        self, name: str, qualities: Sequence[Quality], outputs: Outputs, *, is_binary: bool
    ) -> tuple[dict[str, Any], bytes]:
        if name in {QUALITY, WHY}:
            words: list[str] = (
                outputs[name].tolist() if name == WHY else [NAMES[one] for one in qualities]
            )
            tensor: dict[str, Any] = {"name": name, "datatype": "BYTES", "shape": [len(words)]}
            content = _elements(words) if is_binary else b""
            values: list[Any] = words
        else:
            array = outputs[name]
            datatype = _DATATYPES[array.dtype]
            tensor = {"name": name, "datatype": datatype, "shape": list(array.shape)}
            content = array.tobytes() if is_binary else b""
            values = [] if is_binary else array.ravel().tolist()
        if is_binary:
            tensor["parameters"] = {"binary_data_size": len(content)}
        else:
            tensor["data"] = values
        return tensor, content


def _elements(words: Sequence[str]) -> bytes:
    """Elements of type BYTES, each behind its length (binary tensor extension)."""
    return b"".join(struct.pack("<I", len(one)) + one for one in map(str.encode, words))


def _parted(body: bytes, header_length: bytes) -> tuple[dict[str, Any] | None, bytes]:
    """The JSON document and the raw bytes of a body; None where all of it is raw."""
    if not header_length:
        return parsed(body), b""
    if not header_length.isdigit() or int(header_length) > len(body):
        shown = header_length[:20].decode("ascii", "backslashreplace")
        raise RefusedError(
            f"Inference-Header-Content-Length is '{shown}', and the body has {len(body)} bytes"
        )
    length = int(header_length)
    return (parsed(body[:length]) if length else None), body[length:]


def _check_memory(parameters: Mapping[str, Any], tensor: str) -> None:
    if any(name.startswith("shared_memory_") for name in parameters):
        raise RefusedError(
            f"'{tensor}' is to be in shared memory, which is not supported; allowed are JSON and "
            "raw bytes in the body"
        )


def _id(value: Any) -> str | None:  # noqa: ANN401  any JSON value
    if value is not None and (not isinstance(value, str) or len(value) > _ID_CHARACTERS):
        raise RefusedError(f"id is no text of at most {_ID_CHARACTERS} characters")
    found: str | None = value
    return found


def _timeout_s(value: Any) -> float | None:  # noqa: ANN401  any JSON value
    """Triton's parameter `timeout` in microseconds; 0 asks for none."""
    if value is None or value == 0:
        return None
    if type(value) is not int or value < 0:
        raise RefusedError("timeout is no number of microseconds")
    return value / _US_PER_S


def _check_finite(outputs: Outputs) -> None:
    for name, array in outputs.items():
        if array.dtype.kind == "f" and np.count_nonzero(np.isfinite(array)) < array.size:
            row = int(np.nonzero(~np.isfinite(array))[0][0])
            raise ModelError(
                f"the model's {name} for window {row} is no number ({NotFiniteError.code})"
            )
