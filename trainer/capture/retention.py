"""A folder of recordings that stays within bytes and age: the oldest files are removed whole.

Only files with the names that `record` gives are looked at and removed; everything else in the
folder stays. A recording that was killed leaves a hidden file without an end, which is removed when
the next one begins.
"""

import fcntl
import os
import re
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow.lib
import pyarrow.parquet as pq

from trainer.errors import UsageError
from trainer.ingest.message_file import ASSET, MAX_NAMED

_NAME: Final = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9]{4,}\.parquet")
_REMAINS: Final = re.compile(rf"\.{_NAME.pattern}\.[0-9a-f]{{16}}")
_LOCK: Final = ".recording"


@dataclass(frozen=True, slots=True)
class _Kept:
    """A file that is complete.

    Attributes:
        path: where it is.
        size_bytes: its size.
        ended_s: when it was complete, seconds since 1970.
        assets: the assets that it has rows of.
    """

    path: Path
    size_bytes: int
    ended_s: float
    assets: frozenset[str]


class Retention:
    """The complete files of a folder, of which the oldest make room.

    Args:
        folder: the folder; it is made if it does not exist.
        max_bytes: bytes of all its recordings; None has no limit.
        max_age_s: seconds after which a file is removed; None has no limit.

    Attributes:
        removed: how many files were removed.
        removed_bytes: how many bytes these had.

    Raises:
        UsageError: the folder cannot be made.
    """

    def __init__(
        self, folder: Path, max_bytes: int | None = None, max_age_s: float | None = None
    ) -> None:
        self.removed = self.removed_bytes = 0
        self._folder, self._max_bytes, self._max_age_s = folder, max_bytes, max_age_s
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise UsageError(f"--out {folder}: {exc.strerror}") from exc
        self._files: deque[_Kept] = deque()

    @property
    def assets(self) -> set[str]:
        """The assets that the complete files have rows of."""
        return {asset for one in self._files for asset in one.assets}

    @property
    def size_bytes(self) -> int:
        """Bytes of all complete files."""
        return sum(one.size_bytes for one in self._files)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Be the only recording in the folder, and go on where the one before has ended.

        Raises:
            UsageError: another recording is under way there.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        lock = os.open(self._folder / _LOCK, flags, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            os.close(lock)
            raise UsageError(
                f"--out {self._folder}: another recording is under way there; give this one "
                "another folder, or end that one"
            ) from exc
        try:
            self._take_over()
            yield
        finally:
            os.close(lock)

    def add(self, paths: Sequence[Path], assets: frozenset[str]) -> None:
        """Note files that are complete by now, and the assets that they may have rows of."""
        for path in paths:
            self._add(path, assets)

    def apply(self, open_bytes: int) -> bool:
        """Remove the oldest files where they are too many or too old; says whether any was.

        Args:
            open_bytes: bytes of the file that is not complete.
        """
        before = self.removed
        while self._files and self._is_surplus(open_bytes):
            oldest = self._files.popleft()
            oldest.path.unlink(missing_ok=True)
            self.removed += 1
            self.removed_bytes += oldest.size_bytes
        return self.removed > before

    def _is_surplus(self, open_bytes: int) -> bool:
        if self._max_bytes is not None and self.size_bytes + open_bytes > self._max_bytes:
            return True
        age_s = time.time() - self._files[0].ended_s
        return self._max_age_s is not None and age_s > self._max_age_s

    def _take_over(self) -> None:
        """Note the files that are there, and remove what a killed recording has left."""
        names = sorted(one.name for one in self._folder.iterdir())
        for name in names:
            path = self._folder / name
            if _REMAINS.fullmatch(name):
                path.unlink(missing_ok=True)
            elif _NAME.fullmatch(name):
                self._add(path, _assets(path))

    def _add(self, path: Path, assets: frozenset[str]) -> None:
        status = path.stat()
        self._files.append(_Kept(path, status.st_size, status.st_mtime, assets))


def _assets(path: Path) -> frozenset[str]:
    """The assets that a file has rows of; none where it cannot be read."""
    found: set[str] = set()
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(columns=[ASSET]):
                found.update(batch.column(0).unique().to_pylist())
                if len(found) > MAX_NAMED:
                    break
    except (OSError, pyarrow.lib.ArrowException):
        return frozenset()
    return frozenset(found)
