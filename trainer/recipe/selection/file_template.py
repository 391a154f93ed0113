"""Columns from file names: `{line}/{machine}_{run}.csv` gives every row three more columns."""

import re
from pathlib import Path

from trainer.errors import DataError

_FIELD = re.compile(r"\{([^{}/]+)\}")


def fields(template: str) -> tuple[str, ...]:
    """The names of the columns that a template gives.

    Raises:
        ValueError: the template names no column, one of them twice, or has a single brace.
    """
    names = tuple(_FIELD.findall(template))
    if not names or any(sign in _FIELD.sub("", template) for sign in "{}"):
        raise ValueError("a template needs columns in braces, such as '{machine}_{run}.csv'")
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"the template names '{twice[0]}' twice")
    return names


def values(template: str, path: Path, name: str) -> dict[str, str]:
    """The text of each column, read from the end of a file's path; a text never spans a folder.

    Args:
        template: a template with at least one column in braces.
        path: the path of the file.
        name: the file's name in error messages.

    Raises:
        DataError: the path does not match the template, or matches it in two ways.
    """
    shortest, longest = (_matched(template, path, value) for value in ("[^/]+?", "[^/]+"))
    if shortest is None or longest is None:
        raise DataError(
            f"{name}: does not match data.file_template '{template}'; correct the template, or "
            "name other files"
        )
    if shortest != longest:
        raise DataError(
            f"{name}: data.file_template '{template}' can be read as {_shown(shortest)} or as "
            f"{_shown(longest)}; rename the file, or write more of its name into the template"
        )
    return shortest


def _matched(template: str, path: Path, value: str) -> dict[str, str] | None:
    """The columns' texts, if all of them match as short, or as long, as the pattern `value` may."""
    literals = [re.escape(literal) for literal in _FIELD.split(template)[::2]]
    found = re.fullmatch(r"(?:.*/)?" + f"({value})".join(literals), path.as_posix(), re.DOTALL)
    return dict(zip(fields(template), found.groups(), strict=True)) if found else None


def _shown(read: dict[str, str]) -> str:
    return ", ".join(f"{column} '{text}'" for column, text in read.items())
