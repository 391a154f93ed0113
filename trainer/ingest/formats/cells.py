"""Typed values to columns, such as the cells of a workbook and the fields of a database.

A column of numbers becomes numbers, one of moments becomes moments. Any other becomes text, in
which each value is spelled so that it is read back as it was.
"""

import re
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pandas as pd

_MAYBE_THOUSANDS = re.compile(r"[+-]?\d{1,3}\.\d{3}")
_NUMBERS = frozenset({int, float, Decimal})
_EXACT = 2**53


def frame_of(
    rows: Sequence[Sequence[object]],
    columns: Sequence[str],
    index: Sequence[int],
    decimal: str = ".",
) -> pd.DataFrame:
    """Put rows into a frame of typed columns.

    Args:
        rows: the values of each row, in the order of the columns; None or "" for no value.
        columns: names of the columns.
        index: the number of each row in its file or query, from 1.
        decimal: the decimal mark that numbers get where a column has texts beside them.
    """
    turned = list(zip(*rows, strict=True)) if rows else [()] * len(columns)
    typed = {name: _column(values, decimal) for name, values in zip(columns, turned, strict=True)}
    return pd.DataFrame(typed).set_axis(list(index), axis=0)


def _column(values: Sequence[object], decimal: str) -> "pd.Series[Any]":
    kinds = {type(value) for value in values if value is not None and value != ""}
    if kinds and kinds <= _NUMBERS:
        return _numbers(values)
    if kinds == {bool}:
        flags = [value if isinstance(value, bool) else None for value in values]
        return pd.Series(flags, dtype="boolean")
    if kinds and kinds <= {datetime, date}:
        moments = [value if isinstance(value, date) else None for value in values]
        is_zoned = {isinstance(one, datetime) and one.tzinfo is not None for one in moments if one}
        if len(is_zoned) == 1:
            return pd.Series(
                pd.to_datetime(pd.Series(moments, dtype="object"), utc=is_zoned == {True})
            )
    if kinds == {timedelta}:
        return pd.Series(
            [value.total_seconds() if isinstance(value, timedelta) else None for value in values],
            dtype="float64",
        )
    return pd.Series([_spelled(value, decimal) for value in values], dtype="str")


def _numbers(values: Sequence[object]) -> "pd.Series[Any]":
    """Numbers as float64; whole ones that float64 cannot hold, such as nanoseconds, stay whole."""
    found = [None if value == "" else value for value in values]
    if all(type(value) is int for value in found) and any(
        isinstance(value, int) and abs(value) > _EXACT for value in found
    ):
        try:
            return pd.Series(found, dtype="int64")
        except OverflowError:
            return pd.Series(found, dtype="float64")
    read = [float(value) if isinstance(value, int | float | Decimal) else None for value in found]
    return pd.Series(read, dtype="float64")


def _spelled(value: object, decimal: str) -> str:
    """A value as text; a number in a way that its point cannot be taken for one of thousands."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float | Decimal):
        whole = isinstance(value, float) and value.is_integer()
        text = str(int(value)) if whole else str(value)
        text += "0" if _MAYBE_THOUSANDS.fullmatch(text) else ""
        return text.replace(".", decimal)
    if isinstance(value, datetime | date):
        return value.isoformat(sep=" ") if isinstance(value, datetime) else value.isoformat()
    return str(value)
