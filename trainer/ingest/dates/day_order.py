"""Which of day and month stands first in the dates of each file.

A recipe says it for all files, by patterns of their names, or lets every file prove it. A file
proves its order by a row that is a date in this order only, such as 13/04/2025, or by dates that
never go back in this order and do go back in the other one. Nothing is taken as likely.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd

from trainer.errors import DataError
from trainer.ingest.columns import Columns
from trainer.ingest.dates.formats import formats_of
from trainer.ingest.dates.moments import parsed, within_years
from trainer.ingest.dates.words import at_midnight
from trainer.recipe.selection.file_pattern import first_that_fits
from trainer.recipe.time_section import TimeAxis

_LISTED = 5
_WORDS = {True: "day", False: "month"}


class DayOrder:
    """The order in each file, as the recipe says or as the file proves.

    Args:
        given: `data.time.day_first` of the recipe.
    """

    def __init__(self, given: bool | Literal["proved"] | Mapping[str, bool] | None) -> None:  # noqa: FBT001  the value of a key
        self._given = given
        self._proved: dict[str, bool] = {}
        self._said: list[str] = []
        self._counts = {True: 0, False: 0}

    @property
    def is_given(self) -> bool:
        """Whether every file has an order of its own, so that files may differ."""
        return self._given is not None

    @property
    def must_be_proved(self) -> bool:
        """Whether `prove` must read the times of a file before `fitting` is asked."""
        return self._given == "proved"

    def prove(self, name: str, blocks: Iterable[Columns], axis: TimeAxis) -> None:
        """Read the times of a whole file, and remember what they prove.

        Raises:
            DataError: both orders fit the file, or neither does.
        """
        trials: list[_Trial] | None = None
        for columns in blocks:
            columns.join(axis.columns, axis.name)
            if pd.api.types.is_numeric_dtype(columns.frame[axis.name].dtype):
                return  # what is wrong with numbers is said where they are read
            text, _ = at_midnight(columns.text(axis.name))
            if trials is None:
                trials = _trials(text.iloc[0])
            for trial in trials:
                trial.read(text, columns, axis.name)
        if trials:
            self._proved[name] = _proven(name, trials, self._said)

    def fitting(self, forms: Sequence[str], name: str) -> tuple[str, ...]:
        """Those of the formats of a file's first date that have the file's order.

        Formats that name the month, or begin with the year, are left as they are.

        Raises:
            DataError: the recipe says nothing about a file whose dates leave the order open.
        """
        swapped = [form for form in forms if _order(form) is not None]
        if not swapped or not self.is_given:
            return tuple(forms)
        first = self._of(name)
        if first is None:
            raise DataError(
                f"{name}: no pattern of data.time.day_first fits this file; add "
                f'"{name}" = true where the day stands first in its dates, or false for the month'
            )
        self._counts[first] += not self.must_be_proved
        return tuple(form for form in swapped if _order(form) == first)

    def against(self, name: str) -> str | None:
        """What to do about a date that does not have the order of its file; None without one."""
        first = self._of(name) if self.is_given else None
        if first is None:
            return None
        return (
            f"by data.time.day_first the {_WORDS[first]} stands first in the dates of this file; "
            f'correct it, such as day_first = {{ "{name}" = {str(not first).lower()} }}, or set '
            'day_first = "proved", so that every file proves its own order'
        )

    def notes(self) -> tuple[str, ...]:
        """Sentences on the order of the dates in each file."""
        rest = len(self._said) - _LISTED
        more = (f"the order of day and month is proved in {rest} more files",) if rest > 0 else ()
        told = tuple(
            f"dates are read with the {_WORDS[first]} first, as data.time.day_first says, in "
            f"{count} file{'s' if count > 1 else ''}"
            for first, count in self._counts.items()
            if count
        )
        return (*self._said[:_LISTED], *more, *told)

    def _of(self, name: str) -> bool | None:
        if isinstance(self._given, Mapping):
            pattern = first_that_fits(self._given, name)
            return None if pattern is None else self._given[pattern]
        return self._given if isinstance(self._given, bool) else self._proved.get(name)


class _Trial:
    """What speaks against one order of day and month in a file.

    Attributes:
        form: the format that is tried.
        wrong: the place of a row that is no date in this order; None while all rows are.
        back: the place of a row whose date is before that of the row above; None without one.
    """

    def __init__(self, form: str) -> None:
        self.form = form
        self.wrong: str | None = None
        self.back: str | None = None
        self._last: int | None = None

    def read(self, text: "pd.Series[str]", columns: Columns, column: str) -> None:
        """Try the order on a block of rows."""
        moments = within_years(parsed(text, self.form))
        if moments.isna().any():
            self.wrong = self.wrong or columns.place(column, moments.isna().idxmax())
            return
        # Days, so that neither a change of clocks nor rows of one day in disorder count.
        days = moments.dt.tz_localize(None).to_numpy(dtype="datetime64[D]").astype(np.int64)
        back = np.diff(days, prepend=days[0] if self._last is None else self._last) < 0
        if back.any():
            self.back = self.back or columns.place(column, columns.lines[int(back.argmax())])
        self._last = int(days[-1])


def _order(form: str) -> bool | None:
    """Whether the day stands before the month; None for a format that cannot be mistaken."""
    found = re.match(r"%([dm])[^%]%[dm]", form)
    return None if found is None else found[1] == "d"


def _trials(text: str) -> list[_Trial]:
    """A trial for each order that the first date of a file may have; none if it is clear."""
    forms = {
        order: form for form in reversed(formats_of(text)) if (order := _order(form)) in _WORDS
    }
    return [_Trial(forms[True]), _Trial(forms[False])] if len(forms) > 1 else []


def _proven(name: str, trials: Sequence[_Trial], said: list[str]) -> bool:
    """Whether the day stands first; the proof is added to `said`.

    Raises:
        DataError: see `DayOrder.prove`.
    """
    day, month = trials
    if day.wrong and month.wrong:
        raise DataError(
            f"{name}: its dates have neither order: the day cannot stand first in {day.wrong}, nor "
            f"the month in {month.wrong}; export its dates in one order, best ISO 8601"
        )
    for right, other in ((day, month), (month, day)):
        if other.wrong or (other.back and not right.back and not right.wrong):
            word = _WORDS[right is day]
            proof = other.wrong or f"the dates would go back at {other.back} otherwise"
            said.append(f"{name}: dates are read with the {word} first, proved: {proof}")
            return right is day
    raise DataError(
        f"{name}: nothing in its dates proves which of day and month stands first: no day is above "
        f"12, and the dates go back in {'both orders' if day.back else 'neither order'}; say it by "
        f'data.time.day_first = {{ "{name}" = true }} for the day, or false for the month'
    )
