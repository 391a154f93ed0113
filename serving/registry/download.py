"""A download that ends as the signed bytes, durable and under its name, or not at all.

While it lasts the bytes are in `<name>.part`, which the next attempt or the next pull continues.
`<name>` itself is there only after length and sha256 were verified and the bytes are on the disk.
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
from models.files import sync_directory
from serving.registry.fetch import Fetcher
from serving.registry.refusals import DiskFullError, OversizedError, UnreachableError, storage_error

Progress = Callable[[int, int], None]
"""Told how many bytes are there, and how many it will be."""

ATTEMPTS: Final = 5
MAX_PARTS: Final = 4
_FIRST_PAUSE_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class Promised:
    """A file as its signed description promises it."""

    url: str
    sha256: str
    length: int


def download(
    promised: Promised, destination: Path, *, fetcher: Fetcher, on_progress: Progress
) -> None:
    """Bring the promised bytes to `destination`; nothing is fetched if they are there already.

    Raises:
        DigestMismatchError: other bytes arrived; they are thrown away.
        OversizedError: more bytes than promised arrived; they are thrown away.
        UnreachableError: broken off `ATTEMPTS` times; what arrived is kept.
        TooSlowError, NotServedError: see `Fetcher.open`; what arrived is kept.
        DiskFullError: no room; what arrived is thrown away, others need the room.
        StorageError: the folder cannot be written.
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
            # A power cut may have left holes in what an earlier pull received: start over, once.
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
    """Continue the part until it has its length, over as many connections as are allowed."""
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
    received = part.stat().st_size if part.exists() else 0
    if received == promised.length:
        return
    if received > promised.length:
        part.unlink()
        received = 0
    if shutil.disk_usage(part.parent).free < promised.length - received:
        raise OSError(errno.ENOSPC, "No space left on device")
    with fetcher.open(promised.url, received) as stream, part.open("ab") as file:
        _check_total(promised, stream.total)
        if stream.offset != received:  # the server cannot resume
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
    raise kind(f"{promised.url} has {total} bytes or more, signed are {promised.length}")


def _install(promised: Promised, part: Path, destination: Path) -> None:
    """Verify what the disk gives back, then give it its name, in an order a power cut respects."""
    with part.open("rb+") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != promised.sha256:
            raise DigestMismatchError(
                f"{promised.url} has sha256 {found}, signed is {promised.sha256}"
            )
        os.fsync(file.fileno())
    part.replace(destination)
    sync_directory(destination.parent)


def _is_promised(path: Path, promised: Promised) -> bool:
    with suppress(FileNotFoundError), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == promised.sha256
    return False


def _drop_oldest_parts(folder: Path, current: Path) -> None:
    """Parts of bundles that nobody wants any more must not fill the disk."""
    others = [part for part in folder.glob("*.part") if part != current]
    others.sort(key=lambda part: part.stat().st_mtime)
    for part in others[: max(0, len(others) - (MAX_PARTS - 1))]:
        part.unlink(missing_ok=True)
