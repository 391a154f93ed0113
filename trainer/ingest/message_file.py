"""Parquet files of recorded messages: a row a message, there whole or not at all.

    time  asset  pressure  flow  quality
    ...   pump7       4.2  null  GOOD        a message that carried the pressure
    ...   pump7      null    31  GOOD        the next one, with the flow
    ...   pump7       NaN  null  BAD         a message that carried the pressure, without a value

Rows go to a hidden file beside the one that is meant, in groups. It gets its name once it is
complete; what a kill leaves hidden has no end, and cannot be read.
"""

import os
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from models.files import sync_directory
from trainer.errors import UsageError

TIME, ASSET, QUALITY = "time", "asset", "quality"
MAX_GROUP_ROWS = 65_536
MAX_BUFFERED_VALUES = 1_000_000
ROWS_KEY = b"millhand.rows"
"""Key of the metadata by which a file says what its rows are."""
SUFFIX = ".parquet"


class Row(NamedTuple):
    """One message, or one of the readings in it.

    Attributes:
        time_ns: event time, nanoseconds since 1970.
        asset: whose it is.
        values: one a signal; None: not carried, NaN: carried without a usable value.
        quality: GOOD, UNCERTAIN or BAD.
    """

    time_ns: int
    asset: str
    values: Sequence[float | None]
    quality: str


@dataclass(frozen=True, slots=True)
class FileLimits:
    """When a file of a folder is complete, and the next one begins."""

    rows: int = 1_000_000
    size_bytes: int = 256 << 20
    seconds: float = 3600.0


class Files:
    """Takes rows into one file, or into a folder of files.

    Args:
        out: a name that ends in `.parquet` is the file, any other the folder.
        signals: names of the columns of values.
        limits: of each file in a folder.

    Attributes:
        paths: files that are complete.
        rows: rows that were taken, less those of a file that could not be written.

    Raises:
        UsageError: the file is there already or no Parquet, or a signal has the name of another
            column.
        OSError: nothing can be written there.
    """

    def __init__(self, out: Path, signals: Sequence[str], limits: FileLimits | None = None) -> None:
        self.paths: list[Path] = []
        self.rows = 0
        self._out = out
        self._is_folder = out.suffix != SUFFIX
        self._limits = limits or FileLimits()
        self._schema = _schema(signals)
        self._buffer: list[Row] = []
        self._room = min(MAX_GROUP_ROWS, max(1, MAX_BUFFERED_VALUES // len(self._schema)))
        self._bytes_before = 0
        self._part: _Part | None = None
        if not self._is_folder and out.exists():
            raise UsageError(f"--out {out}: is there already; a recording overwrites nothing")
        if self._is_folder and out.suffix and not out.is_dir():
            raise UsageError(f"--out {out}: neither ends in {SUFFIX} nor is a folder")
        self._open()

    @property
    def size_bytes(self) -> int:
        """What has been written so far, all files together; rows in memory are not in it."""
        return self._bytes_before + (self._part.size_bytes if self._part else 0)

    def add(self, row: Row) -> None:
        """Take a row.

        Raises:
            OSError: the disk is full; files that are complete stay.
        """
        part = self._part or self._open()
        part.rows += 1
        self.rows += 1
        self._buffer.append(row)
        if len(self._buffer) >= self._room:
            self._write(part)
        if self._is_folder and part.rows >= self._limits.rows:
            self._complete(part)

    def rotate(self) -> None:
        """Complete the file if it is large or old enough.

        Raises:
            OSError: see `add`.
        """
        part = self._part
        if not self._is_folder or part is None or not part.rows:
            return
        is_old = time.monotonic() - part.since >= self._limits.seconds
        if is_old or part.size_bytes >= self._limits.size_bytes:
            self._complete(part)

    def close(self) -> None:
        """Complete the last file; one without a row leaves no trace.

        Raises:
            OSError: it cannot be written; files that are complete stay.
        """
        if self._part is None:
            return
        if self._part.rows:
            self._complete(self._part)
        else:
            self._part.discard()
            self._part = None

    def _open(self) -> "_Part":
        self._part = _Part(self._next_path(), self._schema)
        return self._part

    def _next_path(self) -> Path:
        if not self._is_folder:
            return self._out
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        number = len(self.paths) + 1
        while (path := self._out / f"{stamp}-{number:04d}{SUFFIX}").exists():
            number += 1
        return path

    def _write(self, part: "_Part") -> None:
        rows, self._buffer = self._buffer, []
        with self._lost_if_it_fails(part):
            part.write(_table(rows, self._schema))

    def _complete(self, part: "_Part") -> None:
        if self._buffer:
            self._write(part)
        with self._lost_if_it_fails(part):
            self._bytes_before += part.keep()
        self._part = None
        self.paths.append(part.path)

    @contextmanager
    def _lost_if_it_fails(self, part: "_Part") -> Iterator[None]:
        """Leave nothing of a file that cannot be written, and say how much that was."""
        try:
            yield
        except BaseException as exc:
            self._part = None
            self.rows -= part.rows
            part.discard()
            if not isinstance(exc, OSError):
                raise
            lost = f"{exc.strerror or exc}; the {part.rows} rows of this file are lost"
            raise OSError(exc.errno, lost, str(part.path)) from exc


class _Part:
    """A file on its way.

    Attributes:
        path: what it will be called.
        rows: that belong to it, written or not.
        since: when it was begun, by the monotonic clock, seconds.
    """

    def __init__(self, path: Path, schema: Any) -> None:  # noqa: ANN401  pyarrow has no types
        self.path = path
        self.rows = 0
        self.since = time.monotonic()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        descriptor = os.open(self._temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        self._file = os.fdopen(descriptor, "wb")
        self._writer = pq.ParquetWriter(
            self._file, schema, compression="zstd", use_dictionary=[ASSET, QUALITY]
        )

    @property
    def size_bytes(self) -> int:
        """Written so far."""
        return self._file.tell()

    def write(self, table: Any) -> None:  # noqa: ANN401  as above
        """Append a group of rows."""
        self._writer.write_table(table)

    def keep(self) -> int:
        """End the file, give it its name, and return its size."""
        self._writer.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        size = self.size_bytes
        self._file.close()
        self._temporary.replace(self.path)
        sync_directory(self.path.parent)
        return size

    def discard(self) -> None:
        """Leave nothing of it."""
        self._temporary.unlink(missing_ok=True)
        with suppress(OSError):  # the reason to discard it may be that nothing can be written
            self._writer.close()
        with suppress(OSError):
            self._file.close()


def _schema(signals: Sequence[str]) -> Any:  # noqa: ANN401  pyarrow has no types
    if taken := sorted({TIME, ASSET, QUALITY} & set(signals)):
        raise UsageError(
            f"a signal is named '{taken[0]}', as a column of every recording is; name it otherwise"
        )
    fields = [(TIME, pa.timestamp("ns", tz="UTC")), (ASSET, pa.string())]
    fields += [(name, pa.float64()) for name in signals]
    return pa.schema([*fields, (QUALITY, pa.string())], metadata={ROWS_KEY: b"messages"})


def _table(rows: Sequence[Row], schema: Any) -> Any:  # noqa: ANN401  as above
    times, assets, values, qualities = zip(*rows, strict=True)
    columns = [times, assets, *zip(*values, strict=True), qualities]
    arrays = [pa.array(one, field.type) for one, field in zip(columns, schema, strict=True)]
    return pa.table(arrays, schema=schema)
