"""The separator, quotes and header of a CSV file, found in its first lines."""

import csv
import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from trainer.errors import AbsentColumnError, DataError, listed
from trainer.ingest.columns import NO_VALUE
from trainer.recipe.data_section import Source

SEPARATORS = (",", ";", "\t", "|", "blank")
QUOTES = ('"', "'")
_NAMES = {",": "','", ";": "';'", "\t": "a tab", "|": "'|'", "blank": "blanks"}
_MAX_SHOWN = 30
_MAX_WIDTH = 80
_MAX_UNIT_LINES = 3
# Titles may be as long as whoever wrote them liked; a row with a time is never taken for one.
_MAX_TITLE_LINES = 30
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
    if source.columns:
        return _without_header(lines, ways, source, wanted, name)
    skipped = _before_header(lines, ways, wanted, skipped)
    shown = lines[skipped:] or [""]
    separator, quote = max(ways, key=lambda way: _fit(shown, way, wanted))
    header = fields(shown[0], separator, quote)
    columns = tuple(column.strip() for column in header)
    before = source.skip_rows + skipped
    _check(columns, wanted, shown[0], separator, f"{name} line {before + 1}")
    notes = []
    if said:
        notes.append(f"begins with '{lines[0].strip()}': taken as its separator")
    elif skipped:
        notes.append(f"{skipped} lines before the header: left out")
    if quote != QUOTES[0]:
        notes.append(f"quoted by {quote} rather than {QUOTES[0]}")
    notes += _cleaned(header, columns)
    units, more = _units(shown[1:], (separator, quote), columns, source, wanted)
    return Dialect(separator, quote, columns, before + 2 + units, (*notes, *more))


def _without_header(
    lines: Sequence[str],
    ways: Sequence[tuple[str, str]],
    source: Source,
    wanted: Sequence[str],
    name: str,
) -> Dialect:
    """The dialect of a file whose columns the recipe names; titles above its rows are left out.

    Raises:
        DataError: no line has as many columns, or lines above the rows may be rows themselves.
    """
    count = len(source.columns)
    way = max(ways, key=lambda way: _fitting(lines, way, count))
    first, notes = _titles(lines, way, count), []
    if said := _said(lines[0]):
        first = first or 1
        notes.append(f"begins with 'sep={said}': taken as its separator")
    elif first:
        notes.append(f"{first} lines above the first row: left out")
    place = f"{name} line {source.skip_rows + first + 1}"
    rows = lines[first:] or [""]
    _check_count(fields(rows[0], *way), source.columns, way[0], place)
    if lacking := missing(source.columns, wanted, "data.columns"):
        absent = [column for column in wanted if column not in source.columns]
        raise AbsentColumnError(f"{name}: {lacking}; correct the recipe", absent)
    units, more = _units(rows, way, source.columns, source, wanted)
    start = source.skip_rows + first + 1 + units
    return Dialect(*way, source.columns, start, (*notes, *more))


def _titles(lines: Sequence[str], way: tuple[str, str], count: int) -> int:
    """The number of lines down to the last that has not `count` fields; 0 if one may be a row."""
    # The last line may be cut off.
    counts = [len(fields(line, *way)) if line.strip() else count for line in lines[:-1]]
    wrong = [i for i, found in enumerate(counts[:_MAX_TITLE_LINES]) if found != count]
    first = wrong[-1] + 1 if wrong else 0
    above = [fields(line, *way) for line in lines[:first] if line.strip()]
    is_row = any(all(re.fullmatch(_MEASURED, text.strip()) for text in row) for row in above)
    return 0 if is_row or len(fields(lines[first], *way)) != count else first


def _fitting(lines: Sequence[str], way: tuple[str, str], count: int) -> tuple[int, int]:
    """Rank a separator and quotes for lines without a header, which should have `count` columns."""
    found = [len(fields(line, *way)) for line in lines if line.strip()]
    fitting = found.count(count)
    # If no line fits, the error is about the separator that gives most columns.
    return fitting, 0 if fitting else max(found)


def _units(
    lines: Sequence[str],
    way: tuple[str, str],
    columns: Sequence[str],
    source: Source,
    wanted: Sequence[str],
) -> tuple[int, list[str]]:
    """The number of lines above the first row that describe the columns, and a note on them."""
    below = [fields(line, *way) for line in lines]
    units = lines_of_units(below, [columns.index(column) for column in wanted], source)
    if not units:
        return 0, []
    above = "above the first row" if source.columns else "below the header"
    return units, [f"{units} lines {above} have no number where the next has: left out"]


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
    has = listed([one[:_MAX_WIDTH] or "''" for one in columns], _MAX_SHOWN, like=absent[0])
    lacks = listed([one[:_MAX_WIDTH] for one in absent], _MAX_SHOWN)
    return f"{place}: has no column{plural} {lacks}; it has {has}{meant}"


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
    lines: Sequence[str], way: tuple[str, str], wanted: Sequence[str]
) -> tuple[int, bool, int]:
    """Rank a separator and quotes: wanted columns found, whether all lines are equal, columns."""
    header = [field.strip() for field in fields(lines[0], *way)]
    counts = {len(fields(line, *way)) for line in lines if line.strip()}
    even = len(counts) == 1
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
    most = _MAX_TITLE_LINES if source.columns else _MAX_UNIT_LINES
    for count, row in enumerate(rows[: most + 1]):
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
            f"names {len(columns)}; name every column in the file's order, leave the file out of "
            "data.files, or set data.skip_rows to the number of lines above its table"
        )


def _check(
    columns: Sequence[str], wanted: Sequence[str], header: str, separator: str, place: str
) -> None:
    lacking = missing(columns, wanted, place)
    if lacking:
        absent = [column for column in wanted if column not in columns]
        remedy = _remedy(columns, wanted, header, place)
        raise AbsentColumnError(f"{lacking}, separated by {_shown(separator)}{remedy}", absent)
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
            "; this is no header: name all columns in the file's order by data.columns, leave the "
            "file out of data.files, or set data.skip_rows if lines stand above its table"
        )
    if {*wanted} & {*columns}:
        return "; correct the recipe, or first join what the columns of other files say to this one"
    return "; correct the recipe, or leave the file out of data.files"


def _shown(separator: str) -> str:
    return _NAMES.get(separator, f"'{separator}'")
