"""What all documents of the control plane have in common: how they are read and written."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

MAX_ACTIVITY: Final = 128
MAX_MESSAGE: Final = 1000

Seq = Annotated[int, Field(strict=True, ge=1, le=2**53 - 1)]
Count = Annotated[int, Field(ge=0)]
Activity = Annotated[str, BeforeValidator(lambda value: str(value)[:MAX_ACTIVITY])]
"""Tells one push from every other in the gateways' answers; cut after 128 characters."""
Message = Annotated[str, BeforeValidator(lambda text: str(text)[:MAX_MESSAGE])]
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]


class Document(BaseModel):
    """A document of the control plane.

    A program makes its own documents by `model_construct`, which trusts it, and reads those of
    others by `model_validate`. So an agent that only publishes them never builds the validators and
    never runs pydantic's core after its start, which keeps some 2 MB of code out of its memory.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    def to_json(self) -> bytes:
        """The payload: UTF-8 JSON of the fields that were set."""
        return orjson.dumps(self, default=_fields)


def timestamp() -> str:
    """The time of day as documents write it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _fields(document: object) -> dict[str, Any]:
    """The fields of a document that were set, in the order of its class."""
    if not isinstance(document, Document):
        raise TypeError(f"{type(document).__name__} has no place in a document")
    return {
        name: getattr(document, name)
        for name in type(document).model_fields
        if name in document.model_fields_set
    }
