"""Reads the configuration: a TOML file, overridden by environment variables, checked whole."""

import os
import tomllib
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from models.validation import explain, follows, key_of
from serving.errors import ConfigError
from serving.preflight.environment import overridden

MAX_FILE_BYTES = 64 << 10  # tomllib takes seconds for a hostile file of this size


class FileSettings(BaseModel):
    """Settings of a program that are read from its file, and from the environment above it.

    Attributes:
        env_prefix: what the names of the environment variables begin with.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    env_prefix: ClassVar[str] = "MILLHAND_"


_Settings = TypeVar("_Settings", bound=FileSettings)


def load_settings(path: Path, kind: type[_Settings], schema: str) -> _Settings:
    """Read and check the configuration; this connects to nothing and writes nothing.

    Args:
        path: the TOML file.
        kind: the settings that it must have; their `env_prefix` is that of the variables.
        schema: path of the schema that lists them, for the message of an error.

    Raises:
        ConfigError: a line for each mistake: file, key, what was found and what is allowed.
    """
    content = overridden(_read(path), kind, kind.env_prefix)
    try:
        return kind.model_validate(content)
    except ValidationError as exc:
        errors = [error for error in exc.errors() if not follows(error, exc.errors())]
        mistakes = [
            f"{_place(error, path, kind.env_prefix)}: {_explained(error, schema)}"
            for error in errors
        ]
        raise ConfigError("\n".join(mistakes)) from exc


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except OSError as exc:
        message = f"{path}: cannot be read: {exc.strerror}; give the file with --config"
        raise ConfigError(message) from exc
    if len(raw) > MAX_FILE_BYTES:
        raise ConfigError(f"{path}: larger than {MAX_FILE_BYTES} bytes; no configuration is")
    try:
        return tomllib.loads(raw.decode())
    except (ValueError, RecursionError) as exc:  # also not UTF-8, a huge number, deep nesting
        raise ConfigError(f"{path}: is not TOML: {exc}") from exc


def _place(error: ErrorDetails, path: Path, prefix: str) -> str:
    """The file, or the environment variable that overrides the key."""
    names = [str(part).upper() for part in error["loc"]]
    for end in range(len(names), 0, -1):
        variable = prefix + "__".join(names[:end])
        if variable in os.environ:
            return f"environment {variable}"
    return str(path)


def _explained(error: ErrorDetails, schema: str) -> str:
    key = key_of(error["loc"])
    if error["type"] == "extra_forbidden":
        return f"{key}: is not a setting; see {schema} for those there are"
    return f"{key or 'file'}: {explain(error)}"
