"""Settings in environment variables, which override those of the file.

`MILLHAND_BROKER__PORT=8883` stands for `port` under `[broker]`; a section or a list as a whole is
given as JSON.
"""

import os
from collections.abc import Mapping
from typing import Any, TypeVar, cast

from pydantic import BaseModel

from serving.errors import ConfigError

_DELIMITER = "__"
_Settings = TypeVar("_Settings", bound=BaseModel)


def overridden(content: Mapping[str, Any], kind: type[_Settings], prefix: str) -> Mapping[str, Any]:
    """What the file says, with what the environment says above it.

    Args:
        content: the keys of the file, not checked yet.
        kind: the settings whose keys are looked for.
        prefix: what the names of their variables begin with.

    Raises:
        ConfigError: a variable for a section or a list is not JSON.
    """
    if not _is_there_any(kind, prefix):
        return content
    from pydantic_settings import (  # noqa: PLC0415  with asyncio, a tenth of the whole start
        BaseSettings,
        EnvSettingsSource,
        SettingsError,
    )

    source = EnvSettingsSource(
        cast("type[BaseSettings]", kind),  # it reads names, types and `model_config` of the fields
        case_sensitive=False,
        env_prefix=prefix,
        env_nested_delimiter=_DELIMITER,
    )
    try:
        found = source()
    except SettingsError as exc:
        raise ConfigError(
            f"environment: {exc}; a section or list given there must be JSON"
        ) from exc
    return _merged(content, found)


def _is_there_any(kind: type[BaseModel], prefix: str) -> bool:
    """Whether a variable may be meant: its name begins like that of a key, in any case."""
    begins = tuple(f"{prefix}{name}".lower() for name in kind.model_fields)
    return any(name.lower().startswith(begins) for name in os.environ)


def _merged(content: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Both mappings in one; where both have a section, its keys are merged in turn."""
    merged = dict(content)
    for key, value in above.items():
        below = merged.get(key)
        if isinstance(below, dict) and isinstance(value, dict):
            merged[key] = _merged(below, value)
        else:
            merged[key] = value
    return merged
