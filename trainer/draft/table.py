"""One recorded file as a table of texts, whose separator and header nobody has named."""

import csv
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Final

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from trainer.errors import DataError
from trainer.ingest import csv_file, parquet_file
from trainer.ingest.csv_dialect import QUOTES, SEPARATORS, fields, sniff
from trainer.ingest.sources import PARQUET, OpenFile, begin, open_once, readable
from trainer.recipe.data_section import Source

_EVEN: Final = 0.8
_VALUE: Final = re.compile(
    r"[+\-\u2212]?[\d.,]*\d(?:[eE][+-]?\d+)?|\d+[-/.:]\w+[-/.: ]\d[^,;\t]*(?:,\d+)?Z?|"
)
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
    separator, quote = _way(lines)
    header = _header(lines, separator, quote)
    names = _named(header) if header else _numbered(lines, separator, quote)
    wanted = [one for one in names if one and names.count(one) == 1]
    if not wanted:
        raise DataError(f"{opened.name}: its columns have no names of their own; name them")
    said = {"separator": separator, "encoding": encoding}
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
        path, opened.name, frame, separator, encoding, header is not None, units, tuple(notes)
    )


def _way(lines: Sequence[str]) -> tuple[str, str]:
    """The separator and the quotes with which lines have as many columns, and cells are values."""
    return max(product(SEPARATORS, QUOTES), key=lambda way: _fit(lines, *way))


def _fit(
    lines: Sequence[str], separator: str, quote: str
) -> tuple[bool, bool, float, bool, int, bool]:
    """Rank a separator and quotes.

    The wrong separator may give as many columns, such as a comma in `2,5;7,25;8,0` or a space in
    `2026-03-01 10:00:00,2.5,OK`; but then no line above them has as many names, and cells such as
    `5;7` are no values.
    """
    counts = _counts(lines, separator, quote)
    usual = max(counts, key=counts.count)
    is_even = counts.count(usual) >= _EVEN * len(counts) and usual > 1
    has_header = is_even and _header(lines, separator, quote) is not None
    begins = len(next(_split(lines, separator, quote))) == usual
    share = _share_of_values(lines, separator, quote)
    return is_even, has_header, share, begins, usual, quote == QUOTES[0]


def _share_of_values(lines: Sequence[str], separator: str, quote: str) -> float:
    """The share of cells in the second half of the lines that are numbers or times."""
    cells = [cell for row in _split(lines[len(lines) // 2 :], separator, quote) for cell in row]
    given = [cell for cell in cells if cell]
    return sum(_VALUE.fullmatch(cell) is not None for cell in given) / max(1, len(given))


def _counts(lines: Sequence[str], separator: str, quote: str) -> list[int]:
    """The number of fields of each line, without those of the first half that may be a preamble."""
    return [len(one) for one in _split(lines[len(lines) // 2 :], separator, quote)]


def _split(lines: Sequence[str], separator: str, quote: str) -> Iterator[list[str]]:
    for line in lines:
        try:
            yield [field.strip() for field in fields(line, separator, quote)]
        except csv.Error:
            yield []


def _header(lines: Sequence[str], separator: str, quote: str) -> list[str] | None:
    """The fields of the first line with as many columns as the rows and no value; None without."""
    counts = _counts(lines, separator, quote)
    usual = max(counts, key=counts.count)
    for found in _split(lines, separator, quote):
        if len(found) != usual:
            continue
        named = [field for field in found if field]
        values = [field for field in named if _VALUE.fullmatch(field)]
        if found[0].startswith("#") or (len(set(named)) < len(named) and not values):
            continue
        return found if len(values) * 2 < len(named) else None
    return None


def _named(header: Sequence[str]) -> list[str]:
    return [field.strip() for field in header]


def _numbered(lines: Sequence[str], separator: str, quote: str) -> list[str]:
    counts = _counts(lines, separator, quote)
    return [f"c{number}" for number in range(1, max(counts, key=counts.count) + 1)]


def _units(
    lines: Sequence[str], source: Source, wanted: Sequence[str], name: str
) -> dict[str, str]:
    """What the first line between the header and the rows says of each column."""
    dialect = sniff(lines, source, wanted, name)
    between = list(_split(lines[: dialect.first - 1], dialect.separator, dialect.quote))
    rows = [one for one in between if len(one) == len(dialect.columns)]
    if not rows or rows[-1] == list(dialect.columns):
        return {}
    last = zip(dialect.columns, rows[-1], strict=True)
    return {column: text for column, text in last if text and not _VALUE.fullmatch(text)}
