"""The paths that a person can type: streams, predictions from readings, and MLflow's forms."""

from collections.abc import Iterator, Mapping
from typing import Final

from server.openapi.operation import HTML, JSON, TEXT, Body, Operation, answered
from server.openapi.refusals import BODY, MODEL, NAMED
from server.openapi.schemas import (
    ANY,
    Schema,
    array,
    number,
    optional,
    record,
    ref,
    table,
    text,
    whole,
)

TAG: Final = "Streams"
MLFLOW: Final = "MLflow"
PATH: Final = "/v1/streams/{stream}/predict"

TIME: Final[Schema] = {
    "type": ["number", "string", "null"],
    "description": "Event time: milliseconds since 1970, or ISO 8601 with an offset.",
}
ASSET: Final = optional("string", "Asset that the reading is of; windows never mix assets.")

PREDICT_BODY: Final = Body(description="The readings.", content={JSON: ref("PredictRequest")})
PREDICT: Final = Operation(
    id="predict",
    tag=TAG,
    summary="Answer readings by the names of their signals",
    description="The paths with the name of a stream show its signals, units and ranges.",
    body=PREDICT_BODY,
    answer=answered("The predictions, as MQTT would publish them.", ref("PredictResponse")),
    refused=(*NAMED, *BODY, *MODEL),
)

SCHEMAS: Final[Mapping[str, Schema]] = {
    "PredictRequest": record(
        {
            "readings": array(
                table(
                    {"type": ["number", "string", "null"]},
                    "A value by the name of its signal, in engineering units; null is a missing "
                    "value. `time` and `asset` may be left out.",
                ),
                "Readings in the order of their times, at least as many as a window has samples.",
                least=1,
            )
        }
    ),
    "PredictResponse": record({"predictions": array(ref("Prediction"))}),
    "Prediction": record(
        {
            "value": optional("number", "The answer; null where the quality is BAD."),
            "quality": text("The worst of the inputs.", choices=("GOOD", "UNCERTAIN", "BAD")),
            "timestamp": whole("Event time of the window's last sample, milliseconds since 1970."),
            "stream": text("Name of the stream."),
            "version": text("Semantic version of the model."),
            "seq": whole("Number of its bundle in the stream."),
            "id": text("Identity of the prediction, the same for the same input and bundle."),
        },
        {
            "asset": optional("string", "Asset that the readings are of."),
            "label": optional("string", "Name of the class; null or left out for a regression."),
            "score": optional("number", "Probability, or how abnormal it is."),
            "unit": optional("string", "Engineering unit of the value."),
            "reason": optional("string", "Why the quality is BAD."),
            "latency_ms": number("Milliseconds from the request's arrival to the answer."),
            "input_age_ms": whole("Milliseconds from the event time to the answer."),
        },
    ),
    "Streams": record({"streams": array(ref("Stream"))}),
    "Stream": record({"stream": text("Name of the stream.")}),
    "Invocation": record(
        {},
        {
            "dataframe_split": record({"columns": array(text()), "data": array(array(ANY))}),
            "dataframe_records": array(table(ANY)),
            "instances": array(ANY),
            "inputs": ANY,
            "params": table(ANY),
        },
        "Exactly one of the first four.",
    ),
    "Predictions": record({"predictions": table(array(ANY), "Each output by its name.")}),
}

_OPERATIONS: Final = {
    ("GET", "/v1/streams"): Operation(
        id="streams",
        tag=TAG,
        summary="The streams that are served",
        answer=answered("All streams.", ref("Streams")),
    ),
    ("GET", "/v1/streams/{stream}"): Operation(
        id="stream",
        tag=TAG,
        summary="Signals, windows and outputs of a stream, with an example",
        answer=answered("What its manifest says.", ref("Stream")),
        refused=NAMED,
    ),
    ("GET", "/v1/streams/{stream}/report"): Operation(
        id="report",
        tag=TAG,
        summary="The report on the model",
        answer=answered("The page that was written when it was trained.", text(), HTML),
        refused=NAMED,
    ),
    ("POST", PATH): PREDICT,
    ("POST", "/invocations"): Operation(
        id="invocations",
        tag=MLFLOW,
        summary="Answer windows or readings in the forms of MLflow's scoring server",
        body=Body(description="One of the four forms.", content={JSON: ref("Invocation")}),
        answer=answered("The outputs by their names.", ref("Predictions")),
        refused=(*NAMED, *BODY, *MODEL),
    ),
    ("GET", "/ping"): Operation(
        id="ping",
        tag=MLFLOW,
        summary="Whether every stream has a model",
        answer=answered("Every stream has one.", text(), TEXT),
        refused=(503,),
    ),
    ("GET", "/health"): Operation(
        id="health",
        tag=MLFLOW,
        summary="As /ping",
        answer=answered("Every stream has one.", text(), TEXT),
        refused=(503,),
    ),
    ("GET", "/version"): Operation(
        id="version",
        tag=MLFLOW,
        summary="Version of millhand",
        answer=answered("The version.", text(), TEXT),
    ),
}


def operations() -> Iterator[tuple[tuple[str, str], Operation]]:
    """Method and path, and the operation, of what a person can type."""
    yield from _OPERATIONS.items()
