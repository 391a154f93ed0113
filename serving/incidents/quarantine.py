"""Bundles that were signed and nevertheless must not serve on this machine again, with the reason.

A bundle is named by its digest: a mended one has another digest, and is free to serve. What is in
quarantine stays there over restarts, until a person clears it by `millhand-agent models --clear`.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from models.bundle.identity import BundleRef
from models.bundle.manifest import Name, Sha256
from models.control.document import MAX_MESSAGE, timestamp
from models.files import write_atomically

MAX_BUNDLES: Final = 100
"""Bundles in quarantine; beyond, the one that was added first is forgotten."""


class Quarantined(BaseModel):
    """A bundle in quarantine.

    Attributes:
        stream: stream of the bundle.
        seq: number of the bundle in its stream.
        version: semantic version of the bundle, for people.
        sha256: digest of the bundle.
        code: why: `killed` if the program died while its model was at work, `failed` if its model
            failed on live windows.
        message: the reason in words.
        time: when it was put there, ISO 8601 in UTC.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    stream: Name
    seq: Annotated[int, Field(ge=1)]
    version: str = ""
    sha256: Sha256
    code: str
    message: str = ""
    time: str = ""


_LIST: Final = TypeAdapter(tuple[Quarantined, ...])


class Quarantine:
    """The bundles in quarantine, in one file.

    It is read anew at each question, because a command of another process may have changed it.
    Only `known` does without the disk, and is free for the hot thread.

    Args:
        path: the file; one that is missing or damaged counts as empty.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: tuple[Quarantined, ...] = ()
        self.bundles()

    def known(self, stream: str) -> tuple[Quarantined, ...]:
        """What was in quarantine of a stream when the file was last read or written."""
        return tuple(one for one in self._known if one.stream == stream)

    def bundles(self, stream: str = "") -> tuple[Quarantined, ...]:
        """What is in quarantine, oldest first; of one stream if it is given."""
        try:
            found = _LIST.validate_json(self._path.read_bytes())
        except (OSError, ValidationError):
            found = ()
        self._known = found
        return tuple(one for one in found if stream in ("", one.stream))

    def get(self, sha256: str) -> Quarantined | None:
        """The bundle with this digest if it is in quarantine, else None."""
        return next((one for one in self.bundles() if one.sha256 == sha256), None)

    def add(self, ref: BundleRef, code: str, message: str) -> Quarantined:
        """Put a bundle into quarantine, for good.

        Raises:
            OSError: the file cannot be written.
        """
        one = Quarantined(
            stream=ref.stream,
            seq=ref.seq,
            version=ref.version,
            sha256=ref.sha256,
            code=code,
            message=message[:MAX_MESSAGE],
            time=timestamp(),
        )
        others = [other for other in self.bundles() if other.sha256 != ref.sha256]
        self._write((*others, one)[-MAX_BUNDLES:])
        return one

    def clear(self, stream: str, seq: int | None = None) -> tuple[Quarantined, ...]:
        """Let bundles of a stream serve again; returns those that were in quarantine.

        Args:
            stream: stream of the bundles.
            seq: number of the bundle; None for all of the stream.

        Raises:
            OSError: the file cannot be written.
        """
        cleared = tuple(one for one in self.bundles(stream) if seq in (None, one.seq))
        if cleared:
            self._write(tuple(one for one in self.bundles() if one not in cleared))
        return cleared

    def _write(self, bundles: tuple[Quarantined, ...]) -> None:
        self._known = bundles
        write_atomically(self._path, _LIST.dump_json(bundles, indent=1), mode=0o600)
        # A command by root must leave a file that the service, another user, can still read.
        owner = self._path.parent.stat()
        with suppress(PermissionError):
            os.chown(self._path, owner.st_uid, owner.st_gid)
