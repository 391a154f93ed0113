"""pydantic's errors as sentences about a TOML file: key, what was found, what is allowed."""

import difflib
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError

_MAX_SHOWN = 80


def told(error: ValidationError, content: dict[str, Any], root: type[BaseModel]) -> list[str]:
    """One line a mistake, in the order in which they were found.

    Args:
        error: what validating `content` by `root` raised.
        content: the file, parsed.
        root: the model of the whole file.
    """
    lines = []
    mistakes = error.errors()
    for found in mistakes:
        location = found["loc"]
        if found["type"] == "too_short" and any(_is_inside(m["loc"], location) for m in mistakes):
            continue  # its items are there, and are told one by one
        key = _key(location, content)
        reason = found["msg"].removeprefix("Value error, ")
        if found["type"] == "extra_forbidden":
            lines.append(f"{key}: is not known; {_nearest(location, root)}")
        elif found["type"] == "missing":
            lines.append(f"{key}: is missing; it must be given")
        elif isinstance(found["input"], dict | list | tuple):
            lines.append(f"{key}: {reason}" if key else reason)
        else:
            lines.append(f"{key}: found {_shown(found['input'])}; {reason[:1].lower()}{reason[1:]}")
    return lines


def _is_inside(location: tuple[int | str, ...], outer: tuple[int | str, ...]) -> bool:
    return len(location) > len(outer) and location[: len(outer)] == outer


def _key(location: tuple[int | str, ...], content: Any) -> str:  # noqa: ANN401  any TOML value
    """The key as written in the file: pydantic's location without the names of union members."""
    key = ""
    for position, part in enumerate(location):
        last = position == len(location) - 1
        if isinstance(part, int):
            key += f"[{part}]"
        elif last or (isinstance(content, dict) and part in content):
            key += f".{part}"
        else:
            continue
        content = _inside(content, part)
    return key.lstrip(".")


def _inside(content: Any, part: int | str) -> Any:  # noqa: ANN401  any TOML value
    if isinstance(content, dict):
        return content.get(str(part))
    if isinstance(content, list) and isinstance(part, int) and part < len(content):
        return content[part]
    return None


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


def _nearest(location: tuple[int | str, ...], root: type[BaseModel]) -> str:
    sections = [root]
    for part in location[:-1]:
        if isinstance(part, int):
            continue
        inner = [
            model
            for section in sections
            if part in section.model_fields
            for model in _models(section.model_fields[part].annotation)
        ]
        sections = inner or [section for section in sections if part in _tags(section)] or sections
    allowed = sorted({name for section in sections for name in section.model_fields})
    near = difflib.get_close_matches(str(location[-1]), allowed, n=1)
    meant = f"did you mean '{near[0]}'? " if near else ""
    return f"{meant}allowed here: {', '.join(allowed)}"


def _models(annotation: object) -> list[type[BaseModel]]:
    """The sections that an annotation speaks of, through unions and tuples."""
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
