"""Refusals as the document describes them: one body, and what each status means."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final

from server.openapi.schemas import Schema, record, ref, text, whole

SCHEMAS: Final[Mapping[str, Schema]] = {
    "Refusal": record(
        {"error": text("One sentence that says what was found, where, and what is allowed.")},
        description="Why a request is not answered.",
    )
}
MEANINGS: Final[Mapping[int, str]] = {
    400: "The request is no HTTP, or its body, a tensor or a parameter is malformed, or a signal "
    "that the model requires is missing.",
    401: "The request needs a token, and has none that is known.",
    403: "The token does not have the scope that the request needs, a page of another site has "
    "sent it, or the configuration does not allow it.",
    404: "There is no such model, stream or version.",
    405: "The path has no such method.",
    408: "The request did not arrive within `limits.client_s`.",
    413: "The body, as it arrives or once it is inflated, is longer than `limits.max_body_bytes`.",
    415: "The content coding of the body is neither gzip nor deflate.",
    421: "The request is for a host that this server is not.",
    429: "More windows than `limits.max_waiting` would wait for the model, or more browsers than "
    "`console.max_clients` listen.",
    431: "Request line and headers are longer than `limits.max_header_bytes`.",
    500: "The model failed on the request or answered by a number that is none, or the server has "
    "a bug.",
    503: "No model has arrived yet, or the server is stopping.",
    504: "The answer was not there within the request's `timeout` or `limits.request_s`.",
}
ANYWHERE: Final = (400, 401, 403, 408, 421, 431, 500, 503)
"""Statuses that a request to any path may get: for who asks, for what is sent, or at a stop."""
NAMED: Final = (404,)
"""Statuses of a path that names a model or a stream."""
BODY: Final = (413, 415)
"""Statuses of a request that has a body."""
MODEL: Final = (429, 504)
"""Statuses of a request that waits for a model."""

_RETRY: Final = {"Retry-After": ("Seconds after which to try again.", whole())}
_HEADERS: Final[Mapping[int, Mapping[str, tuple[str, Schema]]]] = {
    401: {"WWW-Authenticate": ("How to bring a token (RFC 6750).", text())},
    405: {"Allow": ("The methods that the path has.", text())},
    429: _RETRY,
    503: _RETRY,
}


def responses() -> Mapping[str, Any]:
    """The components that operations refer to, by their names."""
    return {_name(status): _response(status, ref("Refusal")) for status in MEANINGS}


def referred(statuses: Iterable[int], body: Schema | None = None) -> Mapping[str, Any]:
    """The responses of an operation that is refused with these statuses.

    Args:
        statuses: the statuses.
        body: body of a refusal, where it is another than the usual one.
    """
    return {
        str(status): {"$ref": f"#/components/responses/{_name(status)}"}
        if body is None
        else _response(status, body)
        for status in sorted(set(statuses))
    }


def _response(status: int, body: Schema) -> Mapping[str, Any]:
    headers = {
        name: {"description": said, "required": True, "schema": schema}
        for name, (said, schema) in _HEADERS.get(status, {}).items()
    }
    content = {"application/json": {"schema": body}}
    described = {"description": MEANINGS[status], "content": content}
    return {**described, "headers": headers} if headers else described


def _name(status: int) -> str:
    return HTTPStatus(status).phrase.replace(" ", "")
