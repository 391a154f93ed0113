"""The paths of the Open Inference Protocol, version 2, and those that Triton adds to it."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from server.openapi.operation import BINARY, JSON, OCTETS, Body, Operation, answered
from server.openapi.refusals import BODY, MODEL, NAMED
from server.openapi.schemas import array, record, ref

TAG: Final = "Open Inference Protocol"
HEADER_LENGTH: Final = "Inference-Header-Content-Length"

INFER_BODY: Final = Body(
    description="The windows, as JSON, or as JSON that raw bytes follow: float32, "
    "little-endian, row-major. The body may be compressed by gzip or deflate.",
    content={JSON: ref("InferenceRequest"), OCTETS: BINARY},
)
INFER_KEY: Final = ("POST", "/v2/models/{model}/infer")
INFER: Final = Operation(
    id="infer",
    tag=TAG,
    summary="Answer windows",
    description="The paths with the name of a stream show its signals, units and ranges.",
    headers={
        HEADER_LENGTH: "Bytes of the JSON, where raw bytes follow it; 0: the body is nothing but "
        "the raw bytes of `window`."
    },
    body=INFER_BODY,
    answer=Body(
        description="The outputs, as JSON, or as JSON that the raw bytes of the outputs follow in "
        "their order, where the request asks for bytes.",
        content={JSON: ref("InferenceResponse"), OCTETS: BINARY},
        headers={HEADER_LENGTH: "Bytes of the JSON, where raw bytes follow it."},
    ),
    refused=(*NAMED, *BODY, *MODEL),
)

_SELECTION: Final = Body(
    description="Which bundle; it may be left out.",
    content={JSON: ref("RepositoryRequest")},
    is_required=False,
)
_NOTHING: Final = record({}, description="An empty object.")

_OF_ALL: Final = {
    ("GET", "/v2"): Operation(
        id="server_metadata",
        tag=TAG,
        summary="Name, version and extensions of the server",
        answer=answered("What the server is.", ref("ServerMetadata")),
    ),
    ("GET", "/v2/health/live"): Operation(
        id="server_live",
        tag=TAG,
        summary="Whether the server runs",
        answer=answered("It runs.", ref("Live")),
    ),
    ("GET", "/v2/health/ready"): Operation(
        id="server_ready",
        tag=TAG,
        summary="Whether every stream has a model",
        answer=answered("Every stream has one.", ref("Ready")),
    ),
    ("GET", "/v2/models/stats"): Operation(
        id="all_statistics",
        tag=TAG,
        summary="How often all models were run (Triton's extension statistics)",
        answer=answered("Statistics of all versions that answer.", ref("Statistics")),
    ),
    ("POST", "/v2/repository/index"): Operation(
        id="repository_index",
        tag=TAG,
        summary="All models (Triton's extension model_repository)",
        description="The request needs no body.",
        answer=answered(
            "All versions that answer, and what keeps a stream from having one.",
            array(ref("IndexEntry")),
        ),
    ),
    ("POST", "/v2/repository/models/{model}/load"): Operation(
        id="load_model",
        tag=TAG,
        summary="Serve a signed bundle of the registry (Triton's extension model_repository)",
        description="Refused unless `server.repository_control` allows it.",
        body=_SELECTION,
        answer=answered("It serves.", _NOTHING),
        refused=(*NAMED, *BODY, 504),
    ),
    ("POST", "/v2/repository/models/{model}/unload"): Operation(
        id="unload_model",
        tag=TAG,
        summary="Serve no model of a stream (Triton's extension model_repository)",
        description="Refused unless `server.repository_control` allows it.",
        body=_SELECTION,
        answer=answered("None serves, until one is loaded or the server starts again.", _NOTHING),
        refused=(*NAMED, *BODY),
    ),
}
_OF_ONE: Final = {
    ("GET", ""): Operation(
        id="model_metadata",
        tag=TAG,
        summary="Inputs, outputs, versions and digest of a model",
        answer=answered("What the model takes and answers.", ref("ModelMetadata")),
        refused=NAMED,
    ),
    ("GET", "/ready"): Operation(
        id="model_ready",
        tag=TAG,
        summary="Whether a model answers",
        answer=answered("It answers.", ref("ModelReady")),
        refused=NAMED,
    ),
    ("GET", "/config"): Operation(
        id="model_configuration",
        tag=TAG,
        summary="How a model is run (Triton's extension model_configuration)",
        answer=answered("How it is run.", ref("ModelConfiguration")),
        refused=NAMED,
    ),
    ("GET", "/stats"): Operation(
        id="model_statistics",
        tag=TAG,
        summary="How often a model was run (Triton's extension statistics)",
        answer=answered("Its statistics since the version began.", ref("Statistics")),
        refused=NAMED,
    ),
    ("POST", "/infer"): INFER,
}
"""Operations of a model and of a version of it, by method and end of the path."""


def operations() -> Iterator[tuple[tuple[str, str], Operation]]:
    """Method and path, and the operation, of everything that the protocol has."""
    yield from _OF_ALL.items()
    for (method, end), one in _OF_ONE.items():
        path = f"/v2/models/{{model}}{end}"
        yield (method, path), one
        of_version = replace(one, id=f"version_{one.id}", summary=f"{one.summary}; by version")
        yield (method, f"/v2/models/{{model}}/versions/{{version}}{end}"), of_version
