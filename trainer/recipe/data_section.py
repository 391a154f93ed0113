"""How recorded data is described: which files, what time and asset are in them, which signals.

These are the sections `[data]` and `[[signals]]` of a recipe. Training and `replay` read recorded
files by the same description.
"""

import codecs
import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    model_validator,
)

from models.bundle.manifest import Channel, Finite, Name
from trainer.recipe.file_template import fields

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
YEARS = (1678, 2261)
"""What nanoseconds since 1970 can say in 64 bits, whole years."""
MAX_S = 1e9
"""Thirty years: longer than any period, gap or age that a plant knows."""
TimeUnit = Literal["ns", "us", "ms", "s", "min", "h", "d"]


def label_text(value: object) -> str:
    """One spelling for a label: `1`, `1.0`, `"1.0"` and ` 1 ` are all `1`; `01` is another."""
    text = str(value).strip()
    whole = re.fullmatch(r"([+-]?(?:0|[1-9]\d*))\.0+", text)
    return whole[1] if whole else text


Label = Annotated[str, BeforeValidator(label_text)]


def anchored(pattern: str, info: ValidationInfo) -> str:
    """Fill in `${VARIABLES}` and read the pattern relative to the recipe's folder.

    Raises:
        ValueError: the environment has no such variable.
    """
    missing = [name for name in re.findall(r"\$\{(\w+)\}", pattern) if name not in os.environ]
    if missing:
        raise ValueError(f"the environment has no {', '.join(missing)}; set it to a folder")
    filled = re.sub(r"\$\{(\w+)\}", lambda match: os.environ[match[1]], pattern)
    folder = (info.context or {}).get("folder", Path())
    return str(Path(folder) / filled)


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError) as exc:
        raise ValueError("no such time zone; one is named like 'Europe/Berlin'") from exc
    return name


_MOMENT = datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC)


def _within_years(moment: datetime) -> datetime:
    if moment.year not in range(YEARS[0], YEARS[1] + 1):
        raise ValueError(f"years from {YEARS[0]} to {YEARS[1]} can be told to the nanosecond")
    return moment


def _dated(form: str) -> str:
    if not re.search(r"%[YyG]", form) or not re.search(r"%[djuw]", form):
        raise ValueError(
            "has no year or no day; where these are in another column, or in the files' names, "
            "column may be a list, such as ['Date', 'Time']"
        )
    try:
        datetime.strptime(_MOMENT.strftime(form), form)  # noqa: DTZ007  only tried, never used
    except (ValueError, re.error) as exc:
        raise ValueError(f"is no format of strptime: {exc}; one is '%d.%m.%Y %H:%M:%S'") from exc
    return form


def _template(template: str) -> str:
    fields(template)
    return template


def _encoding(name: str) -> str:
    try:
        return codecs.lookup(name).name
    except LookupError as exc:
        raise ValueError("no such encoding; common ones are utf-8, cp1252 and utf-16") from exc


class Section(BaseModel):
    """A part of the recipe: frozen, and strict about unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Columns = Annotated[tuple[str, ...], Field(min_length=1, max_length=10)]


def _columns(named: str | tuple[str, ...] | None) -> tuple[str, ...]:
    """One column is a list of one."""
    return (named,) if isinstance(named, str) else named or ()


class TimeAxis(Section):
    """Where event time comes from: a column of timestamps, a counter, or the order of the rows.

    Attributes:
        column: the column, or several whose texts are joined by a blank, such as date and time;
            without one the rows are `unit` apart, in the order of the files.
        format: of timestamps in text, as in strptime; without one it is found if the data proves
            it.
        zone: of timestamps in text that name none.
        unit: of a column of numbers, counted from `origin`.
        origin: what the count starts from.
        step_s: what rows of a file that follow each other with one time are apart.
    """

    column: str | Columns | None = None
    format: Annotated[str, AfterValidator(_dated)] | None = None
    zone: Annotated[str, AfterValidator(_zone)] = "UTC"
    unit: TimeUnit | None = None
    origin: Annotated[AwareDatetime, AfterValidator(_within_years)] = datetime(
        1970, 1, 1, tzinfo=UTC
    )

    step_s: Annotated[Finite, Field(gt=0, le=86_400)] | None = None

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if self.column is None and self.step_s is not None:
            raise ValueError("step_s is for rows that column gives one time; unit is given already")
        if self.column is None and self.unit is None:
            raise ValueError("give column, or unit when the rows are evenly apart")
        if self.unit is not None and self.format is not None:
            raise ValueError("format is for timestamps in text, unit for numbers: give one of them")
        if self.unit is not None and len(self.columns) > 1:
            raise ValueError("unit is for one column of numbers, column names several")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns in the files; empty where the order of the rows is all there is."""
        return _columns(self.column)

    @property
    def name(self) -> str:
        """What the column is called in messages; several are one."""
        return " ".join(self.columns)


