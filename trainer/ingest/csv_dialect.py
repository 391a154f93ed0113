"""The separator, quotes and header of a CSV file, found in its first lines."""

import csv
import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, islice, product
from typing import Final

from trainer.errors import AbsentColumnError, DataError, listed
from trainer.ingest.columns import NO_VALUE
from trainer.recipe.data_section import Source

SEPARATORS = (",", ";", "\t", "|", "blank")
QUOTES = ('"', "'")
WAYS = (*product(SEPARATORS, QUOTES),)
_NAMES = {",": "','", ";": "';'", "\t": "a tab", "|": "'|'", "blank": "blanks"}
_MAX_SHOWN = 30
_MAX_WIDTH = 80
_MAX_UNIT_LINES = 3
# Titles may be as long as whoever wrote them liked; a row with a time is never taken for one.
_MAX_TITLE_LINES = 30
_MEASURED: Final = re.compile(
    r"[+\-\u2212]?(?:\d[\d.,]*|[.,]\d+)(?:[eE][+-]?\d+)?"
    r"|\d+[-/.:]\w+[-/.: ]\d[^,;\t]*(?:,\d+)?(?:Z|[+-]\d\d:?\d\d)?"
)
_DIGITS: Final = re.compile(r"\d+")
_EVEN: Final = 0.8
_MOST_CELLS: Final = 500
Way = tuple[str, str]
"""A separator and the quotes around fields that contain it."""


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
    separator, quote = best_way(shown, ways, lambda rows: len({*wanted} & {*rows[0]}))
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
    ways: Sequence[Way],
    source: Source,
    wanted: Sequence[str],
    name: str,
) -> Dialect:
    """The dialect of a file whose columns the recipe names; titles above its rows are left out.

    Raises:
        DataError: no line has as many columns, or lines above the rows may be rows themselves.
    """
    count = len(source.columns)
    way = best_way(lines, ways, lambda rows: sum(len(row) == count for row in rows))
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


def _titles(lines: Sequence[str], way: Way, count: int) -> int:
    """The number of lines down to the last that has not `count` fields; 0 if one may be a row."""
    # The last line may be cut off.
    counts = [len(fields(line, *way)) if line.strip() else count for line in lines[:-1]]
    wrong = [i for i, found in enumerate(counts[:_MAX_TITLE_LINES]) if found != count]
    first = wrong[-1] + 1 if wrong else 0
    above = [fields(line, *way) for line in lines[:first] if line.strip()]
    is_row = any(all(is_measured(text.strip()) for text in row) for row in above)
    return 0 if is_row or len(fields(lines[first], *way)) != count else first


def _units(
    lines: Sequence[str],
    way: Way,
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


def best_way(
    lines: Sequence[str],
    ways: Sequence[Way] = WAYS,
    known: Callable[[list[list[str]]], int] = lambda _: 0,
) -> Way:
    """The separator and the quotes by which lines are most likely the rows of one table.

    The wrong separator may give as many columns, such as a comma in `2,5;7,25;8,0` or a space in
    `2026-03-01 10:00:00,2.5,OK`; but then no line above them has as many names, and cells such as
    `5;7` are no values.

    Args:
        lines: the first lines of a file.
        ways: those that are possible.
        known: says how much of what is known of the table is in its rows, such as names of columns;
            this decides before their shape.
    """

    def fit(way: Way) -> tuple[int, bool, bool, float, bool, int, bool]:
        rows = table(lines, way)
        return known(rows), *_shape(rows), way[1] == QUOTES[0]

    return max(ways, key=fit)


def _shape(rows: Sequence[Sequence[str]]) -> tuple[bool, bool, float, bool, int]:
    """Whether rows are even, have a header, how many cells are values, and the number of columns.

    The first half of the rows may be a preamble.
    """
    later = rows[len(rows) // 2 :]
    counts = [len(row) for row in later]
    usual = usual_count(rows)
    is_even = counts.count(usual) >= _EVEN * len(counts) and usual > 1
    cells = [*islice(filter(None, chain.from_iterable(later)), _MOST_CELLS)]
    share = sum(map(is_measured, cells)) / max(1, len(cells))
    has_header = is_even and header_of(rows) is not None
    return is_even, has_header, share, len(rows[0]) == usual, usual


def table(lines: Sequence[str], way: Way) -> list[list[str]]:
    """The fields of each line that is not blank, without the blanks around them; at least one."""
    rows = []
    for line in filter(str.strip, lines):
        try:
            rows.append([field.strip() for field in fields(line, *way)])
        except csv.Error:
            rows.append([])
    return rows or [[]]


def usual_count(rows: Sequence[Sequence[str]]) -> int:
    """The number of columns that most rows have, but for those of the first half."""
    counts = [len(row) for row in rows[len(rows) // 2 :]]
    return max(counts, key=counts.count)


def header_of(rows: Sequence[Sequence[str]]) -> Sequence[str] | None:
    """The row with the most names above the first row of values; None without one.

    Spreadsheets fill titles up with separators. A first column without a name numbers the rows.
    """
    usual = usual_count(rows)
    below = next(row for row in rows[len(rows) // 2 :] if len(row) == usual)
    filled, best, most = sum(map(bool, below)), None, 0
    for found in rows:
        if len(found) != usual or "".join(found).startswith("#"):
            continue
        pairs = zip(found, below, strict=True)
        if 2 * sum(is_measured(one) or _alike(one, two) for one, two in pairs) >= filled:
            break
        named = [field for at, field in enumerate(found) if field or (at == 0 and all(found[1:]))]
        if len({*named}) == len(named) > most:
            best, most = found, len(named)
    return best if 2 * most >= filled else None


def _alike(text: str, below: str) -> bool:
    """Whether two texts differ in their digits alone, as `0;30` and `5;31` do."""
    return text != below and _DIGITS.sub("0", text) == _DIGITS.sub("0", below)


def is_measured(text: str) -> bool:
    """Whether a text is a number or a time."""
    return _MEASURED.fullmatch(text) is not None


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
    lines: Sequence[str], ways: Sequence[Way], wanted: Sequence[str], skipped: int
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
        measured = {i for i, text in texts.items() if is_measured(text)}
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
    numbers = sum(is_measured(column) for column in columns)
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
