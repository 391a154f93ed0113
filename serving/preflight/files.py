"""The files that a configuration names: whether they can be used, and who else may read secrets."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from serving.errors import ConfigError


def check_files(config: Path, named: Mapping[str, Path | None], state: tuple[str, Path]) -> None:
    """Check every file and folder that the configuration names; the state folder is made.

    Args:
        config: file of the configuration.
        named: each file that must be readable by the key that names it; None where none is named.
        state: key and path of the state folder.

    Raises:
        ConfigError: each that cannot be used, by key, with what is wrong and what to do.
    """
    mistakes = [
        f"{config}: {key}: found '{file}', which cannot be read; install it or correct the path"
        for key, file in named.items()
        if file is not None and not (file.is_file() and os.access(file, os.R_OK))
    ]
    key, state_dir = state
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        mistakes.append(f"{config}: {key}: '{state_dir}': {exc.strerror}")
    else:
        if not os.access(state_dir, os.W_OK):
            mistakes.append(f"{config}: {key}: '{state_dir}' cannot be written")
    if mistakes:
        raise ConfigError("\n".join(mistakes))


def exposed(secrets: Mapping[str, Path | None]) -> list[str]:
    """A sentence for each secret that every user of this machine may read.

    A group that may read it is not told: that is how a service without root reads a file which is
    replaced while it runs.

    Args:
        secrets: each file by the key that names it; None where none is named.
    """
    return [
        f"{key}: every user of this machine may read {path}: chmod o-rwx {path}"
        for key, path in secrets.items()
        if path is not None and _is_readable_by_all(path)
    ]


def _is_readable_by_all(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & stat.S_IROTH)
    except OSError:  # `check_files` reports what cannot be read
        return False
