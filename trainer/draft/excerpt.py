"""The beginnings of recorded files, so that a draft looks at no more than it has time for."""

import gzip
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO, Final, cast

import pyarrow as pa
import pyarrow.parquet as pq

from models.files import write_atomically
from trainer.errors import DataError
from trainer.ingest.sources import PARQUET, readable

MAX_BYTES: Final = 64 << 20
"""Bytes of text that are looked at in all files together, uncompressed."""
MAX_ROWS: Final = 500_000
"""Rows of Parquet files that are looked at in all files together."""
_WIDE: Final = (b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")


@dataclass(frozen=True, slots=True)
class Excerpts:
    """Files to look at in place of the recorded ones.

    Attributes:
        paths: the file to look at, by the path of the recorded file.
        cut: recorded files of which only the beginning is looked at.
    """

    paths: Mapping[Path, Path]
    cut: tuple[Path, ...]


@contextmanager
def excerpts(files: list[Path], max_bytes: int = MAX_BYTES) -> Iterator[Excerpts]:
    """Copy the beginnings of files that are too long; all others are looked at as they are.

    Each copy has the name of its file, and lies in a folder of its own.

    Raises:
        DataError: a file cannot be read.
    """
    share = max(1 << 12, max_bytes // max(1, len(files)))
    with TemporaryDirectory(prefix="millhand-draft-") as folder:
        paths, cut = {}, []
        for number, path in enumerate(files):
            begun = Path(folder) / str(number) / path.name
            with readable(str(path)):
                is_cut = _begin(path, begun, share, max(1, MAX_ROWS // len(files)))
            paths[path] = begun if is_cut else path
            cut += [path] if is_cut else []
        yield Excerpts(paths, tuple(cut))


def _begin(path: Path, begun: Path, size: int, rows: int) -> bool:
    """Copy the beginning of a file if it is too long, and return whether it is."""
    if path.suffix.lower() == PARQUET:
        return _begin_parquet(path, begun, rows)
    is_compressed = path.suffix.lower() == ".gz"
    if not is_compressed and path.stat().st_size <= size:
        return False
    with path.open("rb") as raw:
        file = cast("BinaryIO", gzip.GzipFile(fileobj=raw)) if is_compressed else raw
        start = file.read(size + 1)
    # Lines of two or four bytes a character cannot be told apart by a byte.
    end = start.rfind(b"\n") + 1
    if len(start) <= size or not end or start.startswith(_WIDE):
        return False
    begun.parent.mkdir()
    kept = start[:end]
    write_atomically(begun, gzip.compress(kept, 1) if is_compressed else kept)
    return True


def _begin_parquet(path: Path, begun: Path, rows: int) -> bool:
    try:
        with pq.ParquetFile(path) as file:
            if file.metadata.num_rows <= rows:
                return False
            begun.parent.mkdir()
            with pq.ParquetWriter(begun, file.schema_arrow) as writer:
                left = rows
                for batch in file.iter_batches(batch_size=min(rows, 1 << 16)):
                    writer.write_batch(batch.slice(0, left))
                    left -= len(batch)
                    if left <= 0:
                        break
    except pa.ArrowException as exc:
        raise DataError(f"{path}: cannot be read: {exc}") from exc
    return True
