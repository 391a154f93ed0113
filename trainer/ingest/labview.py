"""Measurement files of LabVIEW (`.lvm`): each segment has a header, with its own moment of begin.

The column `X_Value` counts in each segment from that segment's begin. It is read as seconds since
the begin of the first one, so that all segments of a file have one time axis. The form is described
in "LabVIEW Measurement File (.lvm) Format Specification" of National Instruments.
"""

import re
from collections.abc import Sequence
from datetime import datetime

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trainer.errors import DataError

_FIRST = "LabVIEW Measurement"
_X = "X_Value"
_MOMENT = re.compile(r"(\d{4})/(\d\d?)/(\d\d?)\s+(\d\d?):(\d\d):(\d\d)(?:[.,](\d{1,6}))?")


class Segments:
    """Finds the headers of further segments among the rows of one file.

    Attributes:
        notes: a sentence on each further segment.
    """

    def __init__(self, lines: Sequence[str], header: Sequence[str], name: str) -> None:
        self.notes: list[str] = []
        self._header, self._name = list(header), name
        self._is_labview = bool(lines) and lines[0].startswith(_FIRST) and _X in self._header
        self._begin: dict[str, str] = {}
        for line in lines:
            self._note_begin([*re.split(r"[\t,]", line), ""])
        self._first, self._shift_s, self._inside = self._moment(), 0.0, False

    def without_headers(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Leave the headers out of a block, and count `X_Value` from the first segment's begin.

        Raises:
            DataError: a segment does not say when it begins, or has other columns.
        """
        if not self._is_labview:
            return rows
        first = rows[0].fillna("").str.strip()
        marks = first[(first == "Channels") | (first == _X)]
        if not len(marks) and not self._inside and not self._shift_s:
            return rows
        kept = np.ones(len(rows), dtype=np.bool_)
        x, since = self._header.index(_X), 0
        shifts = np.full(len(rows), self._shift_s)
        for line in [*marks.index.tolist(), None]:
            until = len(rows) if line is None else int(rows.index.searchsorted(line))
            if self._inside:
                self._read_header(rows.iloc[since:until])
                kept[since : until + 1] = False
            if line is None:
                break
            self._inside = bool(marks[line] == "Channels")
            if not self._inside:
                self._begin_segment(rows.iloc[until], line)
                shifts[until:] = self._shift_s
            since = until
        return _shifted(rows, x, shifts)[kept & ~first.eq(_X).to_numpy()]

    def _read_header(self, lines: pd.DataFrame) -> None:
        for fields in lines.fillna("").to_numpy().tolist():
            self._note_begin(fields)

    def _note_begin(self, fields: Sequence[str]) -> None:
        if (name := fields[0].strip()) in ("Date", "Time"):
            self._begin[name] = fields[1].strip()

    def _begin_segment(self, header: "pd.Series[str]", line: int) -> None:
        found = [field.strip() for field in header.fillna("")]
        if found != self._header:
            raise DataError(
                f"{self._name} line {line}: a second segment with other columns begins, "
                f"{', '.join(filter(None, found))}; save each segment as a file of its own"
            )
        begin = self._moment()
        if self._first is None or begin is None:
            raise DataError(
                f"{self._name} line {line}: a second segment begins, without a Date and a Time in "
                "its header; save each segment as a file of its own"
            )
        self._shift_s = (begin - self._first).total_seconds()
        self.notes.append(
            f"a second header ends in line {line}: X_Value goes on {self._shift_s:g} s after the "
            "begin of the first segment"
        )

    def _moment(self) -> datetime | None:
        text = f"{self._begin.get('Date', '')} {self._begin.get('Time', '')}"
        found = _MOMENT.match(text)
        if found is None:
            return None
        *whole, fraction = found.groups()
        micros = int((fraction or "0").ljust(6, "0"))
        return datetime(*map(int, whole), micros)  # type: ignore[call-arg,arg-type]  # noqa: DTZ001  only differences are used


def _shifted(rows: pd.DataFrame, column: int, shifts: NDArray[np.float64]) -> pd.DataFrame:
    """Add seconds to the column of a block, where there are numbers in it."""
    if not shifts.any():
        return rows
    number = pd.to_numeric(rows[column].str.replace(",", "."), errors="coerce")
    moved = rows.copy()
    moved[column] = rows[column].where((shifts == 0) | number.isna(), (number + shifts).map(repr))
    return moved
