"""Writes files so that they exist whole or not at all, even after a power cut.

No function here writes through a symbolic link: whoever can put a link into a folder must not get
another file changed by it.
"""

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedWriter
from pathlib import Path
from typing import Final, Literal

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_LINK: Final = "is a symbolic link, which is not followed here; remove it"


def write_atomically(
    path: Path,
    content: bytes,
    *,
    mode: int = 0o644,
    below: Path | None = None,
    umask: Literal["obeyed", "ignored"] = "obeyed",
) -> None:
    """Write a file so that readers see the old content or the new, never a part of it.

    The content goes to a temporary file, which is synced and then renamed, and the folder is synced
    after it. Without the two syncs a power cut can leave an empty file under the new name, because
    a file system may write the rename before the content (rename(2), fsync(2)). If `path` is a
    symbolic link, the link is replaced, and what it points to stays as it is.

    Args:
        path: path of the file; its folder is made if it does not exist.
        content: the whole content.
        mode: permissions of the file, less the umask; 0o600 for a private key.
        below: folder in which others may write, and in which `path` lies: a folder on the way from
            it to `path` that is a symbolic link is refused. None: folders may be links.
        umask: `ignored` gives the file all of `mode`, for a file that other programs read.

    Raises:
        OSError: the disk is full, or the folder cannot be written. No temporary file stays, and
            the file is as before; if only the sync of the folder has failed, it is new, but may not
            survive a power cut.
    """
    try:
        with _folder(path.parent, below) as folder:
            exact = mode if umask == "ignored" else None
            _replace(path.name, content, mode, folder, exact)
    except OSError as exc:
        exc.filename = str(path)  # not its name within the open folder
        raise


def append_durably(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Append to a file, and wait until the disk has it; a symbolic link is not followed.

    Args:
        path: path of the file; it is made if it does not exist, its folder is not.
        content: bytes to append.
        mode: permissions of a new file, less the umask.

    Raises:
        OSError: the file cannot be written, or is a symbolic link.
    """
    with open_to_append(path, mode=mode) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    sync_directory(path.parent)


def open_to_append(path: Path, *, mode: int = 0o644) -> BufferedWriter:
    """Open a file at its end, or make it, unless it is a symbolic link.

    Args:
        path: path of the file.
        mode: permissions of a new file, less the umask.

    Raises:
        OSError: the file cannot be opened; ELOOP if it is a symbolic link (open(2), O_NOFOLLOW).
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, mode), "ab")


def sync_directory(path: Path) -> None:
    """Make renames within a folder durable, by an fsync of the folder itself (fsync(2))."""
    descriptor = os.open(path, _FOLDER)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _replace(name: str, content: bytes, mode: int, folder: int, exact: int | None) -> None:
    """Write a temporary file in an open folder, and give it its name."""
    temporary = f".{name}.{secrets.token_hex(8)}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, mode, dir_fd=folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            if exact is not None:
                os.fchmod(descriptor, exact)
            file.flush()
            os.fsync(descriptor)
        os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:  # KeyboardInterrupt as well: no temporary file may stay
        with suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=folder)
        raise
    os.fsync(folder)


@contextmanager
def _folder(path: Path, below: Path | None) -> Iterator[int]:
    """A descriptor of a folder, which is made if it does not exist."""
    top = path if below is None else below
    top.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(top, _FOLDER)
    try:
        for part in path.relative_to(top).parts:
            inner = _inner(part, descriptor, path)
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)


def _inner(name: str, folder: int, path: Path) -> int:
    """A descriptor of a folder within an open one, which is no symbolic link.

    The steps go from descriptor to descriptor, so a folder that is exchanged for a link in between
    is not followed either (openat(2)).
    """
    try:
        os.mkdir(name, dir_fd=folder)
        os.fsync(folder)
    except FileExistsError:
        if stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            raise OSError(errno.ELOOP, f"'{name}' {_LINK}", str(path)) from None
    return os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
