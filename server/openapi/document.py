"""The document: all paths that the server has, by OpenAPI 3.1.

Specification: https://spec.openapis.org/oas/v3.1.1.html
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from typing import Any, Final

import orjson

from server.openapi import (
    open_inference,
    operating,
    page,
    predictions,
    refusals,
    retrainings,
    rollouts,
    scoring,
    tensors,
)
from server.openapi.operation import Operation
from server.openapi.schemas import Schema
from server.openapi.stream import DescribedStream

Key = tuple[str, str]
"""A method and a path with `{names}`."""

_DESCRIPTION: Final = """\
Signed models, answered over HTTP.

Every refusal is a JSON object with one key, `error`: a sentence that says what was found and what
is allowed. A method that a path does not have is refused with 405, and `Allow` names those it has;
HEAD is answered wherever GET is. A path that does not exist is refused with 404.

The paths with `{names}` stay as they are when a model changes: call them from programs. The paths
with the name of a stream say the same for one stream, with its signals, units and ranges and an
example that can be sent; they follow the newest version that answers.
"""
_SECURITY: Final = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "description": "A token of the server's token file, where the configuration asks for one.",
    }
}
_PARTS: Final = (open_inference, predictions, scoring, operating, page, rollouts, retrainings)
_SCHEMA: Final = re.compile(r'"#/components/schemas/(\w+)"')
_PLAIN: Final = re.compile(r"[^A-Za-z0-9]+")


def document(routes: Iterable[Key], streams: Sequence[DescribedStream] = ()) -> Mapping[str, Any]:
    """The document of a server.

    Args:
        routes: method and path of everything that it answers.
        streams: the streams that have a model.
    """
    present = frozenset(routes)
    common = {key: one for key, one in described().items() if key in present}
    paths: dict[str, dict[str, Any]] = {}
    for path, method, operation in _with_own_ids(_all(common, streams)):
        paths.setdefault(path, {})[method.lower()] = operation.described(path)
    responses = refusals.responses()
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "millhand",
            "version": version("millhand"),
            "description": _DESCRIPTION,
            "license": {"name": "Apache License 2.0", "identifier": "Apache-2.0"},
        },
        "tags": list(_tags(common, streams).values()),
        "paths": paths,
        "components": {
            "schemas": _schemas(paths, responses),
            "responses": responses,
            "securitySchemes": _SECURITY,
        },
        "security": [{}, *({name: []} for name in _SECURITY)],
    }


def described() -> Mapping[Key, Operation]:
    """Everything that can be described, whether this server has it or not."""
    return {key: one for part in _PARTS for key, one in part.operations()}


def _all(
    common: Mapping[Key, Operation], streams: Iterable[DescribedStream]
) -> Iterator[tuple[str, str, Operation]]:
    """Path, method and operation: those with `{names}`, and those of the streams."""
    for (method, path), operation in common.items():
        yield path, method, operation
    for stream in streams:
        for (method, path), operation in stream.operations():
            if (method, path) in common:
                yield re.sub(r"{\w+}", stream.name, path), method, operation


def _with_own_ids(
    operations: Iterable[tuple[str, str, Operation]],
) -> Iterator[tuple[str, str, Operation]]:
    """The operations with ids that differ even as names of Python, as generators make them."""
    taken: set[str] = set()
    for path, method, operation in operations:
        plain = _PLAIN.sub("_", operation.id).strip("_")
        own, number = plain, 1
        while own.lower() in taken:
            number += 1
            own = f"{plain}_{number}"
        taken.add(own.lower())
        yield path, method, replace(operation, id=own)


def _tags(
    common: Mapping[Key, Operation], streams: Iterable[DescribedStream]
) -> Mapping[str, Mapping[str, str]]:
    """The groups by their names, of which no two may be equal."""
    groups = {one.tag: {"name": one.tag} for one in common.values()}
    return {**groups, **{one.name: one.tag for one in streams}}


def _schemas(*parts: object) -> Mapping[str, Schema]:
    """The schemas that parts of the document refer to, and those that these refer to."""
    known = {**refusals.SCHEMAS, **tensors.SCHEMAS, **predictions.schemas(), **scoring.SCHEMAS}
    found: set[str] = set()
    left = _referred(parts)
    while left:
        found |= left
        left = _referred([known[name] for name in left]) - found
    return {name: schema for name, schema in known.items() if name in found}


def _referred(part: object) -> set[str]:
    """Names of the schemas that a part of the document refers to."""
    return set(_SCHEMA.findall(orjson.dumps(part).decode()))
