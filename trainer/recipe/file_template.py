"""What a file's name says: `{line}/{machine}_{run}.csv` gives every row three columns more."""

import re
from pathlib import Path

from trainer.errors import DataError

_FIELD = re.compile(r"\{([^{}/]+)\}")


def fields(template: str) -> tuple[str, ...]:
    """The names of the columns that a template gives.

    Raises:
        ValueError: it gives none, one of them twice, or has a brace that stands alone.
    """
    names = tuple(_FIELD.findall(template))
    if not names or any(sign in _FIELD.sub("", template) for sign in "{}"):
        raise ValueError("a template names columns in braces, such as '{machine}_{run}.csv'")
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"names '{twice[0]}' twice")
    return names


def values(template: str, path: Path, name: str) -> dict[str, str]:
    """What the end of `path` says of each column; a value never spans a folder.

    Args:
        template: with at least one column.
        path: of the file.
        name: of the file, for messages.

    Raises:
        DataError: the path is not as the template says, or can be read in two ways.
    """
    shortest, longest = (_matched(template, path, value) for value in ("[^/]+?", "[^/]+"))
    if shortest is None or longest is None:
        raise DataError(
            f"{name}: is not named as data.file_template '{template}' says; correct the template, "
            "or name other files"
        )
    if shortest != longest:
        raise DataError(
            f"{name}: data.file_template '{template}' reads it as {_shown(shortest)} or as "
            f"{_shown(longest)}; rename the file, or write more of the name into the template"
        )
    return shortest


def _matched(template: str, path: Path, value: str) -> dict[str, str] | None:
    """The columns' values if each is as short, or as long, as `value` has it."""
    literals = [re.escape(literal) for literal in _FIELD.split(template)[::2]]
    found = re.fullmatch(r"(?:.*/)?" + f"({value})".join(literals), path.as_posix(), re.DOTALL)
    return dict(zip(fields(template), found.groups(), strict=True)) if found else None


def _shown(read: dict[str, str]) -> str:
    return ", ".join(f"{column} '{text}'" for column, text in read.items())
