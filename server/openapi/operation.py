"""One method of one path, as the document describes it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from server.openapi import refusals
from server.openapi.schemas import Schema, text

JSON: Final = "application/json"
OCTETS: Final = "application/octet-stream"
TEXT: Final = "text/plain"
HTML: Final = "text/html"
BINARY: Final[Schema] = {"type": "string", "format": "binary"}
"""Raw bytes. OpenAPI 3.1 needs no schema for them, but generators of clients look for this one."""

_NAMES: Final = {
    "model": "Name of the model, which is the name of its stream.",
    "retraining": "Identity of the proposal.",
    "rollout": "Identity of the rollout.",
    "stream": "Name of the stream.",
    "version": "The `seq` of a version that answers, or its semantic version.",
}
"""What the named parts of paths are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """A body of a request, or of an answer.

    Attributes:
        description: what it is.
        content: schema by media type, the usual one first.
        example: an example in the first media type; None without one.
        headers: name and description of each header that comes with it.
        is_required: whether a request needs it.
    """

    description: str
    content: Mapping[str, Schema]
    example: object = None
    headers: Mapping[str, str] | None = None
    is_required: bool = True

    def media(self) -> Mapping[str, Any]:
        """The media types of OpenAPI."""
        described: dict[str, dict[str, Any]] = {
            kind: {"schema": schema} for kind, schema in self.content.items()
        }
        if self.example is not None:
            next(iter(described.values()))["example"] = self.example
        return described

    def response(self) -> Mapping[str, Any]:
        """The response of OpenAPI."""
        described: dict[str, Any] = {"description": self.description, "content": self.media()}
        if self.headers:
            described["headers"] = {
                name: {"description": said, "schema": text()} for name, said in self.headers.items()
            }
        return described


def answered(description: str, schema: Schema, kind: str = JSON) -> Body:
    """An answer of one media type."""
    return Body(description=description, content={kind: schema})


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What a method of a path does.

    Attributes:
        id: name of the function in a client that is generated.
        tag: group that it is shown in.
        summary: what it does, in a line.
        description: what else is to be known of it.
        answer: what is answered with 200.
        body: what is sent; None without a body.
        headers: name and description of each header that a client may send.
        query: the same of each parameter after the question mark.
        refused: statuses of refusals, beside those that any request may get.
        refusal: body of a refusal, where it is another than the usual one.
    """

    id: str
    tag: str
    summary: str
    answer: Body
    description: str = ""
    body: Body | None = None
    headers: Mapping[str, str] | None = None
    query: Mapping[str, str] | None = None
    refused: Sequence[int] = ()
    refusal: Schema | None = None

    def described(self, path: str) -> Mapping[str, Any]:
        """The operation object of OpenAPI for a path with `{names}`."""
        parameters = [_in_path(name) for name in re.findall(r"{(\w+)}", path)]
        parameters += [_optional("header", *one) for one in (self.headers or {}).items()]
        parameters += [_optional("query", *one) for one in (self.query or {}).items()]
        refused = refusals.referred((*refusals.ANYWHERE, *self.refused), self.refusal)
        described: dict[str, Any] = {
            "operationId": self.id,
            "tags": [self.tag],
            "summary": self.summary,
            "description": self.description,
            "parameters": parameters,
            "requestBody": self.body and _request_body(self.body),
            "responses": {"200": self.answer.response(), **refused},
        }
        return {key: value for key, value in described.items() if value}


def _request_body(body: Body) -> Mapping[str, Any]:
    described = {"description": body.description, "content": body.media()}
    return {**described, "required": body.is_required}


def _in_path(name: str) -> Mapping[str, Any]:
    described = {"name": name, "in": "path", "required": True, "schema": text()}
    return {**described, "description": _NAMES[name]}


def _optional(place: str, name: str, description: str) -> Mapping[str, Any]:
    return {"name": name, "in": place, "description": description, "schema": text()}
