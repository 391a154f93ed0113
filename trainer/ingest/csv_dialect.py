"""The separator, quotes and header of a CSV file, found in its first lines."""

import csv
import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from trainer.errors import DataError
from trainer.ingest.columns import NO_VALUE
from trainer.recipe.data_section import Source

SEPARATORS = (",", ";", "\t", "|", "blank")
QUOTES = ('"', "'")
_NAMES = {",": "','", ";": "';'", "\t": "a tab", "|": "'|'", "blank": "blanks"}
_MAX_SHOWN = 30
_MAX_WIDTH = 80
_MAX_UNIT_LINES = 3
_MEASURED = r"[+-]?(?:\d[\d.,]*|[.,]\d+)(?:[eE][+-]?\d+)?|\d+[-/.]\w+[-/.]\d.*"


@dataclass(frozen=True, slots=True)
class Dialect:
    """How to read a CSV file.

    Attributes:
        separator: what separates the columns, one of `SEPARATORS`.
        quote: the character around a field that contains a separator.
        columns: names of the columns, without the blanks around them.
        first: the line of the first row, from 1.
        notes: what was found out or left out, for the user.
    """

    separator: str
    quote: str
    columns: tuple[str, ...]
    first: int
    notes: tuple[str, ...]


def sniff(lines: Sequence[str], source: Source, wanted: Sequence[str], name: str) -> Dialect:
    """Find the separator and the quotes with which the file has the wanted columns.

    Args:
        lines: the first lines of the file, at least one that is not blank.
        source: the recipe's `[data]`; what is given there is not searched for.
        wanted: names of the columns that must be there.
        name: the name of the file, for messages.

    Raises:
        DataError: the wanted columns are not found with any separator.
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
    below = [fields(line, separator, quote) for line in shown[1:]]
    units = lines_of_units(below, [columns.index(column) for column in wanted], source)
    if units:
        notes.append(f"{units} lines below the header have no number where the next has: left out")
    return Dialect(separator, quote, columns, skipped + 2 + units, tuple(notes))


def fields(line: str, separator: str, quote: str = QUOTES[0]) -> list[str]:
    """Split one line into its fields, without their quotes."""
    if separator == "blank":
        return next(csv.reader([" ".join(line.split())], delimiter=" ", quotechar=quote), [])
    return next(csv.reader([line], delimiter=separator, quotechar=quote), [])


def missing(columns: Sequence[str], wanted: Sequence[str], place: str) -> str | None:
    """A sentence about the wanted columns that are absent at `place`; None if there is none."""
    absent = [column for column in wanted if column not in columns]
    if not absent:
        return None
    near = difflib.get_close_matches(absent[0], columns, n=1, cutoff=0.5)
    meant = f"; '{near[0]}' comes nearest to '{absent[0]}'" if near else ""
    plural = "s" if len(absent) > 1 else ""
    return f"{place}: has no column{plural} {_listed(absent)}; it has {_listed(columns)}{meant}"


def repeated(columns: Sequence[str], wanted: Sequence[str], place: str) -> str | None:
    """A sentence about a wanted column that `place` has more than once; None if there is none."""
    for column in wanted:
        if (count := columns.count(column)) > 1:
            numbers = [str(i) for i, other in enumerate(columns, start=1) if other == column]
            return (
                f"{place}: has the column '{column}' more than once, as columns "
                f"{' and '.join(numbers)}; rename {count - 1} of them"
            )
    return None


def _listed(columns: Sequence[str]) -> str:
    shown = ", ".join(column[:_MAX_WIDTH] or "''" for column in columns[:_MAX_SHOWN])
    return shown + (", ..." if len(columns) > _MAX_SHOWN else "")


def _said(line: str) -> str | None:
    """The separator that a first line such as `sep=;` names, as spreadsheets write it."""
    found = re.fullmatch(r"\s*\"?sep=(.)\"?\s*", line, re.IGNORECASE)
    return found[1] if found else None


def _before_header(
    lines: Sequence[str], ways: Sequence[tuple[str, str]], wanted: Sequence[str], skipped: int
) -> int:
    """The number of lines before the first with all wanted columns; `skipped` if there is none."""
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
) -> tuple[int, bool, int]:
    """Rank a separator and quotes: wanted columns found, whether all lines are equal, columns."""
    header = [field.strip() for field in fields(lines[0], *way)]
    counts = {len(fields(line, *way)) for line in lines if line.strip()}
    even = len(counts) == 1
    if source.columns:
        return int(len(header) == len(source.columns)), even, len(header)
    found = sum(column in header for column in wanted)
    # If no wanted column is found, the error is about the separator that gives most columns.
    return found, even, 0 if found else len(header)


def lines_of_units(rows: Sequence[Sequence[str]], wanted: Sequence[int], source: Source) -> int:
    """The number of lines below the header that describe the columns, such as a line of units.

    Such lines have no number and no date in a wanted column, and the first line with a number has
    it in a column where they have words.
    """
    absent = NO_VALUE | {*source.na_values}
    worded: set[int] = set()
    for count, row in enumerate(rows[: _MAX_UNIT_LINES + 1]):
        texts = {i: row[i].strip() for i in wanted if i < len(row)}
        measured = {i for i, text in texts.items() if re.fullmatch(_MEASURED, text)}
        if measured:
            return count if measured & worded else 0
        worded |= {i for i, text in texts.items() if text not in absent}
    return 0


def _check_count(found: Sequence[str], columns: Sequence[str], separator: str, place: str) -> None:
    if len(found) != len(columns):
        raise DataError(
            f"{place}: has {len(found)} columns separated by {_shown(separator)}, data.columns "
            f"names {len(columns)}; name every column in the file's order, or leave the file out "
            "of data.files"
        )


def _check(
    columns: Sequence[str], wanted: Sequence[str], header: str, separator: str, place: str
) -> None:
    lacking = missing(columns, wanted, place)
    if lacking:
        raise DataError(
            f"{lacking}, separated by {_shown(separator)}{_remedy(columns, wanted, header, place)}"
        )
    if twice := repeated(columns, wanted, place):
        raise DataError(twice)


def _remedy(columns: Sequence[str], wanted: Sequence[str], header: str, place: str) -> str:
    """What to do about a header that lacks a column."""
    for other in SEPARATORS:
        if not missing([field.strip() for field in fields(header, other)], wanted, place):
            return f"; with data.separator = '{other}' all are there"
    numbers = sum(re.fullmatch(_MEASURED, column) is not None for column in columns)
    if 2 * numbers > len(columns):
        return (
            "; this is no header: name all columns in the file's order by data.columns, or leave "
            "the file out of data.files"
        )
    if {*wanted} & {*columns}:
        return "; correct the recipe, or first join what the columns of other files say to this one"
    return "; correct the recipe, or leave the file out of data.files"


def _shown(separator: str) -> str:
    return _NAMES.get(separator, f"'{separator}'")
