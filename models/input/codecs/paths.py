"""Paths: where in a parsed document a value stands."""

from collections.abc import Sequence
from typing import Any


def at_path(document: Any, path: Sequence[str]) -> Any:  # noqa: ANN401  any JSON value
    """The value at a path of keys; None where a key, or an object on the way, is missing."""
    for key in path:
        if not isinstance(document, dict):
            return None
        document = document.get(key)
    return document


def split(path: str) -> list[str]:
    """The keys of a dotted path; none of an empty one."""
    return path.split(".") if path else []
