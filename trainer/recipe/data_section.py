"""How recorded data is described: its files, where time and asset are in them, and its signals.

These are the sections `[data]` and `[[signals]]` of a recipe. `train`, `drift` and `replay` read
recorded files by the same description, so all of them see the same rows.
"""

import codecs
import os
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal, Self

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
from models.input.codecs.qualities import QualityMap
from models.input.codecs.times import ZoneName
from models.states import state_text
from trainer.recipe.file_template import fields
from trainer.recipe.row_source import RowSource

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


Label = Annotated[str, BeforeValidator(state_text)]


def anchored(pattern: str, info: ValidationInfo) -> str:
    """Fill in `${VARIABLES}`, and make a path or pattern relative to the recipe's folder.

    Raises:
        ValueError: a variable is not set in the environment.
    """
    missing = [name for name in re.findall(r"\$\{(\w+)\}", pattern) if name not in os.environ]
    if missing:
        raise ValueError(
            f"the environment variable {', '.join(missing)} is not set; set it to a folder"
        )
    filled = re.sub(r"\$\{(\w+)\}", lambda match: os.environ[match[1]], pattern)
    folder = (info.context or {}).get("folder", Path())
    return str(Path(folder) / filled)


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


def _template(template: str) -> str:
    fields(template)
    return template


def _encoding(name: str) -> str:
    try:
        return codecs.lookup(name).name
    except LookupError as exc:
        raise ValueError("no such encoding; common ones are utf-8, cp1252 and utf-16") from exc


class Section(BaseModel):
    """A section of a TOML file. It is frozen, and unknown keys in it are an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Columns = Annotated[tuple[str, ...], Field(min_length=1, max_length=10)]


def _columns(named: str | tuple[str, ...] | None) -> tuple[str, ...]:
    """The names of columns as a tuple, whether the recipe gives none, one or a list."""
    return (named,) if isinstance(named, str) else named or ()


class TimeAxis(Section):
    """Where event time comes from: a column of timestamps, a counter, or the order of the rows.

    Attributes:
        column: the column of timestamps or counts. Of a list of columns, such as date and time,
            the texts are joined by a blank. Without a column, rows are one `unit` apart, in the
            order of the files.
        format: format of timestamps in text, as in strptime. Without it the format is found from
            the data, and only if the data allows no other reading.
        zone: time zone of timestamps in text that do not name one.
        unit: unit of a column of numbers, which count from `origin`; None for text.
        origin: the moment that a column of numbers counts from.
        step_s: seconds between rows of a file that follow each other with the same timestamp;
            None leaves their times equal.
    """

    column: str | Columns | None = None
    format: Annotated[str, AfterValidator(_dated)] | None = None
    zone: ZoneName = "UTC"
    unit: TimeUnit | None = None
    origin: Annotated[AwareDatetime, AfterValidator(_within_years)] = datetime(
        1970, 1, 1, tzinfo=UTC
    )

    step_s: Annotated[Finite, Field(gt=0, le=86_400)] | None = None

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if self.column is None and self.step_s is not None:
            raise ValueError("step_s needs column; without it unit is the distance of two rows")
        if self.column is None and self.unit is None:
            raise ValueError("give column, or unit where the rows are evenly apart")
        if self.unit is not None and self.format is not None:
            raise ValueError("format is for timestamps in text, unit for numbers: give one of them")
        if self.unit is not None and len(self.columns) > 1:
            raise ValueError("unit is for one column of numbers, column names several")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns with the time; empty where the order of the rows is the time."""
        return _columns(self.column)

    @property
    def name(self) -> str:
        """What messages call the time axis: its columns, joined by a blank."""
        return " ".join(self.columns)