class Source(Section):
    """The recorded files.

    Attributes:
        files: patterns relative to the recipe; `${NAME}` is taken from the environment.
        separator: of CSV columns; found by itself if not given, `blank` is one or more blanks.
        decimal: mark of numbers in text; found if not given and the data proves it.
        encoding: of a CSV; UTF-8 if not given, or what its byte-order mark says.
        columns: names by position, for a CSV without a header.
        na_values: further texts that mean "no value", beside the empty field, NaN, NA and null.
        time: the time axis; without one every row stands alone.
        asset_column: whose rows they are; several columns are joined by `-`.
        asset_from: `file` makes every file an asset, named as the file without its suffix; with
            `asset_column` every asset of a file is one of its own, named `<file>-<asset>`.
        rows: `samples` have all signals, and an empty cell is a signal without a value; `messages`
            carry some, and an empty cell is a signal that the message did not carry. Without it
            as a Parquet file says of itself, and `samples` where it says nothing.
        file_template: columns that the end of a file's path gives to its rows, in braces.
    """

    files: Annotated[
        tuple[Annotated[str, AfterValidator(anchored)], ...], Field(min_length=1, max_length=1000)
    ]
    separator: Literal[",", ";", "\t", "|", "blank"] | None = None
    decimal: Literal[".", ","] | None = None
    encoding: Annotated[str, AfterValidator(_encoding)] | None = None
    columns: Annotated[tuple[str, ...], Field(max_length=4096)] = ()
    na_values: Annotated[tuple[str, ...], Field(max_length=100)] = ()
    time: TimeAxis | None = None
    asset_column: str | Columns | None = None
    asset_from: Literal["file"] | None = None
    rows: Literal["samples", "messages"] | None = None
    file_template: Annotated[str, AfterValidator(_template)] | None = None

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if self.separator is not None and self.separator == self.decimal:
            raise ValueError(f"separator and decimal are both '{self.decimal}'")
        return self

    @property
    def asset_columns(self) -> tuple[str, ...]:
        """The columns that name the asset."""
        return _columns(self.asset_column)

    @property
    def names_assets(self) -> bool:
        """Whether the data tells one asset from another."""
        return self.asset_column is not None or self.asset_from is not None


class Signal(Section):
    """One input of the model; the order of the recipe is the order of the channels.

    Attributes:
        name: what gateways bind to.
        column: where it is in the files, if not under its name.
        unit: engineering unit.
        range: values outside count as missing, in training as on the gateway.
        missing: `impute` answers without the signal (UNCERTAIN), `require` does not (BAD).
        max_age_s: how long a reading may stand in for a missing one.
        codes: numbers for states in text, such as `{ off = 0, on = 1 }`.
    """

    name: Name
    column: str | None = None
    unit: str = ""
    range: tuple[Finite, Finite] | None = None
    missing: Literal["impute", "require"] = "impute"
    max_age_s: Annotated[Finite, Field(ge=0, le=MAX_S)] | None = None
    codes: dict[str, Finite] | None = None

    @model_validator(mode="after")
    def _fits_a_channel(self) -> Self:
        self.channel()
        return self

    @property
    def source(self) -> str:
        """The column it is read from."""
        return self.column or self.name

    def channel(self) -> Channel:
        """What the manifest says of it."""
        return Channel(
            name=self.name,
            unit=self.unit,
            valid_range=self.range,
            missing=self.missing,
            max_age_ms=None if self.max_age_s is None else round(self.max_age_s * 1000),
        )
