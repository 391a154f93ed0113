"""Files that are there whole or not at all, also after a power cut."""

import os
import secrets
from pathlib import Path


def write_atomically(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Write `content` to `path` so that a reader sees the old bytes or the new, never a part.

    Temporary file, fsync, replace, fsync of the directory: without the last two a power cut can
    leave an empty file behind a successful replace.

    Args:
        path: its folder is made if it is not there.
        content: all of it.
        mode: permissions, less the umask; a private key wants 0o600.

    Raises:
        OSError: the disk is full, or the folder cannot be written. No part stays; `path` is as it
            was, or, where only the fsync of the directory failed, new but perhaps not durable.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make a rename inside the directory `path` durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
