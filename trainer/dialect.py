"""How a CSV file is written: its separator and its header, found by looking at its first lines."""

import csv
import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from trainer.description import Source
from trainer.errors import DataError

SEPARATORS = (",", ";", "\t", "|", "blank")
_NAMES = {",": "','", ";": "';'", "\t": "a tab", "|": "'|'", "blank": "blanks"}
_MAX_SHOWN = 30


@dataclass(frozen=True, slots=True)
class Dialect:
    """Separator as in `SEPARATORS`, and the columns' names without the blanks around them."""

    separator: str
    columns: tuple[str, ...]
    notes: tuple[str, ...]


def sniff(lines: Sequence[str], source: Source, wanted: Sequence[str], name: str) -> Dialect:
    """Find the separator under which the file has the columns that are wanted.

    Args:
        lines: the first lines of the file, at least one.
        source: what the recipe says of it; what it says is not sniffed.
        wanted: columns that must be there.
        name: of the file, for messages.

    Raises:
        DataError: no separator gives the columns that are wanted.
    """
    candidates = [source.separator] if source.separator else SEPARATORS
    separator = max(candidates, key=lambda s: _fit(lines, s, source, wanted))
    header = fields(lines[0], separator)
    if source.columns:
        if len(header) != len(source.columns):
            raise DataError(
                f"{name} line 1: has {len(header)} columns separated by {_NAMES[separator]}, "
                f"data.columns names {len(source.columns)}"
            )
        return Dialect(separator, source.columns, ())
    columns = tuple(column.strip() for column in header)
    _check(columns, wanted, lines, separator, name)
    notes = tuple(
        f"header '{raw}' read as '{column}'"
        for raw, column in zip(header, columns, strict=True)
        if raw != column
    )
    return Dialect(separator, columns, notes)


def fields(line: str, separator: str) -> list[str]:
    """The fields of one line, quotes removed."""
    if separator == "blank":
        return line.split()
    return next(csv.reader([line], delimiter=separator), [])


def missing(columns: Sequence[str], wanted: Sequence[str], name: str) -> str | None:
    """A sentence about the columns that are wanted and not there; None if all are."""
    absent = [column for column in wanted if column not in columns]
    if not absent:
        return None
    near = difflib.get_close_matches(absent[0], columns, n=1, cutoff=0.5)
    meant = f"; '{near[0]}' comes nearest to '{absent[0]}'" if near else ""
    found = ", ".join(columns[:_MAX_SHOWN]) + (", ..." if len(columns) > _MAX_SHOWN else "")
    plural = "s" if len(absent) > 1 else ""
    return f"{name} line 1: has no column{plural} {', '.join(absent)}; it has {found}{meant}"


def _fit(
    lines: Sequence[str], separator: str, source: Source, wanted: Sequence[str]
) -> tuple[int, bool]:
    """How well a separator does: columns that are wanted and found, then evenness of the lines."""
    header = [field.strip() for field in fields(lines[0], separator)]
    counts = [len(fields(line, separator)) for line in lines if line.strip()]
    if source.columns:
        return -abs(len(header) - len(source.columns)), len(set(counts)) == 1
    return sum(column in header for column in wanted), len(set(counts)) == 1


def _check(
    columns: Sequence[str], wanted: Sequence[str], lines: Sequence[str], separator: str, name: str
) -> None:
    lacking = missing(columns, wanted, name)
    if lacking:
        better = [
            other
            for other in SEPARATORS
            if not missing([f.strip() for f in fields(lines[0], other)], wanted, name)
        ]
        remedy = f"; with data.separator = '{better[0]}' all are there" if better else ""
        raise DataError(f"{lacking}, separated by {_NAMES[separator]}{remedy}")
    twice = [column for column in wanted if columns.count(column) > 1]
    if twice:
        raise DataError(f"{name} line 1: has the column '{twice[0]}' more than once")
