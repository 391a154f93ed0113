"""Every element that a path with `[*]` leads to."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from models.input.codecs.paths import Every, Finder, Path, finder, parsed

_ABSENT: Final = object()
Elements = Callable[[Any], Sequence[Any]]
"""Finds what a path leads to in a document: no element, one, or several."""


def elements_of(text: str) -> Elements:
    """What finds every element at a path; an array at the end of it is taken apart.

    Raises:
        PathError: the text is not a path.
    """
    stages = [finder(part) if part else None for part in _split(parsed(text))]

    def find(document: Any) -> Sequence[Any]:  # noqa: ANN401  any JSON value
        found: Sequence[Any] = (document,)
        for stage in stages:
            found = [one for element in found for one in _taken_apart(stage, element)]
        return found

    return find


def _taken_apart(stage: Finder | None, element: object) -> Iterable[Any]:
    found = element if stage is None else stage(element, _ABSENT)
    if type(found) is list:
        return found
    return () if found is _ABSENT or found is None else (found,)


def _split(path: Path) -> list[Path]:
    """The parts of a path between its `[*]`."""
    parts: list[Path] = [()]
    for step in path:
        if isinstance(step, Every):
            parts.append(())
        else:
            parts[-1] = (*parts[-1], step)
    return parts if parts[-1] or len(parts) == 1 else parts[:-1]
