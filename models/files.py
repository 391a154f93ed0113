"""Writes files so that they exist whole or not at all, even after a power cut."""

import os
import secrets
from pathlib import Path


def write_atomically(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Write a file so that readers see the old content or the new, never a part of it.

    The content goes to a temporary file, which is synced and then renamed, and the folder is synced
    after it. Without the two syncs a power cut can leave an empty file under the new name, because
    a file system may write the rename before the content (rename(2), fsync(2)).

    Args:
        path: path of the file; its folder is made if it does not exist.
        content: the whole content.
        mode: permissions of the file, less the umask; 0o600 for a private key.

    Raises:
        OSError: the disk is full, or the folder cannot be written. No temporary file stays, and
            the file is as before; if only the sync of the folder has failed, it is new, but may not
            survive a power cut.
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
    except BaseException:  # KeyboardInterrupt as well: no temporary file may stay
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make renames within a folder durable, by an fsync of the folder itself (fsync(2))."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
