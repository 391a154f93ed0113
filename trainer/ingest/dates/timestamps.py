"""Event times of rows; how dates are written is derived from the data, and never guessed.

ISO 8601 is read directly. For any other way to write dates, every format of a short list that fits
the first row is tried on all rows of all files. If one format remains it is used, with a note. If
`03/04/2025` may be March or April in all rows, the recipe must name the format.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trainer.errors import DataError
from trainer.ingest.columns import Columns
from trainer.ingest.dates.counts import counted, of_rows, unlikely
from trainer.ingest.dates.day_order import DayOrder
from trainer.ingest.dates.formats import (
    ISO_LOCAL,
    ISO_ZONED,
    formats_of,
    meant,
    remedy_for,
)
from trainer.ingest.dates.moments import nanoseconds, parsed, within_years
from trainer.ingest.dates.words import at_midnight, remedy_for_word
from trainer.recipe.time_section import UNIT_NS, YEARS, TimeAxis

PLAIN = ""
"""Stands for the format of times that are not text."""
NS_PER_S = 10**9
Times = Mapping[str, NDArray[np.int64]]
"""Event times in nanoseconds since 1970, `[rows]`, by the format that the text was read with."""


class Timestamps:
    """Reads the times of all files together.

    Attributes:
        axis: the recipe's `data.time`; None: rows have no time, only their order.
        rows: number of rows that were read.
        alive: formats that fit all text so far; None before the first row. Where the recipe says
            the order of day and month file by file, they fit the text of the file so far.
        order: the order of day and month in each file.
    """

    def __init__(self, axis: TimeAxis | None) -> None:
        self.axis = axis
        self.rows = 0
        self.alive: tuple[str, ...] | None = None
        self.order = DayOrder(axis.day_first if axis else None)
        self._ordered = ""
        self._first = self._file_of_first = ""
        self._file = ""
        self._midnight = ""
        self._unlikely: str | None = None
        self._runs: dict[str, tuple[int, int]] = {}
        self._against: dict[str, str] = {}
        self._never: dict[str, DataError] = {}

    def read(self, columns: Columns) -> Times:
        """Read the times of a block, by every format that still fits.

        Raises:
            DataError: a row's time cannot be read safely.
        """
        times = self._read(columns)
        if self.axis is None or self.axis.step_s is None:
            return times
        if columns.name != self._file:
            self._file, self._runs = columns.name, {}
        step_ns = self.axis.step_s * NS_PER_S
        return {form: self._spread(form, stamps, step_ns) for form, stamps in times.items()}

    def _spread(self, form: str, stamps: NDArray[np.int64], step_ns: float) -> NDArray[np.int64]:
        """Set rows of the same time a step apart, also across the end of a block."""
        row = np.arange(len(stamps))
        begins = np.diff(stamps, prepend=stamps[0]) != 0
        since = row - np.maximum.accumulate(np.where(begins, row, 0))
        last, count = self._runs.get(form, (0, 0))
        if count and last == stamps[0]:
            since[: int(begins.argmax()) if begins.any() else len(row)] += count
        self._runs[form] = int(stamps[-1]), int(since[-1]) + 1
        spread: NDArray[np.int64] = stamps + np.round(since * step_ns).astype(np.int64)
        return spread

    def _read(self, columns: Columns) -> Times:
        first, self.rows = self.rows, self.rows + len(columns)
        axis = self.axis
        if axis is None or not axis.columns:
            return {PLAIN: of_rows(np.arange(first, self.rows, dtype=np.int64), axis)}
        if axis.unit is not None:
            stamps = counted(columns, axis, UNIT_NS[axis.unit])
            if first == 0:
                self._unlikely = unlikely(columns, axis, stamps)
            return {PLAIN: stamps}
        columns.join(axis.columns, axis.name)
        raw = columns.frame[axis.name]
        if pd.api.types.is_datetime64_any_dtype(raw.dtype):
            moments = within_years(raw)
            if moments.isna().any():
                raise columns.wrong(axis.name, moments.isna(), _needed(axis))
            return {PLAIN: nanoseconds(moments, columns, axis)}
        if pd.api.types.is_numeric_dtype(raw.dtype):
            numeric = np.ones(len(raw), dtype=np.bool_)
            raise columns.wrong(axis.name, numeric, remedy_for(str(raw.iloc[0])))
        return self._read_text(columns, axis)

    def chosen(self, times: Times, place: Callable[[int], str]) -> str:
        """Choose the format after the last file.

        Args:
            times: event times of all rows, by format.
            place: gives file and line of a row, by its number.

        Raises:
            DataError: several formats fit all rows and give different times.
        """
        first, *others = times
        for other in others:
            differs = times[first] != times[other]
            if differs.any():
                row = int(differs.argmax())
                raise DataError(self._undecided((first, other), times, row, place(row)))
        if first in self._never:
            raise self._never[first]
        return first

    def notes(self, chosen: str) -> tuple[str, ...]:
        """Notes on the format that was found in the data, an implausible unit, 24 o'clock."""
        midnight = f"24:00 is taken as 0 h of the next day: {self._midnight}"
        said = (self._note(chosen), midnight if self._midnight else None, *self.order.notes())
        return tuple(note for note in said if note)

    def _note(self, chosen: str) -> str | None:
        if self._unlikely:
            return self._unlikely
        if self.axis is None or self.axis.format or chosen in (PLAIN, ISO_LOCAL, ISO_ZONED):
            return None
        if len(self.alive or ()) > 1:
            return f"times read as '{chosen}', which differs nowhere from other ways to read them"
        order = meant(chosen)
        proofs = (where for form, where in self._against.items() if meant(form) != order)
        return f"times read as '{chosen}', {order}: {next(proofs, self._first)}"

    def _read_text(self, columns: Columns, axis: TimeAxis) -> Times:
        column = axis.name
        text, late = at_midnight(columns.text(column))
        if late.any() and not self._midnight:
            self._midnight = columns.place(column, late.idxmax())
        if self.order.is_given and columns.name != self._ordered:
            self._ordered, self.alive, self._against = columns.name, None, {}
        if self.alive is None:
            start = text.iloc[0]
            self._first, self._file_of_first = columns.place(column, text.index[0]), columns.name
            forms = (axis.format,) if axis.format else formats_of(start)
            if not forms:
                raise columns.wrong(column, text == start, remedy_for(start))
            self.alive = self.order.fitting(forms, columns.name)
        day = pd.to_timedelta(late.astype(np.int64), unit="D")
        moments = {form: within_years(parsed(text, form) + day) for form in self.alive}
        bad = {form: read.isna() for form, read in moments.items() if read.isna().any()}
        if len(bad) == len(moments):
            raise self._none_left(columns, axis, text, bad)
        for form, where in bad.items():
            self._against[form] = columns.place(column, where.idxmax())
        self.alive = tuple(form for form in moments if form not in bad)
        if self.order.is_given:
            return {PLAIN: nanoseconds(moments[self.alive[0]], columns, axis)}
        return {form: self._stamps(moments[form], columns, axis, form) for form in self.alive}

    def _stamps(
        self, moments: "pd.Series[Any]", columns: Columns, axis: TimeAxis, form: str
    ) -> NDArray[np.int64]:
        """Nanoseconds by one format; an ambiguous hour is an error only if the format is chosen."""
        try:
            return nanoseconds(moments, columns, axis)
        except DataError as exc:
            if self.alive == (form,):
                raise
            self._never.setdefault(form, exc)
            return np.zeros(len(moments), dtype=np.int64)

    def _none_left(
        self,
        columns: Columns,
        axis: TimeAxis,
        text: "pd.Series[str]",
        bad: Mapping[str, "pd.Series[bool]"],
    ) -> DataError:
        """Make the error about the row that the last format does not fit."""
        column = axis.name
        last = max(bad.values(), key=lambda where: int(where.to_numpy().argmax()))
        found, here = text.iloc[int(last.to_numpy().argmax())], columns.place(column, last.idxmax())
        if said := remedy_for_word(found):
            return columns.wrong(column, last, said)
        if axis.format:
            return columns.wrong(column, last, _needed(axis, found))
        own = formats_of(found)
        if not own:
            return columns.wrong(column, last, remedy_for(found))
        if said := self.order.against(columns.name):
            return columns.wrong(column, last, said)
        against = {form: columns.place(column, where.idxmax()) for form, where in bad.items()}
        against.update(self._against)
        others = [against[form] for form in own if against.get(form, here) != here]
        if not others and {*own} & {*bad}:
            years = f"from {YEARS[0]} to {YEARS[1]}"
            return columns.wrong(column, last, f"there is no such date in the years {years}")
        if {ISO_LOCAL, ISO_ZONED} == {*own, *bad}:
            remedy = "some name a time zone, some do not; export all with it, or all without"
        else:
            remedy = "dates are written in more than one way; export all in one, best ISO 8601"
            if columns.name != self._file_of_first and meant(own[0]) != meant(own[-1]):
                remedy += (
                    ', or set data.time.day_first = "proved", so that every file proves its own '
                    "order of day and month"
                )
        return columns.wrong(column, last, f"but {[*others, self._first][0]}; {remedy}")

    def _undecided(self, forms: tuple[str, str], times: Times, row: int, place: str) -> str:
        """The error message about two formats that both fit all rows."""
        column = self.axis.column if self.axis else ""
        written = json.dumps(column, ensure_ascii=False)
        name = self.axis.name if self.axis else ""
        zone = self.axis.zone if self.axis else "UTC"
        zoned = "" if zone == "UTC" else f', zone = "{zone}"'
        ways = [
            f"{pd.Timestamp(int(times[form][row]), tz='UTC').tz_convert(zone):%Y-%m-%d %H:%M:%S} "
            f"({meant(form)})"
            for form in forms
        ]
        lines = [f'time = {{ column = {written}, format = "{form}"{zoned} }}' for form in forms]
        return (
            f"{place}, column '{name}': is {ways[0]} or {ways[1]}, and so are all rows, from "
            f"{self._first}; say which by {lines[0]} or {lines[1]} in [data], or let every file "
            'prove it by day_first = "proved"'
        )


def _needed(axis: TimeAxis, found: str = "") -> str:
    if not axis.format:
        return f"every row needs its time; years from {YEARS[0]} to {YEARS[1]} can be read"
    said = f"data.time.format is '{axis.format}'"
    own = formats_of(found)
    if own and axis.format not in own:
        forms = " or ".join(f"'{form}'" for form in own)
        return f"{said}, this is {forms}; correct it, or leave it out"
    return f"{said}; years from {YEARS[0]} to {YEARS[1]} can be read"
