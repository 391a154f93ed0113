"""Holds what the server answers to the OpenAPI document that it serves.

The document is made here as the server makes it, without a request: the test of the document holds
the one that is served to this one. In it a record may have further keys, which a later release may
add; here none is allowed, so that each key that is answered is one that the document names.
"""

import json
import re
from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator

from server.openapi.document import described, document
from server.openapi.page import is_of_the_page

if TYPE_CHECKING:
    from tests.kit.model_server import Reply

JSON = "application/json"
OCTETS = "application/octet-stream"
REFUSAL = {"$ref": "#/components/schemas/Refusal"}


def check_answer(method: str, path: str, reply: "Reply") -> None:
    """Fail unless status, headers, media type and body are as the document says."""
    where = f"{method} {path} -> {reply.status} {reply.body[:200]!r}"
    operations = _operations(path)
    operation = operations and operations.get("get" if method == "HEAD" else method.lower())
    if operation is None:
        if reply.status < 400 and is_of_the_page(path):
            return
        assert reply.status >= 400, f"the document does not know this path: {where}"
        _fits(REFUSAL, reply.body, where)
        return
    is_nowhere = reply.status == HTTPStatus.NOT_FOUND and b"there is nothing at" in reply.body
    if is_nowhere and b'"error_code"' not in reply.body:
        _fits(REFUSAL, reply.body, where)  # the path is switched off in the configuration
        return
    response = operation["responses"].get(str(reply.status))
    assert response is not None, f"the document does not know this status: {where}"
    response = _resolved(response)
    for name, header in response.get("headers", {}).items():
        assert name.lower() in reply.headers or not header.get("required"), f"no {name}: {where}"
    kind = reply.headers["content-type"].partition(";")[0]
    assert kind in response["content"], f"the document does not know {kind}: {where}"
    if method != "HEAD" and kind in {JSON, OCTETS}:
        _fits(response["content"][JSON]["schema"], _json(kind, reply), where)


def _json(kind: str, reply: "Reply") -> bytes:
    """The JSON of a body, before raw bytes if there are any."""
    if kind == JSON:
        return reply.body
    return reply.body[: int(reply.headers["inference-header-content-length"])]


def _fits(schema: Mapping[str, Any], content: bytes, where: str) -> None:
    error = next(_validator(json.dumps(schema)).iter_errors(json.loads(content)), None)
    assert error is None, f"{error.json_path}: {error.message}: {where}"


@cache
def _document() -> Mapping[str, Any]:
    """The document of a server that has everything, as it is read from JSON."""
    found: Mapping[str, Any] = json.loads(json.dumps(document(described())))
    return found


@cache
def _validator(schema: str) -> Draft202012Validator:
    components = _closed(_document()["components"])
    return Draft202012Validator({**_closed(json.loads(schema)), "components": components})


def _closed(schema: Any) -> Any:  # noqa: ANN401  any JSON value
    """A schema whose records have no keys but those it names."""
    if isinstance(schema, list):
        return [_closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _closed(one) for key, one in schema.items()}
    if "properties" in found and found.get("type") == "object":
        found.setdefault("additionalProperties", False)
    return found


@cache
def _operations(path: str) -> Mapping[str, Any] | None:
    """What the document says of a path, as it is requested; None where it does not know it."""
    asked = path.partition("?")[0].rstrip("/") or "/"
    paths: Mapping[str, Mapping[str, Any]] = _document()["paths"]
    if asked in paths:
        return paths[asked]
    for template, operations in paths.items():
        if re.fullmatch(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(template)), asked):
            return operations
    return None


def _resolved(response: Mapping[str, Any]) -> Mapping[str, Any]:
    name = response.get("$ref", "").rpartition("/")[2]
    found: Mapping[str, Any] = _document()["components"]["responses"][name] if name else response
    return found
