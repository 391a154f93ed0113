"""Short ways to write JSON Schema (draft 2020-12), which OpenAPI 3.1 describes bodies by.

No schema forbids further keys: a later release may add some, and clients shall not break by them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

Schema = Mapping[str, Any]

NUMBER: Schema = {"type": "number"}
ANY: Schema = {}


def text(description: str = "", *, choices: Sequence[str] = ()) -> Schema:
    """A text; one of the choices where there are any."""
    allowed = {"enum": list(choices)} if choices else {}
    return {"type": "string", **allowed, **_said(description)}


def whole(description: str = "") -> Schema:
    """A whole number."""
    return {"type": "integer", **_said(description)}


def number(description: str = "") -> Schema:
    """A number."""
    return {"type": "number", **_said(description)}


def flag(description: str = "") -> Schema:
    """True or false."""
    return {"type": "boolean", **_said(description)}


def optional(kind: str, description: str = "") -> Schema:
    """A value of a kind, or null."""
    return {"type": [kind, "null"], **_said(description)}


def array(items: Schema, description: str = "", *, least: int = 0) -> Schema:
    """A list with this many items at least."""
    bound = {"minItems": least} if least else {}
    return {"type": "array", "items": items, **bound, **_said(description)}


def record(
    required: Mapping[str, Schema],
    also: Mapping[str, Schema] | None = None,
    description: str = "",
) -> Schema:
    """An object.

    Args:
        required: schema of each key that is always there.
        also: schema of each key that may be left out.
        description: what the object is.
    """
    must = {"required": list(required)} if required else {}
    properties = {**required, **(also or {})}
    return {"type": "object", **must, "properties": properties, **_said(description)}


def table(values: Schema, description: str = "") -> Schema:
    """An object whose keys are not known before, with values of one kind."""
    return {"type": "object", "additionalProperties": values, **_said(description)}


def one_of(*choices: Schema) -> Schema:
    """What has one of several schemas."""
    return {"oneOf": list(choices)}


def ref(name: str) -> Schema:
    """The schema of this name among the document's components."""
    return {"$ref": f"#/components/schemas/{name}"}


def _said(description: str) -> Mapping[str, str]:
    return {"description": description} if description else {}
