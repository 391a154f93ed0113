"""Downloads a file so that it exists under its name only with the bytes that are signed.

While the download lasts, the bytes are in `<name>.part`, which the next attempt or the next pull
continues. It gets its name only after its length and SHA-256 were verified and the bytes are on the
disk (fsync), so that a power cut cannot leave half a bundle under a name that looks whole.
"""

import errno
import hashlib
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import sleep
from typing import Final

from models.errors import DigestMismatchError
from models.files import open_to_append, sync_directory
from serving.registry.fetch import Fetcher
from serving.registry.refusals import DiskFullError, OversizedError, UnreachableError, storage_error

Progress = Callable[[int, int], None]
"""Called with the bytes that were received so far, and with those of the whole file."""

ATTEMPTS: Final = 5
"""Connections that one download may use, where they break off."""
MAX_PARTS: Final = 4
"""Unfinished downloads that are kept in a folder, the current one included."""
_FIRST_PAUSE_S: Final = 0.25  # doubles after each attempt: 4 s in all


@dataclass(frozen=True, slots=True)
class Promised:
    """A file as the registry's signed metadata describe it.

    Attributes:
        url: address of the file.
        sha256: digest of its bytes, 64 hexadecimal digits.
        length: its bytes.
    """

    url: str
    sha256: str
    length: int


def download(
    promised: Promised, destination: Path, *, fetcher: Fetcher, on_progress: Progress
) -> None:
    """Download a file, unless the signed bytes are at its destination already.

    It blocks for as long as the transfer lasts; the deadline is the caller's.

    Args:
        promised: address of the file, and the digest and length that are signed.
        destination: path of the file; its folder is made if it does not exist.
        fetcher: fetcher of the registry.
        on_progress: called after each chunk.

    Raises:
        DigestMismatchError: other bytes arrived; they are deleted.
        OversizedError: more bytes than signed arrived; they are deleted.
        UnreachableError: the transfer broke off `ATTEMPTS` times; what arrived is kept, and
            continued by the next download.
        TooSlowError, NotServedError: see `Fetcher.open`; what arrived is kept likewise.
        DiskFullError: there is no room; what arrived is deleted, since others need the room.
        StorageError: the folder cannot be read or written.
    """
    part = destination.with_name(f"{destination.name}.part")
    try:
        if _is_promised(destination, promised):
            return
        destination.parent.mkdir(parents=True, exist_ok=True)
        _drop_oldest_parts(destination.parent, part)
        resumed = part.exists()
        _receive(promised, part, fetcher, on_progress)
        if resumed and not _is_promised(part, promised):
            # A part is not synced while it grows, so a power cut may have left holes in what an
            # earlier pull received. That is no attack: download it from the start, once.
            part.unlink()
            _receive(promised, part, fetcher, on_progress)
        _install(promised, part, destination)
    except (DigestMismatchError, OversizedError):
        part.unlink(missing_ok=True)
        raise
    except OSError as exc:
        error = storage_error(exc, f"{destination} ({promised.length} bytes)")
        if isinstance(error, DiskFullError):
            part.unlink(missing_ok=True)
        raise error from exc


def _receive(promised: Promised, part: Path, fetcher: Fetcher, on_progress: Progress) -> None:
    """Continue the part until it is complete, over at most `ATTEMPTS` connections."""
    pause_s = _FIRST_PAUSE_S
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _continue(promised, part, fetcher, on_progress)
        except UnreachableError:
            if attempt == ATTEMPTS:
                raise
            sleep(pause_s)
            pause_s *= 2
        else:
            return


def _continue(promised: Promised, part: Path, fetcher: Fetcher, on_progress: Progress) -> None:
    """Receive what the part lacks, over one connection."""
    if part.is_symlink():
        part.unlink()
    received = part.stat().st_size if part.exists() else 0
    if received == promised.length:
        return
    if received > promised.length:
        part.unlink()
        received = 0
    if shutil.disk_usage(part.parent).free < promised.length - received:
        raise OSError(errno.ENOSPC, "No space left on device")
    with fetcher.open(promised.url, received) as stream, open_to_append(part) as file:
        _check_total(promised, stream.total)
        if stream.offset != received:  # the server cannot resume: it sends the file from its start
            received = stream.offset
            file.truncate(received)
        for chunk in stream.chunks:
            received += len(chunk)
            if received > promised.length:
                _check_total(promised, received)
            file.write(chunk)
            on_progress(received, promised.length)
    if received < promised.length:
        raise UnreachableError(f"{promised.url} ended at byte {received} of {promised.length}")


def _check_total(promised: Promised, total: int | None) -> None:
    if total is None or total == promised.length:
        return
    kind = OversizedError if total > promised.length else DigestMismatchError
    raise kind(f"{promised.url} has {total} bytes or more; {promised.length} are signed")


def _install(promised: Promised, part: Path, destination: Path) -> None:
    """Verify the bytes that are on the disk, and only then give the file its name.

    The bytes are synced before the rename and the folder after it, so that the name never stands
    for less, whenever the power fails.
    """
    with part.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != promised.sha256:
            raise DigestMismatchError(
                f"{promised.url} has sha256 {found}; {promised.sha256} is signed"
            )
        os.fsync(file.fileno())
    part.replace(destination)
    sync_directory(destination.parent)


def _is_promised(path: Path, promised: Promised) -> bool:
    with suppress(FileNotFoundError), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == promised.sha256
    return False


def _drop_oldest_parts(folder: Path, current: Path) -> None:
    """Delete the oldest unfinished downloads, which may never be continued, beyond `MAX_PARTS`."""
    others = [part for part in folder.glob("*.part") if part != current]
    others.sort(key=lambda part: part.stat().st_mtime)
    for part in others[: max(0, len(others) - (MAX_PARTS - 1))]:
        part.unlink(missing_ok=True)
