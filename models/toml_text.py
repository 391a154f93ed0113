"""Lines of TOML, and comments among them."""

import json
import textwrap
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from models.printable import on_one_line

WIDTH: Final = 98
_BARE: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


def text(value: str) -> str:
    """A basic string of TOML."""
    return '"' + on_one_line(value.replace("\\", "\\\\").replace('"', '\\"')) + '"'


def key(name: str) -> str:
    """A key, in quotes where it must be."""
    return name if name and _BARE.issuperset(name) else text(name)


def value(found: object) -> str:
    """A value: text, a number, true or false, a moment, a list, or a table on one line."""
    if isinstance(found, str):
        return text(found)
    if isinstance(found, Mapping):
        return (
            f"{{ {', '.join(f'{key(str(name))} = {value(one)}' for name, one in found.items())} }}"
        )
    if isinstance(found, datetime):
        return found.isoformat().replace("+00:00", "Z")
    if isinstance(found, list | tuple):
        return f"[{', '.join(map(value, found))}]"
    return json.dumps(found)


def comment(sentence: str, indent: str = "# ") -> list[str]:
    """A sentence as lines of comment."""
    return textwrap.wrap(
        on_one_line(sentence),
        WIDTH,
        initial_indent=indent,
        subsequent_indent="#" + " " * (len(indent) - 1),
        break_on_hyphens=False,
    )


def commented(lines: Iterable[str]) -> list[str]:
    """Lines that do not count."""
    return [line if line.startswith("#") or not line else f"# {line}" for line in lines]


def pair(name: str, found: object, behind: str = "") -> str:
    """A key and its value, and a short comment behind."""
    line = f"{key(name)} = {value(found)}"
    return f"{line}  # {on_one_line(behind)}" if behind else line
