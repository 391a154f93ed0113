"""The configuration file: one TOML file, overridden by `MILLHAND_*` variables, checked whole."""

import os
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_settings import SettingsError

from agent.config.settings import Settings
from serving.errors import ConfigError

MAX_FILE_BYTES = 64 << 10  # tomllib takes seconds for a hostile file of this size
MAX_TOLD = 200


def load_settings(path: Path) -> Settings:
    """Read and check the configuration; nothing is connected, created or written.

    Raises:
        ConfigError: every mistake found, each with file, key, what was found and what is allowed.
    """
    content = _read(path)
    try:
        return Settings(**content)
    except ValidationError as exc:
        errors = [error for error in exc.errors() if not _follows(error, exc.errors())]
        told = [f"{_place(error, path)}: {_told(error, content)}" for error in errors]
    except SettingsError as exc:
        told = [f"environment: {exc}; a section or list given there must be JSON"]
    raise ConfigError("\n".join(told))


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


def _follows(error: Any, errors: Sequence[Any]) -> bool:  # noqa: ANN401  pydantic's ErrorDetails
    """Whether a list is only too short because what stands in it has mistakes of its own."""
    place = error["loc"]
    return error["type"] == "too_short" and any(
        len(other["loc"]) > len(place) and other["loc"][: len(place)] == place for other in errors
    )


def _place(error: Any, path: Path) -> str:  # noqa: ANN401  pydantic's own ErrorDetails
    """The file, or the environment variable that overrides it."""
    names = [str(part).upper() for part in error["loc"]]
    for end in range(len(names), 0, -1):
        variable = "MILLHAND_" + "__".join(names[:end])
        if variable in os.environ:
            return f"environment {variable}"
    return str(path)


def _told(error: Any, content: dict[str, Any]) -> str:  # noqa: ANN401  pydantic's own ErrorDetails
    key = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in error["loc"]).lstrip(".")
    reason = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "missing":
        return f"{key}: is missing; it must be given"
    if error["type"] == "extra_forbidden":
        return f"{key}: is not a setting; see config/agent.schema.json for those there are"
    if isinstance(error["input"], dict | list | tuple | BaseModel) or error["input"] is content:
        return f"{key or 'file'}: {reason}"
    found = repr(error["input"])[:MAX_TOLD]
    return f"{key}: found {found}; {reason[:1].lower()}{reason[1:]}"
