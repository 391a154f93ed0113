"""How recorded data is described: its files, where time and asset are in them, and its signals.

These are the sections `[data]` and `[[signals]]` of a recipe. `train`, `drift` and `replay` read
recorded files by the same description, so all of them see the same rows.
"""

import codecs
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationInfo,
    model_validator,
)

from models.bundle.manifest import Channel, Finite, Name
from models.input.codecs.qualities import QualityMap
from models.states import state_text
from trainer.recipe.row_source import RowSource
from trainer.recipe.section import Columns, Section, names_of
from trainer.recipe.selection.file_pattern import first_that_fits
from trainer.recipe.selection.file_template import fields
from trainer.recipe.time_section import MAX_S, TimeAxis

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


def _template(template: str) -> str:
    fields(template)
    return template


def _encoding(name: str) -> str:
    try:
        return codecs.lookup(name).name
    except LookupError as exc:
        raise ValueError("no such encoding; common ones are utf-8, cp1252 and utf-16") from exc


def _tables(value: Any, info: ValidationInfo) -> Any:  # noqa: ANN401  any TOML value
    """Make paths of files beside the data relative to the recipe's folder."""
    if not isinstance(value, dict):
        return value
    return {
        file: anchored(path, info) if isinstance(path, str) else path
        for file, path in value.items()
    }


class Beside(Section):
    """A column that stands in other files, which have a line for each row of a data file.

    Attributes:
        column: the name that the column gets.
        files: by the name of a data file, the path of the file with its lines.
        field: which field of these lines it is, from 1.
    """

    column: str
    files: Annotated[
        dict[str, str], BeforeValidator(_tables), Field(min_length=1, max_length=10_000)
    ]
    field: Annotated[int, Field(ge=1, le=4096)] = 1


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
        skip_rows: number of lines at the beginning of every CSV that are no part of its table.
        transposed: whether each line of a CSV is a column, and its values are the rows: for all
            files, or for those whose names fit a pattern of a list.
        na_values: further texts that mean "no value", beside the empty field, NaN, NA and null.
        time: the time axis; without one every row is a window of its own.
        asset_column: the column that names the asset of a row; several are joined by `-`.
        asset_from: `file` makes every file an asset, named as the file without its suffix;
            together with `asset_column` the asset is `<file>-<asset>`.
        run: with `restart` a new run begins where the time of an asset goes back, and every run is
            an asset of its own, named `<asset>-1`, `<asset>-2` and so on.
        rows: with `samples` every row holds all signals, and an empty cell is a missing value;
            with `messages` a row holds some of them, and an empty cell is a signal that the
            message did not carry. None takes what the metadata of a Parquet file says, or else
            `samples`.
        beside: columns that stand in other files, with a line for each row.
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
    skip_rows: Annotated[int, Field(ge=0, le=100_000)] = 0
    transposed: bool | Annotated[tuple[str, ...], Field(min_length=1, max_length=1000)] = False
    na_values: Annotated[tuple[str, ...], Field(max_length=100)] = ()
    time: TimeAxis | None = None
    asset_column: str | Columns | None = None
    asset_from: Literal["file"] | None = None
    run: Literal["restart"] | None = None
    rows: Literal["samples", "messages"] | None = None
    beside: Annotated[tuple[Beside, ...], Field(max_length=100)] = ()
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
        if self.long is not None and self.rows is not None:
            raise ValueError("rows says what a row has; a row of a long table has one value")
        # Either may be the separator too: spreadsheets put such a number in quotes.
        if self.thousands is not None and self.thousands == self.decimal:
            raise ValueError(f"thousands and decimal are both '{self.decimal}'; they must differ")
        if self.run is not None and (self.time is None or self.time.column is None):
            raise ValueError(
                "run is 'restart', which needs time with a column: without one no time goes back"
            )
        return self

    @property
    def asset_columns(self) -> tuple[str, ...]:
        """Names of the columns that together name the asset; empty without `asset_column`."""
        return names_of(self.asset_column)

    def is_transposed(self, name: str) -> bool:
        """Whether each line of the file of this name is a column."""
        if isinstance(self.transposed, bool):
            return self.transposed
        return first_that_fits(self.transposed, name) is not None

    def of_table(self, columns: tuple[str, ...] = ()) -> "Source":
        """The same for a table beside the data, with a header, or with these columns."""
        own: dict[str, Any] = {"columns": columns, "separator": None}
        own |= {"skip_rows": 0, "transposed": False, "beside": (), "sheet": None, "long": None}
        own |= {"quality": None, "quality_map": None, "where": None}
        return self.model_copy(update=own)

    @property
    def names_assets(self) -> bool:
        """Whether the rows name their assets; otherwise all rows are of one asset."""
        return any((self.asset_column, self.asset_from, self.run))


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
