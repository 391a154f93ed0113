"""How a CSV file is written: its separator, quotes and header, found by looking at its start."""

import csv
import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from trainer.errors import DataError
from trainer.recipe.description import Source

SEPARATORS = (",", ";", "\t", "|", "blank")
QUOTES = ('"', "'")
_NAMES = {",": "','", ";": "';'", "\t": "a tab", "|": "'|'", "blank": "blanks"}
_MAX_SHOWN = 30


@dataclass(frozen=True, slots=True)
class Dialect:
    """How to read a CSV.

    Attributes:
        separator: one of `SEPARATORS`.
        quote: what a field with a separator in it stands between.
        columns: their names without the blanks around them.
        first: line of the first row, from 1.
        notes: what there is to say of it.
    """

    separator: str
    quote: str
    columns: tuple[str, ...]
    first: int
    notes: tuple[str, ...]


def sniff(lines: Sequence[str], source: Source, wanted: Sequence[str], name: str) -> Dialect:
    """Find the separator and the quotes under which the file has the columns that are wanted.

    Args:
        lines: the first lines of the file, at least one that is not blank.
        source: what the recipe says of it; what it says is not sniffed.
        wanted: columns that must be there.
        name: of the file, for messages.

    Raises:
        DataError: no separator gives the columns that are wanted.
    """
    said = _said(lines[0])
    given = source.separator or said
    ways = list(product([given] if given else SEPARATORS, QUOTES))
    skipped = 0 if said is None else 1
    if not source.columns:
        skipped = _before_header(lines, ways, wanted, skipped)
    shown = lines[skipped:] or [""]
    separator, quote = max(ways, key=lambda way: _fit(shown, way, source, wanted))
    header = fields(shown[0], separator, quote)
    place, notes = f"{name} line {skipped + 1}", []
    if said:
        notes.append(f"begins with '{lines[0].strip()}': taken as its separator")
    elif skipped:
        notes.append(f"{skipped} lines before the header: left out")
    if source.columns:
        _check_count(header, source.columns, separator, place)
        return Dialect(separator, quote, source.columns, skipped + 1, tuple(notes))
    columns = tuple(column.strip() for column in header)
    _check(columns, wanted, shown[0], separator, place)
    if quote != QUOTES[0]:
        notes.append(f"quoted by {quote} rather than {QUOTES[0]}")
    notes += _cleaned(header, columns)
    return Dialect(separator, quote, columns, skipped + 2, tuple(notes))


def fields(line: str, separator: str, quote: str = QUOTES[0]) -> list[str]:
    """The fields of one line, quotes removed."""
    if separator == "blank":
        return next(csv.reader([" ".join(line.split())], delimiter=" ", quotechar=quote), [])
    return next(csv.reader([line], delimiter=separator, quotechar=quote), [])


def missing(columns: Sequence[str], wanted: Sequence[str], place: str) -> str | None:
    """A sentence about the columns that are wanted and not at `place`; None if all are."""
    absent = [column for column in wanted if column not in columns]
    if not absent:
        return None
    near = difflib.get_close_matches(absent[0], columns, n=1, cutoff=0.5)
    meant = f"; '{near[0]}' comes nearest to '{absent[0]}'" if near else ""
    found = ", ".join(columns[:_MAX_SHOWN]) + (", ..." if len(columns) > _MAX_SHOWN else "")
    plural = "s" if len(absent) > 1 else ""
    return f"{place}: has no column{plural} {', '.join(absent)}; it has {found}{meant}"


def repeated(columns: Sequence[str], wanted: Sequence[str], place: str) -> str | None:
    """A sentence about a wanted column that is at `place` more than once; None if none is."""
    for column in wanted:
        if (count := columns.count(column)) > 1:
            numbers = [str(i) for i, other in enumerate(columns, start=1) if other == column]
            return (
                f"{place}: has the column '{column}' more than once, as columns "
                f"{' and '.join(numbers)}; rename {count - 1} of them"
            )
    return None


def _said(line: str) -> str | None:
    """The separator that a first line such as `sep=;` names, as spreadsheets write it."""
    found = re.fullmatch(r"\s*\"?sep=(.)\"?\s*", line, re.IGNORECASE)
    return found[1] if found else None


def _before_header(
    lines: Sequence[str], ways: Sequence[tuple[str, str]], wanted: Sequence[str], skipped: int
) -> int:
    """How many lines stand before the first that has every column wanted; `skipped` if none has."""
    for number, line in enumerate(lines[skipped:], start=skipped):
        for way in ways:
            if {*wanted} <= {field.strip() for field in fields(line, *way)}:
                return number
    return skipped


def _cleaned(header: Sequence[str], columns: Sequence[str]) -> list[str]:
    return [
        f"header '{raw}' read as '{column}'"
        for raw, column in zip(header, columns, strict=True)
        if raw != column
    ]


def _fit(
    lines: Sequence[str], way: tuple[str, str], source: Source, wanted: Sequence[str]
) -> tuple[int, bool]:
    """How well a separator and quotes do: wanted columns found, then evenness of the lines."""
    header = [field.strip() for field in fields(lines[0], *way)]
    counts = {len(fields(line, *way)) for line in lines if line.strip()}
    if source.columns:
        return -abs(len(header) - len(source.columns)), len(counts) == 1
    return sum(column in header for column in wanted), len(counts) == 1


def _check_count(found: Sequence[str], columns: Sequence[str], separator: str, place: str) -> None:
    if len(found) != len(columns):
        raise DataError(
            f"{place}: has {len(found)} columns separated by {_shown(separator)}, data.columns "
            f"names {len(columns)}"
        )


def _check(
    columns: Sequence[str], wanted: Sequence[str], header: str, separator: str, place: str
) -> None:
    lacking = missing(columns, wanted, place)
    if lacking:
        better = [
            other
            for other in SEPARATORS
            if not missing([f.strip() for f in fields(header, other)], wanted, place)
        ]
        remedy = f"; with data.separator = '{better[0]}' all are there" if better else ""
        raise DataError(f"{lacking}, separated by {_shown(separator)}{remedy}")
    if twice := repeated(columns, wanted, place):
        raise DataError(twice)


def _shown(separator: str) -> str:
    return _NAMES.get(separator, f"'{separator}'")
