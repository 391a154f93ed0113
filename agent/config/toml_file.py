"""Reads the configuration: a TOML file, overridden by `MILLHAND_*` variables, checked whole."""

import os
import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import SettingsError

from agent.config.settings import Settings
from models.validation import explain, follows, key_of
from serving.errors import ConfigError

MAX_FILE_BYTES = 64 << 10  # tomllib takes seconds for a hostile file of this size


def load_settings(path: Path) -> Settings:
    """Read and check the configuration; this connects to nothing and writes nothing.

    Raises:
        ConfigError: a line for each mistake: file, key, what was found and what is allowed.
    """
    content = _read(path)
    try:
        return Settings(**content)
    except ValidationError as exc:
        errors = [error for error in exc.errors() if not follows(error, exc.errors())]
        mistakes = [f"{_place(error, path)}: {_explained(error)}" for error in errors]
    except SettingsError as exc:
        mistakes = [f"environment: {exc}; a section or list given there must be JSON"]
    raise ConfigError("\n".join(mistakes))


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
        content = tomllib.loads(raw.decode())
    except (ValueError, RecursionError) as exc:  # also not UTF-8, a huge number, deep nesting
        raise ConfigError(f"{path}: is not TOML: {exc}") from exc
    # pydantic-settings takes arguments of its own by such names.
    if private := [key for key in content if key.startswith("_")]:
        raise ConfigError("\n".join(f"{path}: {key}: is not a setting" for key in private))
    return content


def _place(error: ErrorDetails, path: Path) -> str:
    """The file, or the environment variable that overrides the key."""
    names = [str(part).upper() for part in error["loc"]]
    for end in range(len(names), 0, -1):
        variable = "MILLHAND_" + "__".join(names[:end])
        if variable in os.environ:
            return f"environment {variable}"
    return str(path)


def _explained(error: ErrorDetails) -> str:
    key = key_of(error["loc"])
    if error["type"] == "extra_forbidden":
        return f"{key}: is not a setting; see config/agent.schema.json for those there are"
    return f"{key or 'file'}: {explain(error)}"
