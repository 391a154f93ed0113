"""Downloads a file so that it exists under its name only with the bytes that are signed.

While the download lasts, the bytes are in `<name>.part`, which the next attempt or the next pull
continues. It gets its name only after its length and SHA-256 were verified and the bytes are on the
disk (fsync), so that a power cut cannot leave half a bundle under a name that looks whole.

What counts as evidence against the registry is only a whole file with other bytes. An answer that
is shorter, that begins like no bundle, or a file pieced together over several connections whose
digest is wrong, may come from a login page, a proxy or an upload under way: it is fetched anew.
"""

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from time import sleep
from typing import Final

from models.address import shortened
from models.errors import DigestMismatchError
from models.files import open_to_append, sync_directory
from serving.registry.answers import kind_of
from serving.registry.fetch import CHUNK_BYTES, Fetcher, Stream
from serving.registry.refusals import (
    DiskFullError,
    OversizedError,
    UnexpectedAnswerError,
    UnreachableError,
    storage_error,
)

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
        magic: bytes that every file of this kind begins with; empty for any.
    """

    url: str
    sha256: str
    length: int
    magic: bytes = b""


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
        DigestMismatchError: a whole file with other bytes arrived; they are deleted.
        OversizedError: more bytes than signed arrived; they are deleted.
        UnreachableError: the transfer broke off `ATTEMPTS` times; what arrived is kept, and
            continued by the next download.
        UnexpectedAnswerError: no bundle, or only a part of it, was sent; what arrived before is
            kept.
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
        _receive_promised(promised, part, fetcher, on_progress)
        _install(part, destination)
    except (DigestMismatchError, OversizedError):
        part.unlink(missing_ok=True)
        raise
    except OSError as exc:
        error = storage_error(exc, f"{destination} ({promised.length} bytes)")
        if isinstance(error, DiskFullError):
            part.unlink(missing_ok=True)
        raise error from exc


def _receive_promised(
    promised: Promised, part: Path, fetcher: Fetcher, on_progress: Progress
) -> None:
    """Complete the part so that its bytes are those that are signed."""
    for _ in range(2):
        is_pieced = _receive(promised, part, fetcher, on_progress)
        with part.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found == promised.sha256:
            return
        if not is_pieced:
            raise DigestMismatchError(
                f"{shortened(promised.url)} has sha256 {found}; {promised.sha256} is signed"
            )
        # A part is not synced while it grows, so a power cut may have left holes in it, and a
        # server may have sent another range than it was asked for. That is no attack.
        part.unlink()
    raise UnexpectedAnswerError(
        f"{shortened(promised.url)}: what was sent in pieces is not the signed file. The web server"
        " or a proxy answers byte ranges wrongly"
    )


def _receive(promised: Promised, part: Path, fetcher: Fetcher, on_progress: Progress) -> bool:
    """Continue the part until it is complete, over at most `ATTEMPTS` connections that fail.

    Returns:
        Whether the bytes may have come over more than one connection.
    """
    pauses_s = iter([_FIRST_PAUSE_S * 2**number for number in range(ATTEMPTS - 1)])
    is_pieced = _size(part) > 0
    while (received := _size(part)) != promised.length:
        is_pieced |= received > 0
        try:
            _continue(promised, part, fetcher, on_progress)
        except UnreachableError:
            pause_s = next(pauses_s, None)
            if pause_s is None:
                raise
            sleep(pause_s)
    return is_pieced


def _continue(promised: Promised, part: Path, fetcher: Fetcher, on_progress: Progress) -> None:
    """Receive what the part lacks, over one connection.

    A server may send less than what it was asked for (RFC 9110, 15.3.7), so a connection that has
    ended after a chunk or more has not failed.
    """
    if part.is_symlink() or _size(part) > promised.length:
        part.unlink()
    begin = _size(part)
    if shutil.disk_usage(part.parent).free < promised.length - begin:
        raise OSError(errno.ENOSPC, "No space left on device")
    with _opened(promised, begin, fetcher) as stream, open_to_append(part) as file:
        received = stream.offset
        if received != begin:  # the server cannot resume: it sends the file from its start
            file.truncate(received)
        for chunk in stream.chunks:
            received += len(chunk)
            if received > promised.length:
                raise _mistaken_length(promised, received)
            file.write(chunk)
            on_progress(received, promised.length)
    if received < promised.length and received < begin + CHUNK_BYTES:
        where = shortened(promised.url)
        raise UnreachableError(f"{where} ended at byte {received} of {promised.length}")


@contextmanager
def _opened(promised: Promised, offset: int, fetcher: Fetcher) -> Iterator[Stream]:
    """Open the file at the offset; at its start if a part of another file is sent there.

    Nothing is written before the answer is known to be of this kind of file and of this length, so
    that a login page of the network does not replace what has arrived.
    """
    for begin in dict.fromkeys((offset, 0)):
        with fetcher.open(promised.url, begin) as stream:
            head = next(stream.chunks, b"")
            mistake = _mistake(promised, stream, head)
            if mistake is None:
                yield replace(stream, chunks=chain([head], stream.chunks))
                return
    assert mistake is not None  # noqa: S101  the loop has run at least once
    raise mistake


def _mistake(
    promised: Promised, stream: Stream, head: bytes
) -> OversizedError | UnexpectedAnswerError | None:
    """Why an answer that begins with `head` cannot be the file, as far as can be told by then."""
    if stream.offset == 0 and head[: len(promised.magic)] != promised.magic[: len(head)]:
        return UnexpectedAnswerError(
            f"{shortened(promised.url)} was answered with no bundle, but with {kind_of(head)}"
        )
    if stream.total is None or stream.total == promised.length:
        return None
    return _mistaken_length(promised, stream.total)


def _mistaken_length(promised: Promised, length: int) -> OversizedError | UnexpectedAnswerError:
    told = f"{shortened(promised.url)} was answered with {length} bytes"
    if length > promised.length:
        return OversizedError(f"{told} or more; {promised.length} are signed")
    return UnexpectedAnswerError(
        f"{told}, a part of the {promised.length} that are signed: the upload is not finished, or a"
        " proxy answers with a part of the file"
    )


def _install(part: Path, destination: Path) -> None:
    """Give the verified file its name.

    The bytes are synced before the rename and the folder after it, so that the name never stands
    for less, whenever the power fails.
    """
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(destination)
    sync_directory(destination.parent)


def _size(path: Path) -> int:
    with suppress(FileNotFoundError):
        return path.stat().st_size
    return 0


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
