"""Lines of TOML, and comments among them."""

import json
import textwrap
from collections.abc import Iterable, Mapping
from typing import Final

from agent.learn.seen import shown

WIDTH: Final = 98
_BARE: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


def text(value: str) -> str:
    """A basic string of TOML."""
    return '"' + shown.plain(value.replace("\\", "\\\\").replace('"', '\\"')) + '"'


def key(name: str) -> str:
    """A key, in quotes where it must be."""
    return name if name and _BARE.issuperset(name) else text(name)


def value(found: object) -> str:
    """A value: text, a number, true or false, or a table of them on one line."""
    if isinstance(found, str):
        return text(found)
    if isinstance(found, Mapping):
        return (
            f"{{ {', '.join(f'{key(str(name))} = {value(one)}' for name, one in found.items())} }}"
        )
    return json.dumps(found)


def comment(sentence: str, indent: str = "# ") -> list[str]:
    """A sentence as lines of comment."""
    return textwrap.wrap(
        shown.plain(sentence),
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
    return f"{line}  # {shown.plain(behind)}" if behind else line
