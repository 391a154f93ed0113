"""The file in which predictions of a stream wait for their labels: SQLite, bounded, crash-safe."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from agent.labels.tables import TABLES, VERSION
from serving import log

_PAGE_BYTES: Final = 4096
_WAL_BYTES: Final = 1 << 20
_WAL_PAGES: Final = 256
_WAIT_S: Final = 10.0  # for another process that writes, such as the command `label`
_DAMAGED: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_BESIDE: Final = ("", "-wal", "-shm")


class KeptFile:
    """Opens the file when it is needed, and begins a new one where it proves to be damaged.

    Args:
        path: path of the file; its folder is made if it does not exist.
        max_bytes: its largest size. The journal of SQLite beside it has what is being written, and
            at most 1 MiB of what was.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._path, self._pages = path, max_bytes // _PAGE_BYTES
        self._opened: sqlite3.Connection | None = None

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Have all of what is written within, or nothing of it.

        Raises:
            sqlite3.Error: the file cannot be written; it is closed, and after damage set aside.
            OSError: its folder cannot be made.
        """
        try:
            if self._opened is None:
                self._opened = self._open()
            with self._opened as opened:  # commits, or rolls back where something is raised
                opened.execute("BEGIN IMMEDIATE")
                yield opened
        except sqlite3.Error as exc:
            self.close()
            if getattr(exc, "sqlite_errorcode", 0) & 0xFF in _DAMAGED:
                self._set_aside(str(exc))
            raise

    def is_crowded(self, opened: sqlite3.Connection) -> bool:
        """Whether more than nine tenths of the file are in use."""
        used = _number(opened, "page_count") - _number(opened, "freelist_count")
        return used * 10 > self._pages * 9

    def close(self) -> None:
        """Close the file; the next transaction opens it again."""
        if self._opened is not None:
            with suppress(sqlite3.Error):
                self._opened.close()
        self._opened = None

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        opened = self._connect()
        version = _number(opened, "user_version")
        if version not in (0, VERSION):
            opened.close()
            self._set_aside(f"it was written by another release, version {version} of its tables")
            opened, version = self._connect(), 0
        if version == 0:
            opened.executescript(f"BEGIN;{TABLES}PRAGMA user_version = {VERSION};COMMIT;")
        return opened

    def _connect(self) -> sqlite3.Connection:
        # The thread that makes the object is not the one that uses it.
        opened = sqlite3.connect(
            self._path, timeout=_WAIT_S, isolation_level=None, check_same_thread=False
        )
        try:
            opened.execute("PRAGMA journal_mode = WAL")
            opened.execute("PRAGMA synchronous = NORMAL")
            opened.execute(f"PRAGMA wal_autocheckpoint = {_WAL_PAGES}")
            opened.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}")
            opened.execute(f"PRAGMA max_page_count = {self._pages}")
        except sqlite3.Error:
            opened.close()
            raise
        return opened

    def _set_aside(self, reason: str) -> None:
        """Rename the file, so that a new one begins; an older one of that name is replaced."""
        log.error("kept predictions are set aside", file=str(self._path), reason=reason)
        for ending in _BESIDE:
            with suppress(FileNotFoundError):
                Path(f"{self._path}{ending}").rename(f"{self._path}.damaged{ending}")


def _number(opened: sqlite3.Connection, pragma: str) -> int:
    return int(opened.execute(f"PRAGMA {pragma}").fetchone()[0])
