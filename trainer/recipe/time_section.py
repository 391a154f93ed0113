"""How a recipe says where event time comes from: `data.time`."""

import re
from datetime import UTC, datetime
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, model_validator

from models.bundle.manifest import Finite
from models.input.codecs.times import ZoneName
from trainer.recipe.section import Columns, Section, names_of

UNIT_NS = {
    "ns": 1,
    "us": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "min": 60 * 10**9,
    "h": 3600 * 10**9,
    "d": 86_400 * 10**9,
}
"""Nanoseconds in each unit of time a recipe may name."""
# Event times are nanoseconds since 1970 in 64 signed bits, which reach from September 1677 to
# April 2262; these are the first and the last year that fit as a whole.
YEARS = (1678, 2261)
# Some thirty years: longer than any period, gap or age of a plant, and in nanoseconds a ninth of
# what 64 bits hold, so that a sum of a few such times cannot overflow.
MAX_S = 1e9
TimeUnit = Literal["ns", "us", "ms", "s", "min", "h", "d"]

# Year, month, day, hour, minute and second all differ, so that a format which swaps two fails.
_MOMENT = datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC)


def _within_years(moment: datetime) -> datetime:
    if moment.year not in range(YEARS[0], YEARS[1] + 1):
        raise ValueError(f"years from {YEARS[0]} to {YEARS[1]} are allowed")
    return moment


def _dated(form: str) -> str:
    if not re.search(r"%[YyG]", form) or not re.search(r"%[djuw]", form):
        raise ValueError(
            "the format has no year or no day; where these are in another column, or in the "
            "names of the files, column may be a list, such as ['Date', 'Time']"
        )
    try:
        datetime.strptime(_MOMENT.strftime(form), form)  # noqa: DTZ007  only tried, never used
    except (ValueError, re.error) as exc:
        raise ValueError(
            f"no format of strptime: {exc}; '%d.%m.%Y %H:%M:%S' is an example of one"
        ) from exc
    return form


def _one_unit(value: object) -> object:
    """Tell how a number of units such as `15min` is said; what else is wrong pydantic tells."""
    found = re.fullmatch(r"\s*([0-9.]+)\s*([a-z]+)\s*", value) if isinstance(value, str) else None
    if found and found[2] in UNIT_NS:
        raise ValueError(
            f"unit is a single one; rows {found[1]} {found[2]} apart are every = {found[1]} with "
            f"unit = '{found[2]}'"
        )
    return value


DayFirst = Annotated[dict[str, bool], Field(min_length=1, max_length=1000)]


class TimeAxis(Section):
    """Where event time comes from: a column of timestamps, a counter, or the order of the rows.

    Attributes:
        column: the column of timestamps or counts. Of a list of columns, such as date and time,
            the texts are joined by a blank. Without a column, rows are `every` units apart, in
            the order of the files.
        format: format of timestamps in text, as in strptime. Without it the format is found from
            the data, and only if the data allows no other reading.
        zone: time zone of timestamps in text that do not name one.
        unit: unit of a column of numbers, which count from `origin`; None for text.
        origin: the moment that a column of numbers counts from.
        every: number of units from a row to the next, for rows without a column of times; a unit
            has 15 minutes with `every = 15` and `unit = "min"`. None stands for 1.
        day_first: whether the day stands before the month in dates such as 03/04/2025; by the
            name of a file where they differ, the first pattern that fits counts. With `proved`
            every file proves its own order, by a day above 12 or by dates that never go back in
            one order only. None asks where all files together leave it open.
        step_s: seconds between rows of a file that follow each other with the same timestamp;
            None leaves their times equal.
        counter: whether a column of numbers counts something, such as cycles, and tells no time:
            reports then show its counts, and `origin` only serves `replay`. None: it does if there
            is no `origin` and the numbers end before 1990.
    """

    column: str | Columns | None = None
    format: Annotated[str, AfterValidator(_dated)] | None = None
    zone: ZoneName = "UTC"
    unit: Annotated[TimeUnit | None, BeforeValidator(_one_unit)] = None
    origin: Annotated[AwareDatetime, AfterValidator(_within_years)] = datetime(
        1970, 1, 1, tzinfo=UTC
    )

    every: Annotated[Finite, Field(gt=0, le=MAX_S)] | None = None
    day_first: bool | Literal["proved"] | DayFirst | None = None
    step_s: Annotated[Finite, Field(gt=0, le=86_400)] | None = None
    counter: bool | None = None

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if self.column is None and self.step_s is not None:
            raise ValueError(
                "step_s needs column; without it the distance of two rows is unit, or a number of "
                "them by every, such as every = 15 with unit = 'min'"
            )
        if self.column is None and self.unit is None:
            raise ValueError(
                "give column, or unit where the rows are evenly apart, such as unit = 'min' with "
                "every = 15"
            )
        if self.column is not None and self.every is not None:
            raise ValueError(
                "every is the distance of rows that have no column of times; leave it out, or "
                "leave column out"
            )
        if self.unit is not None and self.format is not None:
            raise ValueError("format is for timestamps in text, unit for numbers: give one of them")
        if self.day_first is not None and (self.unit is not None or self.format is not None):
            raise ValueError(
                "day_first is for dates in text whose format is found; leave out "
                f"{'unit' if self.unit is not None else 'format'}, or day_first"
            )
        if self.counter is not None and (self.column is None or self.unit is None):
            raise ValueError("counter is about a column of numbers: give column and unit")
        if self.unit is not None and len(self.columns) > 1:
            raise ValueError("unit is for one column of numbers, column names several")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns with the time; empty where the order of the rows is the time."""
        return names_of(self.column)

    @property
    def name(self) -> str:
        """What messages call the time axis: its columns, joined by a blank."""
        return " ".join(self.columns)
