"""The decimal mark and the mark between thousands, where a draft has to decide for one."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trainer.errors import DataError
from trainer.ingest.numerals import DecimalMark

_GROUPED: Final = r"[+-]?[1-9]\d{0,2}(?:[.,]\d{3})+"
_NUMBER: Final = r"[+\-\u2212]?[\d.,]*\d(?:[eE][+-]?\d+)?"
_WAYS: Final = ((None, None), (".", None), (",", None), (".", ","), (",", "."))
_THOUSAND: Final = 1000


@dataclass(frozen=True, slots=True)
class Marks:
    """How numbers are written.

    Attributes:
        decimal: the decimal mark; None: no number has one.
        thousands: the mark between thousands; None: there is none.
        separator: what separates the columns.
        doubt: a sentence for the person where two readings were possible; empty otherwise.
    """

    decimal: str | None
    thousands: str | None
    separator: str
    doubt: str = ""


def as_numbers(text: "pd.Series[Any]", marks: Marks) -> NDArray[np.float64]:
    """Read texts as numbers, `[rows]`; NaN where there is none."""
    mark = DecimalMark(marks.decimal, marks.thousands)
    mark.separator = marks.separator
    with suppress(DataError):
        return np.asarray(mark.numbers(text, str), dtype=np.float64)
    return np.full(len(text), np.nan)


def marks_of(columns: Iterable["pd.Series[Any]"], separator: str) -> Marks:
    """Find how the numbers of all columns are written; where two readings fit, the likelier.

    Args:
        columns: texts of each column.
        separator: what separates the columns.
    """
    numeric = [own for text in columns if len(own := _numeric(text))]
    plain = Marks(None, None, separator)
    failed = _mistake(numeric, plain)
    read_plain = 0 if failed else _read(numeric, plain)
    if read_plain == sum(map(len, numeric)):
        return Marks(_seen(numeric), None, separator)
    ways = [Marks(decimal, thousands, separator) for decimal, thousands in _WAYS[1:]]
    ways = [one for one in ways if not _mistake(numeric, one)] or ways[:1]
    read = {way: _read(numeric, way) for way in ways}
    best = max(ways, key=lambda way: (read[way], _is_likely(numeric, way)))
    if read_plain >= read[best]:
        return Marks(_seen(numeric), None, separator)
    whole = read[best] == sum(map(len, numeric))
    if whole and all(read[way] < read[best] for way in ways if way != best):
        return best  # such as 1,148.5, which has both marks
    found = failed.split(": set")[0] or "numbers can be read in two ways"
    return replace(best, doubt=f"{found}. What [data] says is a guess")


def _seen(numeric: list["pd.Series[Any]"]) -> str | None:
    """The decimal mark where there is one: the column that proves it may be none of the signals."""
    for mark in ",.":
        if any(text.str.contains(mark, regex=False).any() for text in numeric):
            return mark
    return None


def _numeric(text: "pd.Series[Any]") -> "pd.Series[Any]":
    """The texts that look like numbers, if most of the column does."""
    given = text[text != ""]
    looks = given.str.fullmatch(_NUMBER)
    own: pd.Series[Any] = given[looks]
    return own if len(given) and looks.mean() >= 0.5 else own.iloc[:0]  # noqa: PLR2004  half


def _mistake(columns: list["pd.Series[Any]"], marks: Marks) -> str:
    mark = DecimalMark(marks.decimal, marks.thousands)
    mark.separator = marks.separator
    try:
        for text in columns:
            mark.numbers(text, lambda line, of=text: f"found '{of.loc[line]}'")  # type: ignore[misc]  # the default binds the column
        mark.settle()
    except DataError as exc:
        return str(exc)
    return ""


def _read(columns: list["pd.Series[Any]"], marks: Marks) -> int:
    return sum(int(np.isfinite(as_numbers(text, marks)).sum()) for text in columns)


def _is_likely(columns: list["pd.Series[Any]"], marks: Marks) -> bool:
    """Whether a reading has thousands where the numbers without a mark are below a thousand.

    `1.297` beside 784 is 1297; beside nothing but numbers of that form it is 1.297.
    """
    below, above = 0, 0
    for text in columns:
        grouped = text.str.fullmatch(_GROUPED)
        if marks.thousands is not None:
            grouped &= text.str.contains(marks.thousands, regex=False)
        plain = pd.to_numeric(text[~grouped], errors="coerce").abs()
        if grouped.any() and len(plain):
            below += bool((plain < _THOUSAND).all())
            above += not bool((plain < _THOUSAND).all())
    return (marks.thousands is not None) == (below > 0 and not above)