class Source(RowSource, Section):
    """The recorded files, and how their rows are read.

    Attributes:
        files: patterns of file names, relative to the recipe's folder; `${NAME}` is replaced by
            the environment variable. Without it `sql` is given.
        separator: between the columns of a CSV; `blank` is one or more blanks. None finds it.
        decimal: decimal mark of numbers in text. None finds it, if the data allows no other
            reading.
        thousands: the mark between thousands of numbers in text, such as the point of `1.234,5`.
            None: there is none, and numbers that could have one are asked about.
        encoding: text encoding of a CSV. None is UTF-8, or what the file's byte-order mark says.
        columns: names by position, for a CSV without a header.
        na_values: further texts that mean "no value", beside the empty field, NaN, NA and null.
        time: the time axis; without one every row is a window of its own.
        asset_column: the column that names the asset of a row; several are joined by `-`.
        asset_from: `file` makes every file an asset, named as the file without its suffix;
            together with `asset_column` the asset is `<file>-<asset>`.
        rows: with `samples` every row holds all signals, and an empty cell is a missing value;
            with `messages` a row holds some of them, and an empty cell is a signal that the
            message did not carry. None takes what the metadata of a Parquet file says, or else
            `samples`.
        file_template: pattern for the end of a file's path, such as `{line}/{machine}.csv`; each
            name in braces becomes a column.
    """

    files: Annotated[
        tuple[Annotated[str, AfterValidator(anchored)], ...], Field(min_length=1, max_length=1000)
    ] = ()
    separator: Literal[",", ";", "\t", "|", "blank"] | None = None
    decimal: Literal[".", ","] | None = None
    thousands: Literal[".", ",", "'", " "] | None = None
    encoding: Annotated[str, AfterValidator(_encoding)] | None = None
    columns: Annotated[tuple[str, ...], Field(max_length=4096)] = ()
    na_values: Annotated[tuple[str, ...], Field(max_length=100)] = ()
    time: TimeAxis | None = None
    asset_column: str | Columns | None = None
    asset_from: Literal["file"] | None = None
    rows: Literal["samples", "messages"] | None = None
    file_template: Annotated[str, AfterValidator(_template)] | None = None

    @model_validator(mode="after")
    def _comes_from_one_place(self) -> Self:
        if bool(self.files) == (self.sql is not None):
            raise ValueError("give either files, or sql with url_env for the rows of a database")
        if (self.sql is None) != (self.url_env is None):
            raise ValueError(
                "sql and url_env are given together; url_env is the name of the environment "
                "variable with the URL of the database, such as 'PLANT_DATABASE_URL'"
            )
        of_files = {
            key: getattr(self, key)
            for key in ("asset_from", "file_template", "separator", "encoding", "columns", "sheet")
        }
        if self.sql is not None and (given := [key for key, value in of_files.items() if value]):
            raise ValueError(f"{', '.join(given)} is for files, and sql has none; leave it out")
        return self

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if self.separator is not None and self.separator == self.decimal:
            raise ValueError(f"separator and decimal are both '{self.decimal}'; they must differ")
        if self.long is not None and self.rows is not None:
            raise ValueError("rows says what a row has; a row of a long table has one value")
        if self.thousands is not None and self.thousands in (self.separator, self.decimal):
            raise ValueError(
                f"thousands is '{self.thousands}', as separator or decimal is; they must differ"
            )
        return self

    @property
    def asset_columns(self) -> tuple[str, ...]:
        """Names of the columns that together name the asset; empty without `asset_column`."""
        return _columns(self.asset_column)

    @property
    def names_assets(self) -> bool:
        """Whether the rows name their assets; otherwise all rows are of one asset."""
        return self.asset_column is not None or self.asset_from is not None


class Signal(Section):
    """One input of the model. The order in the recipe is the order of the array axis `channels`.

    Attributes:
        name: the signal's name in the manifest, which gateways bind to a topic.
        column: the column in the files; None where it has the signal's name.
        unit: engineering unit, shown in reports and to the gateway's operator.
        range: lowest and highest valid value, in `unit`. Values outside count as missing, in
            training as on the gateway. None allows any finite value.
        missing: with `impute` the model answers without the signal (quality UNCERTAIN), with
            `require` it does not (quality BAD).
        max_age_s: seconds for which the signal's last reading is used again where a sample has no
            new one; None uses it for one sample only.
        codes: the number for each text of a signal of states, such as `{ off = 0, on = 1 }`.
        offset: what is subtracted in double precision before a value becomes a float32, in
            training as on the gateway; for counters whose steps float32 cannot hold.
        quality: the column with the qualities of this signal; None: `data.quality`.
        quality_map: whose qualities these are; None: `data.quality_map`.
    """

    name: Name
    column: str | None = None
    unit: str = ""
    range: tuple[Finite, Finite] | None = None
    missing: Literal["impute", "require"] = "impute"
    max_age_s: Annotated[Finite, Field(ge=0, le=MAX_S)] | None = None
    codes: dict[str, Finite] | None = None
    offset: Finite = 0.0
    quality: str | None = None
    quality_map: QualityMap | None = None

    @model_validator(mode="after")
    def _fits_a_channel(self) -> Self:
        self.channel()
        return self

    @property
    def source(self) -> str:
        """The name of the column in the files that the signal is read from."""
        return self.column or self.name

    def channel(self) -> Channel:
        """The signal as the manifest describes it."""
        return Channel(
            name=self.name,
            unit=self.unit,
            valid_range=self.range,
            missing=self.missing,
            max_age_ms=None if self.max_age_s is None else round(self.max_age_s * 1000),
            codes=self.codes or {},
            offset=self.offset,
        )


def quality_mistakes(source: Source, signals: Sequence[Signal]) -> list[str]:
    """Mistakes in the maps of qualities: those that nothing is read by."""
    if source.quality is not None:
        return []
    found = [
        f"signals: '{signal.name}' has quality_map but no quality; name the column of its qualities"
        for signal in signals
        if signal.quality_map is not None and signal.quality is None
    ]
    if source.quality_map is not None and not any(signal.quality for signal in signals):
        found.append("data.quality_map needs data.quality, the column of the qualities")
    return found
