"""Reads one sheet of a workbook (Excel, OpenDocument); no other module looks at python-calamine.

Cells keep their types, so that numbers need no decimal mark and moments no format. What is an error
in its cell, such as `#N/A`, has no value.
"""

import os
import zipfile
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

import pandas as pd

from trainer.errors import DataError
from trainer.ingest.csv_dialect import lines_of_units, missing, repeated
from trainer.ingest.formats.cells import frame_of
from trainer.ingest.formats.extras import library
from trainer.ingest.sources import OpenFile, readable
from trainer.recipe.data_section import Source

SUFFIXES = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")
_MAX_BYTES = 1 << 30
_BLOCK_CELLS = 1 << 20
_SNIFFED_ROWS = 50
_MAX_SHOWN = 20
Row = Sequence[object]


def blocks(
    opened: OpenFile, source: Source, wanted: Sequence[str], note: Callable[[str], object]
) -> Iterator[tuple[pd.DataFrame, str]]:
    """Read the sheet from its first row to its last.

    Args:
        opened: the file.
        source: the recipe's `[data]`.
        wanted: names of the columns that must be there.
        note: called with a sentence on what was found out or left out.

    Yields:
        The wanted columns, whose index is the row in the sheet, from 1; and how messages name the
        sheet.

    Raises:
        DataError: the file is no workbook or too large, or a sheet or column is missing.
    """
    calamine = library("python_calamine", "excel", opened.name)
    _check_size(opened)
    with readable(opened.name, calamine.CalamineError):
        book = calamine.load_workbook(opened.rewound())
        names = [
            one.name
            for one in book.sheets_metadata
            if one.typ == calamine.SheetTypeEnum.WorkSheet and _rows_of(book, one.name, 1)
        ]
        name = _chosen(book, names, source, wanted, opened.name)
        if name is None:
            return
        sheet = book.get_sheet_by_name(name)
    if source.sheet is None and len(names) > 1:
        note(f"sheet '{name}' is read, the only one with all columns")
    place = f"{opened.name} sheet '{name}'"
    begin = [*islice(enumerate(sheet.iter_rows(), start=1), _SNIFFED_ROWS)]
    columns, first = _header(begin, source, wanted, place, note)
    rows = (
        (number, row)
        for number, row in enumerate(sheet.iter_rows(), start=1)
        if number >= first and any(cell != "" for cell in row)
    )
    positions = [columns.index(column) for column in wanted]
    while block := [*islice(rows, max(1, _BLOCK_CELLS // len(columns)))]:
        cells = [[row[position] for position in positions] for _, row in block]
        frame = frame_of(cells, wanted, [number for number, _ in block], source.decimal or ".")
        yield frame, place


def _check_size(opened: OpenFile) -> None:
    """Refuse a workbook that would take too much memory, before anything of it is unpacked."""
    file = opened.rewound()
    size = file.seek(0, os.SEEK_END)
    if zipfile.is_zipfile(file):
        with readable(opened.name, zipfile.BadZipFile), zipfile.ZipFile(file) as archive:
            size = sum(member.file_size for member in archive.infolist())
    if size > _MAX_BYTES:
        raise DataError(
            f"{opened.name}: has {size >> 20} MiB unpacked, allowed are {_MAX_BYTES >> 20}; divide "
            "it, or export it as CSV or Parquet"
        )


def _rows_of(book: Any, name: str, count: int) -> list[tuple[int, Row]]:  # noqa: ANN401  an optional library
    """The first rows of a sheet that have a cell, each with its number in the sheet, from 1."""
    rows = enumerate(book.get_sheet_by_name(name).iter_rows(), start=1)
    return [*islice(((i, row) for i, row in rows if any(cell != "" for cell in row)), count)]


def _chosen(
    book: Any,  # noqa: ANN401  as above
    names: Sequence[str],
    source: Source,
    wanted: Sequence[str],
    file: str,
) -> str | None:
    """The name of the sheet to read; None if the workbook is empty."""
    shown = ", ".join(f"'{name}'" for name in names[:_MAX_SHOWN])
    if source.sheet is not None:
        if source.sheet in names:
            return source.sheet
        raise DataError(
            f"{file}: has no sheet '{source.sheet}' with anything in it; it has {shown or 'none'}; "
            "correct data.sheet"
        )
    if len(names) < 2:  # noqa: PLR2004  with one sheet there is nothing to choose
        return names[0] if names else None
    able = [
        name
        for name in names
        if source.columns or _row_of_header(_rows_of(book, name, _SNIFFED_ROWS), wanted) is not None
    ]
    if len(able) == 1:
        return able[0]
    found = "several have" if able else "none has"
    raise DataError(
        f"{file}: has the sheets {shown}, and {found} all columns that the recipe names: "
        f"{', '.join(wanted[:_MAX_SHOWN])}; set data.sheet to the one to read"
    )


def _header(
    begin: Sequence[tuple[int, Row]],
    source: Source,
    wanted: Sequence[str],
    place: str,
    note: Callable[[str], object],
) -> tuple[list[str], int]:
    """The names of the columns, and the number of the first row of values."""
    filled = [(number, row) for number, row in begin if any(cell != "" for cell in row)]
    if not filled:
        raise DataError(f"{place}: the first {len(begin)} rows are empty; take them out")
    if source.columns:
        return _named(filled[0], source, place), filled[0][0]
    found = _row_of_header(filled, wanted)
    number, header = filled[found or 0]
    columns = _texts(header)
    here = f"{place} row {number}"
    if mistake := missing(columns, wanted, here) or repeated(columns, wanted, here):
        raise DataError(f"{mistake}; correct the recipe, or set data.sheet to another sheet")
    if found:
        note(f"{found} rows before the header: left out")
    below = filled[(found or 0) + 1 :]
    units = lines_of_units(
        [_texts(row) for _, row in below], [columns.index(one) for one in wanted], source
    )
    if units:
        note(f"{units} rows below the header have no number where the next has: left out")
    return columns, below[units][0] if units else number + 1


def _named(first: tuple[int, Row], source: Source, place: str) -> list[str]:
    number, row = first
    if len(row) != len(source.columns):
        raise DataError(
            f"{place} row {number}: has {len(row)} columns, data.columns names "
            f"{len(source.columns)}; name every column in the sheet's order"
        )
    return [*source.columns]


def _row_of_header(rows: Sequence[tuple[int, Row]], wanted: Sequence[str]) -> int | None:
    """The index of the first row that has all wanted columns; None if there is none."""
    for index, (_, row) in enumerate(rows):
        if {*wanted} <= {*_texts(row)}:
            return index
    return None


def _texts(row: Row) -> list[str]:
    return [str(cell).strip() for cell in row]
