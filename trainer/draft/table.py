"""One recorded file as a table of texts, whose separator and header nobody has named."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from trainer.errors import DataError
from trainer.ingest import csv_file, parquet_file
from trainer.ingest.csv_dialect import best_way, header_of, is_measured, sniff, usual_count
from trainer.ingest.csv_dialect import table as table_of
from trainer.ingest.sources import PARQUET, OpenFile, begin, open_once, readable
from trainer.recipe.data_section import Source

_ENCODINGS: Final = ("cp1252",)


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of one file.

    Attributes:
        path: the recorded file.
        name: its name in messages.
        frame: the rows; the index is the line in the file. Columns of a CSV are text.
        separator: what separates the columns; None for Parquet.
        encoding: the encoding that the recipe must name; None if it need not.
        has_header: whether the file names its columns; otherwise they are `c1`, `c2` and so on.
        units: what a line below the header says of a column, by column.
        notes: sentences on what was found out or left out.
    """

    path: Path
    name: str
    frame: pd.DataFrame
    separator: str | None
    encoding: str | None
    has_header: bool
    units: dict[str, str]
    notes: tuple[str, ...]


def read_table(path: Path, looked_at: Path, name: str) -> Table:
    """Read a recorded file, or the excerpt that is looked at in its place.

    Raises:
        DataError: the file cannot be read, is empty, or has no columns that can be told apart.
    """
    with open_once(looked_at, name) as opened:
        if path.suffix.lower() == PARQUET:
            return _parquet(path, opened)
        for encoding in (None, *_ENCODINGS):
            with suppress(_UndecodableError):
                return _text(path, opened, encoding)
    raise DataError(f"{name}: is text in an encoding that is not known; save it as UTF-8")


class _UndecodableError(Exception):
    """The file is not in the encoding that was tried."""


def _parquet(path: Path, opened: OpenFile) -> Table:
    notes: list[str] = []
    with readable(opened.name, pa.ArrowException):
        names = pq.read_schema(opened.rewound()).names
    wanted, frames = [], []
    for column in (raw.strip() for raw in names):
        try:
            blocks = parquet_file.blocks(opened, None, [column], notes.append)
            frames.append(pd.concat([frame for frame, _ in blocks]))
            wanted.append(column)
        except (DataError, ValueError):
            notes.append(f"column '{column}' has a type that is not read: left out")
    if not frames or not len(frames[0]):
        raise DataError(f"{opened.name}: has no rows")
    frame = pd.concat(frames, axis=1)
    return Table(path, opened.name, frame, None, None, True, {}, tuple(notes))  # noqa: FBT003  a table has a header


def _text(path: Path, opened: OpenFile, encoding: str | None) -> Table:
    try:
        opening = begin(opened, encoding)
    except DataError as exc:
        if isinstance(exc.__cause__, UnicodeDecodeError):
            raise _UndecodableError from exc
        raise
    lines = [line for line in opening.lines if line.strip()]
    if not lines:
        raise DataError(f"{opened.name}: is empty")
    way = best_way(lines)
    rows = table_of(lines, way)
    header = header_of(rows)
    names = list(header or (f"c{number}" for number in range(1, usual_count(rows) + 1)))
    wanted = [one for one in names if one and names.count(one) == 1]
    if not wanted:
        raise DataError(f"{opened.name}: its columns have no names of their own; name them")
    said = {"separator": way[0], "encoding": encoding}
    source = Source.model_validate(
        {"files": [str(path)], **said, **({} if header else {"columns": names})}
    )
    notes: list[str] = []
    try:
        frames = list(csv_file.blocks(opened, source, wanted, notes.append))
        units = _units(opening.lines, source, wanted, opened.name) if header else {}
    except DataError as exc:
        if isinstance(exc.__cause__, UnicodeDecodeError):
            raise _UndecodableError from exc
        raise
    frame = pd.concat(frames) if frames else pd.DataFrame()
    if not len(frame):
        raise DataError(f"{opened.name}: has no rows")
    notes += [f"read as {encoding}"] if encoding else []
    return Table(
        path, opened.name, frame, way[0], encoding, header is not None, units, tuple(notes)
    )


def _units(
    lines: Sequence[str], source: Source, wanted: Sequence[str], name: str
) -> dict[str, str]:
    """What the first line between the header and the rows says of each column."""
    dialect = sniff(lines, source, wanted, name)
    between = table_of(lines[: dialect.first - 1], (dialect.separator, dialect.quote))
    rows = [one for one in between if len(one) == len(dialect.columns)]
    if not rows or rows[-1] == list(dialect.columns):
        return {}
    last = zip(dialect.columns, rows[-1], strict=True)
    return {column: text for column, text in last if text and not is_measured(text)}
