"""The files of the journal: begun, appended to, dropped. All of it blocks: for the worker."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from agent.journal.records import frame
from models.files import sync_directory

PREFIX: Final = "journal."
_MODE = 0o600  # readings are nobody else's business


def numbered(folder: Path) -> list[tuple[int, Path]]:
    """The files in `folder` with their numbers, oldest first; none if there is no folder."""
    found = [(path.name.removeprefix(PREFIX), path) for path in folder.glob(PREFIX + "*")]
    return sorted((int(number), path) for number, path in found if number.isdecimal())


class JournalFile:
    """The file that is appended to.

    Args:
        folder: of all of them; made if it is not there.
        is_synced: whether what was appended is on the disk when `append` returns; otherwise the
            kernel has it, which survives a crash of the agent and not a power cut.
    """

    def __init__(self, folder: Path, *, is_synced: bool) -> None:
        self._folder = folder
        self._is_synced = is_synced
        self._descriptor: int | None = None

    def begin(self, number: int) -> None:
        """Go on with a new file.

        Raises:
            OSError: the folder cannot be written.
        """
        self.close()
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{PREFIX}{number:08d}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(path, flags, _MODE)
        sync_directory(self._folder)

    def append(self, parts: Sequence[bytes]) -> None:
        """Add one frame.

        Raises:
            OSError: the disk is full or broken; a part of the frame may stand, and ends the file
                for whoever reads it, so nothing may be appended after it.
        """
        if self._descriptor is None or not parts:
            return
        content = memoryview(frame(parts))
        while content:
            content = content[os.write(self._descriptor, content) :]
        if self._is_synced:
            os.fdatasync(self._descriptor)

    def drop_before(self, number: int) -> None:
        """Remove older files; one that cannot be removed is only read again in vain."""
        for found, path in numbered(self._folder):
            if found < number:
                path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
