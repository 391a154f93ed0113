"""JSON bodies, as lenient as clients need it."""

import json
from typing import Any

import orjson

from server.http.refusals import RefusedError


def parsed(content: bytes) -> dict[str, Any]:
    """The JSON object that a body holds; NaN and Infinity may be spelled out.

    Raises:
        RefusedError: the body is not JSON, or no object.
    """
    try:
        document = orjson.loads(content)
    except orjson.JSONDecodeError:
        # Clients write a missing value as the bare word NaN, which is not JSON (RFC 8259, 6).
        try:
            document = json.loads(content)
        except (ValueError, RecursionError) as exc:
            raise RefusedError(f"the body is not JSON: {str(exc)[:200]}") from exc
    return as_object(document, "the body")


def as_object(value: Any, what: str) -> dict[str, Any]:  # noqa: ANN401  any JSON value
    """The value, which must be a JSON object.

    Raises:
        RefusedError: it is none; the message calls it `what`.
    """
    if not isinstance(value, dict):
        raise RefusedError(f"{what} is no JSON object")
    return value
