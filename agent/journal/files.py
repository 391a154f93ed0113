"""The files of the journal: created, appended to, removed.

Everything here waits for the disk: while the agent serves, only the worker thread calls it.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from agent.journal.records import frame
from models.files import sync_directory

PREFIX: Final = "journal."
_MODE = 0o600  # for the agent alone: readings may be trade secrets


def numbered(folder: Path) -> list[tuple[int, Path]]:
    """The journal files in a folder with their numbers, oldest first; none without the folder."""
    found = [(path.name.removeprefix(PREFIX), path) for path in folder.glob(PREFIX + "*")]
    return sorted((int(number), path) for number, path in found if number.isdecimal())


class JournalFile:
    """The newest file of the journal, to which frames are appended.

    Not safe to call from two threads at a time; the worker runs one job after the other.

    Args:
        folder: the folder of all journal files; created if it is missing.
        is_synced: whether a frame is on the disk when `append` returns. If not, the kernel has it,
            which survives a crash of the agent but not a power cut.
    """

    def __init__(self, folder: Path, *, is_synced: bool) -> None:
        self._folder = folder
        self._is_synced = is_synced
        self._descriptor: int | None = None

    def begin(self, number: int) -> None:
        """Close the current file and create the next.

        Args:
            number: number of the new file; larger than all before it.

        Raises:
            OSError: the folder or the file cannot be written; the caller may try again later with
                another number.
        """
        self.close()
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{PREFIX}{number:08d}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        self._descriptor = os.open(path, flags, _MODE)
        sync_directory(self._folder)  # else a power cut may lose the file's name (open(2))

    def append(self, parts: Sequence[bytes]) -> None:
        """Append records as one frame; does nothing while no file is open.

        Args:
            parts: the bytes of the records.

        Raises:
            OSError: the disk is full or broken. A part of the frame may have been written, and a
                reader stops there: the caller must `begin` a new file before it appends again.
        """
        if self._descriptor is None or not parts:
            return
        content = memoryview(frame(parts))  # write(2) may take less than it is given
        while content:
            content = content[os.write(self._descriptor, content) :]
        if self._is_synced:
            os.fdatasync(self._descriptor)

    def drop_before(self, number: int) -> None:
        """Remove the files with lower numbers.

        Raises:
            OSError: a file cannot be removed. Nothing is lost: a start reads it once more.
        """
        for found, path in numbered(self._folder):
            if found < number:
                path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
