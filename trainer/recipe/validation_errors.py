"""pydantic's errors as sentences about a recipe: key, what was found, what is allowed."""

import difflib
import re
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from models.bundle.manifest import Name
from models.validation import Location, explain, is_inside, key_of, known_keys, sections_at, shown

_TABLE = "a table is needed, such as { key = value }"
_LIST = "a list is needed, in brackets"
_TEXT = "text is needed, in quotes"
_WHOLE = "a whole number is needed"
_NUMBER = "a number is needed"
_NEEDED = {
    "model_type": _TABLE,
    "model_attributes_type": _TABLE,
    "dict_type": _TABLE,
    "tuple_type": _LIST,
    "list_type": _LIST,
    "string_type": _TEXT,
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_parsing_size": _WHOLE,
    "int_from_float": _WHOLE,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "bool_parsing": "true or false is needed",
    "bool_type": "true or false is needed",
    "timezone_aware": "it must name its zone, as 2024-01-01T00:00:00Z does",
}
"""What is allowed, where pydantic's own message is written for programmers."""
_NAME = get_args(Name)[1].pattern


def told(error: ValidationError, content: dict[str, Any], root: type[BaseModel]) -> list[str]:
    """A line for each key with mistakes, in the order of the errors.

    Args:
        error: the error that validating `content` by `root` raised.
        content: the parsed file.
        root: the model of the whole file.
    """
    lines: dict[str, list[str]] = {}
    mistakes = [(_written(found, content), found) for found in error.errors()]
    for location, found in mistakes:
        # If an item of a list is wrong, further errors about the list as a whole would mislead.
        whole = found["type"] == "too_short" or location != found["loc"]
        if whole and any(is_inside(other, location) for other, _ in mistakes):
            continue
        said = lines.setdefault(key_of(location), [])
        reason = _reason(found, location, root)
        if said:  # another member of a union found the same value
            reason = reason.removeprefix(f"found {shown(found['input'])}; ")
        if reason not in said:
            said.append(reason)
    return [": ".join(filter(None, (key, ", or ".join(said)))) for key, said in lines.items()]


def _written(found: Any, content: Any) -> Location:  # noqa: ANN401  pydantic's details, any TOML value
    """The place of a mistake in the file: pydantic's location without names of union members."""
    written: list[int | str] = []
    location = found["loc"]
    for position, part in enumerate(location):
        last = position == len(location) - 1
        is_there = isinstance(content, dict) and part in content
        if isinstance(part, int) or is_there or (last and found["type"] == "missing"):
            written.append(part)
            content = _inside(content, part)
    if found["type"].startswith("union_tag"):
        written.append(found["ctx"]["discriminator"].strip("'"))
    return tuple(written)


def _inside(content: Any, part: int | str) -> Any:  # noqa: ANN401  any TOML value
    if isinstance(content, dict):
        return content.get(str(part))
    if isinstance(content, list) and isinstance(part, int) and part < len(content):
        return content[part]
    return None


def _reason(found: Any, location: Location, root: type[BaseModel]) -> str:  # noqa: ANN401  pydantic's details
    """What was found, and what is allowed."""
    kind, value, context = found["type"], found["input"], found.get("ctx", {})
    allowed: str | None
    if kind == "extra_forbidden":
        return f"is not known; {_nearest(found['loc'], root)}"
    if kind == "union_tag_not_found":
        return f"is missing; it must be given: {', '.join(_kinds(location, root))}"
    if kind == "union_tag_invalid":
        found = {**found, "input": context["tag"]}
        allowed = _choice(context["tag"], context["expected_tags"])
    elif kind == "literal_error":
        allowed = _choice(value, context["expected"])
    elif kind == "tuple_type" and isinstance(value, dict):
        allowed = f"{_LIST}; a list of sections is [[{location[-1]}]]"
    elif kind == "string_pattern_mismatch" and context["pattern"] == _NAME:
        allowed = _name(value)
    else:
        allowed = _NEEDED.get(kind)
    return explain(found, allowed)


def _choice(value: object, allowed: str) -> str:
    near = difflib.get_close_matches(str(value), re.findall(r"'([^']+)'", allowed), n=1)
    meant = f"did you mean '{near[0]}'? " if near else ""
    return f"{meant}allowed: {allowed}"


def _name(value: str) -> str:
    fit = re.sub(r"[^A-Za-z0-9._-]+", "_", value).strip("._-")[:64]
    such = f", such as '{fit}'; what a column is called in the files is its column" if fit else ""
    return f"a name has letters, digits, '.', '_' and '-', begins with one of the first two{such}"


def _nearest(location: Location, root: type[BaseModel]) -> str:
    allowed = sorted(known_keys(location, root))
    near = difflib.get_close_matches(str(location[-1]), allowed, n=1)
    meant = f"did you mean '{near[0]}'? " if near else ""
    return f"{meant}allowed here: {', '.join(allowed)}"


def _kinds(location: Location, root: type[BaseModel]) -> list[str]:
    """The values of the key at `location` that select one of the sections of a union."""
    sections = sections_at(location[:-1], root)
    words = (get_args(one.model_fields[str(location[-1])].annotation) for one in sections)
    return [f"'{word}'" for group in words for word in group]
