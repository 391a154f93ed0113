"""pydantic's errors in words for whoever wrote the file: the key, what was found, what is allowed.

The manifest, the configuration of the agent and the trainer's recipes are all explained by this.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from models.address import without_secrets

MAX_SHOWN: Final = 200
"""Characters of a value that a message repeats."""

Location = tuple[int | str, ...]
"""Keys and positions from the top of a file to a value in it, as pydantic has them in `loc`."""


def key_of(location: Location) -> str:
    """A location as it is written in messages: `signals[0].range`."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return "".join(parts).lstrip(".")


def explain(error: ErrorDetails, allowed: str | None = None) -> str:
    """What was found, and what is allowed there.

    Args:
        error: one of the errors that pydantic found.
        allowed: what is allowed; None: as pydantic says it.
    """
    if error["type"] == "missing":
        return "is missing; it must be given"
    if allowed is None:
        reason = error["msg"].removeprefix("Value error, ")
        allowed = reason[:1].lower() + reason[1:]
    value = error["input"]
    is_section = isinstance(value, dict | list | tuple | BaseModel)
    return allowed if is_section else f"found {shown(value)}; {allowed}"


def shown(value: object) -> str:
    """A value as messages repeat it: cut to `MAX_SHOWN` characters, URLs without their secrets."""
    text = without_secrets(repr(value))
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."


def in_utc(moment: datetime) -> datetime:
    """A time in UTC, as a pydantic validator.

    Raises:
        ValueError: UTC cannot express it.
    """
    try:
        return moment.astimezone(UTC)
    except OverflowError as exc:
        raise ValueError("a time in the years 1 to 9999 of UTC is needed") from exc


def is_inside(location: Location, outer: Location) -> bool:
    """Whether a location lies below another one."""
    return len(location) > len(outer) and location[: len(outer)] == outer


def follows(error: ErrorDetails, errors: Sequence[ErrorDetails]) -> bool:
    """Whether a list is only too short because its items have mistakes of their own."""
    return error["type"] == "too_short" and any(
        is_inside(other["loc"], error["loc"]) for other in errors
    )


def known_keys(location: Location, root: type[BaseModel]) -> list[str]:
    """The keys that may stand beside the last of a location, in the order of the model."""
    sections = sections_at(location[:-1], root)
    return list(dict.fromkeys(name for section in sections for name in section.model_fields))


def sections_at(location: Location, root: type[BaseModel]) -> list[type[BaseModel]]:
    """The models that may stand at a location, of which more than one is a union.

    Args:
        location: names of union members, which pydantic adds, may be part of it.
        root: the model of the whole file.
    """
    sections = [root]
    for part in location:
        if isinstance(part, int):
            continue
        inner = [
            model
            for section in sections
            if part in section.model_fields
            for model in _models(section.model_fields[part].annotation)
        ]
        sections = inner or [section for section in sections if part in _tags(section)] or sections
    return sections


def _models(annotation: Any) -> list[type[BaseModel]]:  # noqa: ANN401  any annotation of a field
    """The models that an annotation names, through unions and tuples."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]


def _tags(section: type[BaseModel]) -> set[str]:
    """The values by which a union tells `section` from its siblings."""
    literals = (field.annotation for field in section.model_fields.values())
    return {
        str(tag)
        for literal in literals
        if get_origin(literal) is Literal
        for tag in get_args(literal)
    }
