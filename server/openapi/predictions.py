"""The paths that a person can type: the streams, and predictions for readings."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from models.bundle.manifest import Manifest
from server.openapi.operation import HTML, JSON, Body, Operation, answered
from server.openapi.refusals import BODY, MODEL, NAMED
from server.openapi.schemas import (
    ANY,
    NUMBER,
    Schema,
    array,
    number,
    one_of,
    optional,
    record,
    ref,
    table,
    text,
    whole,
)

TAG: Final = "Streams"

TIME: Final[Schema] = {
    "type": ["number", "string"],
    "description": "Event time, as text of RFC 3339 or in milliseconds since 1970; in all rows or "
    "in none. Without it the rows are a sample period apart, and the last one is of now.",
}
ASSET: Final = text("Asset that the row is of; windows never mix assets.")

PREDICT_BODY: Final = Body(
    description="The readings. The body may be compressed by gzip or deflate.",
    content={JSON: ref("PredictRequest")},
)
PREDICT_KEY: Final = ("POST", "/v1/streams/{stream}/predict")
PREDICT: Final = Operation(
    id="predict",
    tag=TAG,
    summary="Answer readings by the names of their signals",
    description="The paths with the name of a stream show its signals, units and ranges.",
    body=PREDICT_BODY,
    query={
        "why": "`true`: each prediction names the signals that it is due to. `false`: none does. "
        "Without it, those do for which the bundle says so, as a rule the first of an alarm."
    },
    answer=answered(
        "A prediction for each window that the rows complete, as MQTT would publish it.",
        ref("PredictResponse"),
    ),
    refused=(*NAMED, *BODY, *MODEL),
)

_SHORT: Final[Mapping[str, Schema]] = {
    "name": text("Name of the model, for people."),
    "task": text(choices=("classification", "regression", "anomaly")),
    "version": text("Semantic version of the newest version that answers."),
    "seq": whole("Number of its bundle in the stream."),
    "signals": array(text(), "Names of the signals, in the order of a window's last axis."),
}


def readings(row: Schema) -> Schema:
    """The body of a predict request, whose rows have this schema."""
    described = (
        "Rows of one or several assets, each asset's in the order of their times. A single row may "
        "stand here without the list."
    )
    return record({"readings": array(row, described, least=1)})


def schemas() -> Mapping[str, Schema]:
    """The schemas that the operations refer to; that of the manifest is pydantic's."""
    manifest = Manifest.model_json_schema(
        mode="serialization", ref_template="#/components/schemas/{model}"
    )
    parts: Mapping[str, Schema] = manifest.pop("$defs")
    return {**_SCHEMAS, **parts, "Manifest": manifest}


_SCHEMAS: Final[Mapping[str, Schema]] = {
    "PredictRequest": readings(
        table(
            {"type": ["number", "string", "null"]},
            "A value by the name of its signal, in engineering units; null is a missing value. "
            "Beside them `time` and `asset`, or `_time` and `_asset` where signals have their "
            "names.",
        )
    ),
    "PredictResponse": record(
        {"predictions": array(ref("Prediction"))},
        {
            "dropped": array(ref("DroppedRow"), "Rows that are not used."),
            "unexplained": whole(
                "Predictions without `why` that were to have it, for want of time or room."
            ),
        },
    ),
    "Prediction": record(
        {
            "value": optional("number", "The answer; null where the quality is BAD."),
            "quality": text("The worst of the inputs.", choices=("GOOD", "UNCERTAIN", "BAD")),
            "timestamp": whole("Event time of the window's last sample, milliseconds since 1970."),
            "asset": text("Asset that the rows are of; the name of the stream without one."),
            "stream": text("Name of the stream."),
            "version": text("Semantic version of the model."),
            "seq": whole("Number of its bundle in the stream."),
            "id": text("Identity of the prediction, the same for the same input and bundle."),
            "latency_ms": number("Milliseconds from the request's arrival to the answer."),
            "input_age_ms": whole("Milliseconds from the event time to the answer."),
        },
        {
            "unit": text("Engineering unit of the value."),
            "label": text("Name of the class."),
            "score": number("Probability, or how abnormal it is."),
            "reason": text("Why the quality is BAD."),
            "why": array(
                ref("Contribution"),
                "At most three signals that the prediction is due to, the largest share first.",
            ),
        },
    ),
    "Contribution": record(
        {
            "signal": text("Name of the signal."),
            "value": optional("number", "Its newest value in the window; null where missing."),
            "share": optional(
                "number",
                "Its contribution divided by the sum of the amounts of all, -1 to 1; below 0 it "
                "speaks against the answer. Null where the whole signal is missing.",
            ),
        }
    ),
    "DroppedRow": record(
        {"row": whole("Number of the row, from 0."), "reason": text("Why it is not used.")}
    ),
    "StreamList": record({"streams": array(ref("StreamEntry"))}),
    "StreamEntry": record(
        {
            "stream": text("Name of the stream."),
            "state": text(choices=("READY", "LOADING", "UNAVAILABLE")),
            "versions": array(text(), "The `seq` of each version that answers, newest first."),
        },
        {"reason": text("What keeps the stream from having a model."), **_SHORT},
    ),
    "Stream": record(
        {
            "stream": text("Name of the stream."),
            "state": text(choices=("READY",)),
            "versions": array(text(), "The `seq` of each version that answers, newest first."),
            **_SHORT,
            "sha256": text("SHA-256 of the bundle."),
            "manifest": ref("Manifest"),
            "example": one_of(ref("StreamExample"), {"type": "null"}),
        }
    ),
    "StreamExample": record(
        {
            "request": record({"readings": ANY}, description="A request that works."),
            "curl": text("The same as a line for the shell."),
            "expected": table(NUMBER, "What the model answers, by the name of the output."),
        }
    ),
}

_OF_ONE: Final = {
    ("GET", ""): Operation(
        id="stream",
        tag=TAG,
        summary="What a stream takes and answers, with an example as a curl line",
        answer=answered("Its manifest, and an example.", ref("Stream")),
        refused=NAMED,
    ),
    ("GET", "/report"): Operation(
        id="report",
        tag=TAG,
        summary="The report of the model",
        description="404 where the model was published without its report.",
        answer=answered("The page that was written when it was trained.", text(), HTML),
        refused=NAMED,
    ),
    ("POST", "/predict"): PREDICT,
}
"""Operations of a stream and of a version of it, by method and end of the path."""


def operations() -> Iterator[tuple[tuple[str, str], Operation]]:
    """Method and path, and the operation, of everything that is described here."""
    yield (
        ("GET", "/v1/streams"),
        Operation(
            id="streams",
            tag=TAG,
            summary="The streams that are served",
            answer=answered("All streams of the configuration.", ref("StreamList")),
        ),
    )
    for (method, end), one in _OF_ONE.items():
        yield (method, f"/v1/streams/{{stream}}{end}"), one
        of_version = replace(one, id=f"version_{one.id}", summary=f"{one.summary}; by version")
        yield (method, f"/v1/streams/{{stream}}/versions/{{version}}{end}"), of_version
