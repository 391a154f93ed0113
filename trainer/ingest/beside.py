"""Columns that stand in other files, with a line for each row: labels, groups, targets."""

from dataclasses import replace
from pathlib import Path

import pandas as pd

from trainer.errors import DataError
from trainer.ingest.csv_dialect import SEPARATORS, fields
from trainer.ingest.sources import MAX_BYTES, begin, open_once, whole_lines
from trainer.recipe.data_section import Beside, Source


class ColumnsBeside:
    """The further columns of one data file.

    Args:
        source: the recipe's `[data]`.
        name: the name of the data file.
        needed: names of the columns that the recipe needs; other columns are not read.

    Attributes:
        columns: the texts of each column, in the order of the rows.
        digests: SHA-256 of the files that they are from, by name.

    Raises:
        DataError: a file cannot be read, or has not the field that the recipe names.
    """

    def __init__(self, source: Source, name: str, needed: set[str]) -> None:
        self.columns: dict[str, list[str]] = {}
        self.digests: dict[str, str] = {}
        self._name = name
        self._from: dict[str, str] = {}
        for one in source.beside:
            path = one.files.get(name) or one.files.get(name.rsplit("/", 1)[-1])
            if path is not None and one.column in needed:
                self._from[one.column] = Path(path).name
                self.columns[one.column] = self._read(Path(path), one, source)

    def added(self, frame: pd.DataFrame, first: int) -> pd.DataFrame:
        """A block of rows with these columns; `first` is the number of rows before it."""
        rows = slice(first, first + len(frame))
        further = {
            column: [*texts[rows], *[""] * (len(frame) - len(texts[rows]))]
            for column, texts in self.columns.items()
        }
        return frame.assign(**further)

    def check(self, rows: int) -> None:
        """Compare the number of lines with the number of rows, after the last block.

        Raises:
            DataError: they differ, so that nobody can say which line belongs to which row.
        """
        for column, texts in self.columns.items():
            if len(texts) != rows:
                raise DataError(
                    f"{self._from[column]}: has {len(texts)} lines, but {self._name} has {rows} "
                    f"rows; data.beside needs a line for each row, for the column '{column}'"
                )

    def _read(self, path: Path, one: Beside, source: Source) -> list[str]:
        with open_once(path, f"data.beside: {path}") as file:
            self.digests[f"data.beside/{path.name}"] = file.sha256
            table = replace(file, name=path.name)
            encoding = begin(table, source.encoding).encoding
            lines = whole_lines(table, encoding, 0, MAX_BYTES)
        if lines is None:
            raise DataError(
                f"{path.name}: has more than {MAX_BYTES >> 20} MiB; data.beside needs a line for "
                "each row, with few fields"
            )
        separator = max(SEPARATORS, key=lambda mark: len(fields(lines[0], mark)) if lines else 0)
        rows = [fields(line, separator) for line in lines]
        short = next((i for i, row in enumerate(rows, start=1) if len(row) < one.field), None)
        if short is not None:
            raise DataError(
                f"{path.name} line {short}: has {len(rows[short - 1])} fields, data.beside names "
                f"field {one.field} for the column '{one.column}'; give one that every line has"
            )
        return [row[one.field - 1] for row in rows]
