"""Which of the files with secrets may be read by more than this gateway's own user."""

import stat
from pathlib import Path

from agent.config.settings import Settings


def exposed(settings: Settings) -> list[str]:
    """A sentence for each secret that every user of this machine may read.

    A group that may read it is not told: that is how a service without root reads a file which is
    replaced while it runs.
    """
    broker = settings.broker
    named = {"broker.password_file": broker.password_file, "broker.key_file": broker.key_file}
    secrets = named | settings.registry.access.secrets
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
