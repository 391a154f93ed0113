"""Reads a CSV file in blocks of rows, all fields as text, so that errors can quote a field."""

import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trainer.errors import DataError
from trainer.ingest import transposed
from trainer.ingest.csv_dialect import Dialect, fields, sniff
from trainer.ingest.labview import Segments
from trainer.ingest.sources import OpenFile, begin, last_line, not_in, readable
from trainer.recipe.data_section import Source

_BLOCK_CELLS = 1 << 20


def blocks(
    opened: OpenFile,
    source: Source,
    wanted: Sequence[str],
    note: Callable[[str], object],
    *,
    separated: Callable[[str], object] = str,
) -> Iterator[pd.DataFrame]:
    """Read a file from its first row to its last.

    Args:
        opened: the file.
        source: the recipe's `[data]`.
        wanted: names of the columns that must be there.
        note: called with a sentence on what was found out or left out.
        separated: called with what separates the columns, before the first row.

    Yields:
        The wanted columns as text; the index is the line of each row. Each row is in one block,
        and the memory used does not grow with the size of the file.

    Raises:
        DataError: file, line, column, what was found, what to do.
    """
    opening = begin(opened, source.encoding, source.skip_rows)
    for text in opening.notes:
        note(text)
    if not any(line.strip() for line in opening.lines):
        return
    if source.is_transposed(opened.name):
        yield transposed.rows(opened, opening.encoding, source, wanted, note)
        return
    try:
        dialect = sniff(opening.lines, source, wanted, opened.name)
    except DataError as exc:
        if hint := transposed.hint(opened, opening.encoding, source, wanted):
            raise DataError(f"{exc}; {hint}") from exc
        raise
    separated(dialect.separator)
    for text in dialect.notes:
        note(text)
    chosen = [dialect.columns.index(column) for column in wanted]
    cut = _ends_early(opened, dialect, opening.encoding)
    frames = _parsed(opened, dialect, opening.encoding)
    lines = _Lines(dialect, source, opened.name)
    segments = Segments(opening.lines, dialect.columns, opened.name)
    for frame in _without_last_row(frames) if cut else frames:
        rows = segments.without_headers(frame.set_axis(frame.index + dialect.first, axis=0))
        yield rows.loc[lines.that_are_rows(rows), chosen].set_axis(list(wanted), axis=1)
    for text in (*segments.notes, *lines.notes()):
        note(text)
    if cut:
        note("ends in the middle of its last line: that line is left out")


# What the lines above each table of an annotated CSV of InfluxDB begin with.
_ANNOTATIONS = ("#group", "#datatype", "#default")


class _Lines:
    """Distinguishes rows from blank lines and repeated headers, and counts these."""

    def __init__(self, dialect: Dialect, source: Source, name: str) -> None:
        self._name = name
        self._header = [] if source.columns else list(dialect.columns)
        self._blank = self._headers = 0

    def that_are_rows(self, lines: pd.DataFrame) -> NDArray[np.bool_]:
        """Mask of the rows, `[lines]`: neither blank lines nor headers that are repeated."""
        second = lines[0].str.startswith(_ANNOTATIONS)
        if second.any():
            raise self._second_table(lines, int(second.to_numpy().argmax()))
        blank = (lines == "").all(axis=1).to_numpy()
        headers = np.zeros(len(lines), dtype=np.bool_)
        if self._header:
            likely = np.flatnonzero(lines[0].str.strip() == self._header[0])
            found = lines.iloc[likely].apply(lambda column: column.str.strip())
            headers[likely] = (found == self._header).all(axis=1).to_numpy() & ~blank[likely]
        self._blank += int(blank.sum())
        self._headers += int(headers.sum())
        return ~(blank | headers)

    def _second_table(self, lines: pd.DataFrame, row: int) -> DataError:
        """Make the error about a table below the first, whose values are of something else."""
        below = lines.iloc[row:].to_numpy().tolist()
        values = [fields for fields in below if not fields[0].startswith("#")][1:2]
        told = dict(zip(self._header, values[0], strict=True)) if values and self._header else {}
        field = f", of the field '{told['_field']}'" if "_field" in told else ""
        return DataError(
            f"{self._name} line {lines.index[row]}: a second table begins here, with "
            f"'{lines[0].iloc[row]}'{field}; in one column its values would be mixed with those of "
            'the first: end the query with pivot(rowKey: ["_time"], columnKey: ["_field"], '
            'valueColumn: "_value"), so that every field is a column, or save each table as a '
            "file"
        )

    def notes(self) -> Iterator[str]:
        """Sentences on the lines that were left out, after the last block."""
        if self._blank:
            yield f"{self._blank} blank lines: left out"
        if self._headers:
            yield f"the header is repeated in {self._headers} lines: left out"


def _ends_early(opened: OpenFile, dialect: Dialect, encoding: str) -> bool:
    """Whether the last line is cut off, so that a number in it may lack digits."""
    cut = last_line(opened, encoding)
    return cut is not None and len(fields(cut, dialect.separator, dialect.quote)) < len(
        dialect.columns
    )


def _without_last_row(frames: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    held = next(frames, None)
    for frame in frames:
        if held is not None:
            yield held
        held = frame
    if held is not None:
        yield held.iloc[:-1]


def _parsed(opened: OpenFile, dialect: Dialect, encoding: str) -> Iterator[pd.DataFrame]:
    """Parse all columns of a file; their names are their positions."""
    separator = r"\s+" if dialect.separator == "blank" else dialect.separator
    name, count = opened.name, len(dialect.columns)
    with readable(name):
        try:
            reader = pd.read_csv(
                opened.rewound(),
                sep=separator,
                quotechar=dialect.quote,
                header=None,
                names=range(count),
                skiprows=dialect.first - 1,
                index_col=False,
                dtype=str,
                keep_default_na=False,
                skip_blank_lines=False,
                encoding=encoding,
                chunksize=max(1, _BLOCK_CELLS // count),
            )
            with reader:
                while (frame := _next(reader)) is not None:
                    yield frame
        except pd.errors.EmptyDataError:
            return
        except (pd.errors.ParserError, pd.errors.ParserWarning) as exc:
            raise DataError(_misfit(str(exc), name, dialect)) from exc
        except UnicodeDecodeError as exc:
            raise DataError(not_in(encoding, name, exc)) from exc


def _next(reader: Any) -> pd.DataFrame | None:  # noqa: ANN401  pandas keeps its reader's type private
    """The next block; None after the last one."""
    with warnings.catch_warnings():
        # pandas only warns if all rows are longer than the header.
        warnings.simplefilter("error", pd.errors.ParserWarning)
        frame: pd.DataFrame | None = next(reader, None)
        return frame


def _misfit(reason: str, name: str, dialect: Dialect) -> str:
    reason = reason.replace("Error tokenizing data. C error: ", "").strip()
    if unclosed := re.search(r"EOF inside string starting at row (\d+)", reason):
        line = int(unclosed[1]) + 1
        return (
            f"{name} line {line}: a field begins with {dialect.quote} and nothing closes it to the "
            "end of the file; close it, or take the quote out"
        )
    if reason.startswith("Length of header"):
        reason = "all have more fields"
    remedy = (
        "; if numbers have a decimal comma, quote them or separate columns by ';'"
        if dialect.separator == ","
        else f"; if a field has {dialect.separator!r} in it, quote it"
    )
    return f"{name}: rows do not fit the header of {len(dialect.columns)} columns: {reason}{remedy}"
