"""Parquet files of recorded messages, one row a message; a file is complete or does not exist.

    time  asset  pressure  flow  quality  retained
    ...   pump7       4.2  null  GOOD     false       a message with a pressure
    ...   pump7      null    31  GOOD     false       the next message, with a flow
    ...   pump7       NaN  null  BAD      false       a pressure that has no usable value
    ...   pump7      null    30  GOOD     true        a flow that the broker had stored before

Rows are written in groups to a hidden file beside the final one, which is renamed when it is
complete. A hidden file that remains after a kill has no Parquet footer and cannot be read.
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

TIME, ASSET, QUALITY, RETAINED = "time", "asset", "quality", "retained"
MAX_GROUP_ROWS = 65_536
MAX_BUFFERED_VALUES = 1_000_000
MAX_NAMED = 100_000
"""Assets of which it is remembered that a file has rows of them."""
ROWS_KEY = b"millhand.rows"
"""Key of the metadata in which a file states whether its rows are messages."""
SUFFIX = ".parquet"


class Row(NamedTuple):
    """One message, or one of several readings in a message.

    Attributes:
        time_ns: event time, nanoseconds since 1970.
        asset: name of the asset that the reading is from.
        values: one value for each signal; None: the message does not carry the signal, NaN: it
            carries the signal without a usable value.
        quality: GOOD, UNCERTAIN or BAD.
        retained: whether the broker had retained the message, so that its values were not live.
    """

    time_ns: int
    asset: str
    values: Sequence[float | None]
    quality: str
    retained: bool = False


@dataclass(frozen=True, slots=True)
class FileLimits:
    """The rows, bytes or seconds after which a file of a folder is closed and the next is begun."""

    rows: int = 1_000_000
    size_bytes: int = 256 << 20
    seconds: float = 3600.0


class Files:
    """Writes rows to one file, or to a folder of files.

    Args:
        out: the file, if the name ends in `.parquet`; otherwise the folder.
        signals: names of the signals, a column each.
        limits: limits of each file in a folder.

    Attributes:
        paths: the files that are complete.
        rows: number of rows that were added, without those of a file that could not be written.

    Raises:
        UsageError: the file exists already or is not a Parquet file, or a signal has the name of
            another column.
        OSError: the file cannot be written.
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
        """Bytes written so far to all files; rows that are still in memory do not count."""
        return self._bytes_before + (self._part.size_bytes if self._part else 0)

    @property
    def open_bytes(self) -> int:
        """Bytes written so far to the file that is not complete."""
        return self._part.size_bytes if self._part else 0

    def add(self, row: Row) -> None:
        """Add a row.

        Raises:
            OSError: the disk is full; complete files are kept.
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
        """Complete the file if it has reached its size or its age.

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
        """Complete the last file, or remove it if it has no row.

        Raises:
            OSError: the file cannot be written; complete files are kept.
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
        """Remove a file that cannot be written, and add the number of lost rows to the error."""
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
    """A file that is not complete yet.

    Attributes:
        path: the name that the file gets when it is complete.
        rows: number of rows for this file, written or still in memory.
        since: when the file was begun, seconds of the monotonic clock.
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
        """Bytes written to this file so far."""
        return self._file.tell()

    def write(self, table: Any) -> None:  # noqa: ANN401  as above
        """Append a group of rows to the file."""
        self._writer.write_table(table)

    def keep(self) -> int:
        """Finish the file, give it its final name, and return its size in bytes."""
        self._writer.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        size = self.size_bytes
        self._file.close()
        self._temporary.replace(self.path)
        sync_directory(self.path.parent)
        return size

    def discard(self) -> None:
        """Remove the file."""
        self._temporary.unlink(missing_ok=True)
        with suppress(OSError):  # it may be discarded because nothing can be written
            self._writer.close()
        with suppress(OSError):
            self._file.close()


def _schema(signals: Sequence[str]) -> Any:  # noqa: ANN401  pyarrow has no types
    if taken := sorted({TIME, ASSET, QUALITY, RETAINED} & set(signals)):
        raise UsageError(
            f"a signal is named '{taken[0]}', as a column of every recording is; name it otherwise"
        )
    fields = [(TIME, pa.timestamp("ns", tz="UTC")), (ASSET, pa.string())]
    fields += [(name, pa.float64()) for name in signals]
    fields += [(QUALITY, pa.string()), (RETAINED, pa.bool_())]
    return pa.schema(fields, metadata={ROWS_KEY: b"messages"})


def _table(rows: Sequence[Row], schema: Any) -> Any:  # noqa: ANN401  as above
    times, assets, values, qualities, retained = zip(*rows, strict=True)
    columns = [times, assets, *zip(*values, strict=True), qualities, retained]
    arrays = [pa.array(one, field.type) for one, field in zip(columns, schema, strict=True)]
    return pa.table(arrays, schema=schema)
