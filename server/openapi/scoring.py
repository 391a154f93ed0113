"""The paths of MLflow's scoring server."""

from collections.abc import Iterator, Mapping
from typing import Final

from server.openapi.operation import JSON, TEXT, Body, Operation, answered
from server.openapi.refusals import BODY, MODEL, NAMED
from server.openapi.schemas import ANY, Schema, array, one_of, record, ref, table, text

TAG: Final = "MLflow"
_CHOICES: Final = {
    "stream": "Name of the stream; it may be left out where only one is served.",
    "version": "The `seq` of a version that answers, or its semantic version.",
}

SCHEMAS: Final[Mapping[str, Schema]] = {
    "Invocation": record(
        {},
        {
            "dataframe_split": record({"columns": array(text()), "data": array(array(ANY))}),
            "dataframe_records": array(table(ANY)),
            "instances": array(ANY, "Rows by signal name, rows of values, or windows."),
            "inputs": {"description": "Columns by signal name, rows of values, or windows."},
            "params": record(
                {}, {key: text(said) for key, said in _CHOICES.items()}, "Instead of the query."
            ),
        },
        "Exactly one of the first four keys, which are MLflow's.",
    ),
    "MlflowRefusal": record(
        {
            "error_code": text("MLflow's word for the status."),
            "message": text("One sentence that says what was found and what is allowed."),
        }
    ),
}

_OPERATIONS: Final = {
    ("POST", "/invocations"): Operation(
        id="invocations",
        tag=TAG,
        summary="Answer rows or windows in the forms of MLflow's scoring server",
        query=_CHOICES,
        body=Body(
            description="One of the four forms. The body may be compressed by gzip or deflate.",
            content={JSON: ref("Invocation")},
        ),
        answer=answered("As of the predict paths.", ref("PredictResponse")),
        refused=(*NAMED, *BODY, *MODEL),
        refusal=one_of(ref("MlflowRefusal"), ref("Refusal")),
    ),
    ("GET", "/ping"): Operation(
        id="ping",
        tag=TAG,
        summary="Whether every stream has a model",
        answer=answered("Every stream has one.", text(), TEXT),
    ),
    ("GET", "/health"): Operation(
        id="health",
        tag=TAG,
        summary="As /ping",
        answer=answered("Every stream has one.", text(), TEXT),
    ),
    ("GET", "/version"): Operation(
        id="version",
        tag=TAG,
        summary="Version of millhand",
        answer=answered("The version.", text(), TEXT),
    ),
}


def operations() -> Iterator[tuple[tuple[str, str], Operation]]:
    """Method and path, and the operation, of everything that is described here."""
    yield from _OPERATIONS.items()
