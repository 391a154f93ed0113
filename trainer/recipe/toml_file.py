"""Reads a TOML file and reports all of its mistakes at once."""

import tomllib
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from trainer.errors import RecipeError
from trainer.recipe.validation_errors import told

MAX_BYTES = 256 << 10

_Model = TypeVar("_Model", bound=BaseModel)


def read_toml(path: Path, root: type[_Model]) -> _Model:
    """Read and check a file; patterns in it that name files become absolute.

    Args:
        path: the file.
        root: the model that the whole file must fit.

    Raises:
        RecipeError: a line for each mistake: file, key, what was found, what is allowed.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as exc:
        raise RecipeError(f"{path}: cannot be read: {exc.strerror}") from exc
    if len(raw) > MAX_BYTES:
        raise RecipeError(
            f"{path}: has more than {MAX_BYTES} bytes; a file written by hand is smaller"
        )
    try:
        content = tomllib.loads(raw.decode("utf-8-sig"))
    except (ValueError, RecursionError) as exc:  # also not UTF-8, a huge number, deep nesting
        raise RecipeError(f"{path}: is not TOML: {exc}") from exc
    try:
        return root.model_validate(content, context={"folder": path.parent.absolute()})
    except ValidationError as exc:
        lines = [f"{path}: {mistake}" for mistake in told(exc, content, root)]
        raise RecipeError("\n".join(lines)) from exc
