"""Recorded files, CSV and Parquet, as one `Recording`; the only file that knows pandas.

Nothing is guessed silently. What was cleaned is noted (a byte-order mark, blanks in a header, an
empty file, blank lines, rows out of order); what cannot be read safely is a `DataError` with file,
line and column.
"""

import hashlib
import re
import warnings
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from trainer.description import UNIT_NS, Signal, Source, TimeAxis, label_text
from trainer.dialect import Dialect, missing, sniff
from trainer.errors import DataError
from trainer.recorded import reported
from trainer.recording import Part, Recording, join
from trainer.sources import find, first_lines, not_in

MAX_ROWS = 20_000_000
_NO_VALUE = frozenset({"", "NaN", "nan", "NAN", "NA", "N/A", "null", "NULL", "None"})
_OFFSET = r":.*(?:Z|[+-]\d\d:?\d\d)$"


def load(
    source: Source,
    signals: Sequence[Signal],
    *,
    label: str | None = None,
    numeric_label: bool = False,
    opened: Callable[[str], object] = str,
) -> Recording:
    """Read all files into one recording in time order.

    Args:
        source: where and how.
        signals: which columns, in the order of the channels.
        label: a further column with the truth.
        numeric_label: whether the truth is numbers, or text.
        opened: is told each file's name as it is read.

    Raises:
        DataError: file, line, column, what was found, what to do.
    """
    reader = _Reader(source, tuple(signals), label, numeric_label)
    parts = []
    rows = 0
    for name, path in find(source).items():
        opened(name)
        part = reader.read(path, name)
        if part is not None:
            parts.append(part)
            rows += len(part)
        if rows > MAX_ROWS:
            raise DataError(f"{name}: more than {MAX_ROWS} rows in all; name fewer files")
    if not parts:
        raise DataError(f"{', '.join(reader.digests)}: empty; there is nothing to read")
    recording = join(parts, source, tuple(signal.name for signal in signals))
    notes = (*reader.told(), *recording.notes)
    return replace(recording, digests=reader.digests, notes=notes)


@dataclass
class _Reader:
    """Reads files of one description, and collects what there is to say of them."""

    source: Source
    signals: tuple[Signal, ...]
    label: str | None
    numeric_label: bool
    digests: dict[str, str] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)

    def note(self, text: str, name: str) -> None:
        """Say something of a file; the same of many files is said once."""
        self.notes.setdefault(text, []).append(name)

    def told(self) -> list[str]:
        """The notes as sentences that begin with the files they are about."""
        return [
            f"{names[0]}: {text}"
            if len(names) == 1
            else f"{names[0]} and {len(names) - 1} more files: {text}"
            for text, names in self.notes.items()
        ]

    def read(self, path: Path, name: str) -> Part | None:
        """Read one file; None if it is empty, which is noted."""
        try:
            with path.open("rb") as file:
                self.digests[name] = hashlib.file_digest(file, "sha256").hexdigest()
            frame = (
                self._parquet(path, name) if path.suffix == ".parquet" else self._csv(path, name)
            )
        except (OSError, EOFError, zlib.error, pa.ArrowException) as exc:
            raise DataError(f"{name}: cannot be read: {exc}") from exc
        if frame is None or frame.empty:
            self.note("empty: left out", name)
            return None
        columns = _Columns(frame, self.source, name)
        values = np.column_stack([columns.numbers(s.source, s.codes) for s in self.signals])
        return Part(
            name=name,
            times_ns=columns.times(self.source.time),
            assets=self._assets(columns, path),
            values=values,
            labels=self._labels(columns),
            lines=columns.lines,
            reported=self._reported(path, values),
        )

    def _reported(self, path: Path, values: NDArray[np.float64]) -> NDArray[np.bool_] | None:
        """Which signals each row's message carried; None where rows are samples."""
        if path.suffix == ".parquet":
            return reported(path, [signal.source for signal in self.signals], self.source.rows)
        return ~np.isnan(values) if self.source.rows == "messages" else None

    def _wanted(self) -> list[str]:
        """Every column that must be there, once."""
        time = self.source.time.column if self.source.time else None
        named = [time, self.source.asset_column, *(s.source for s in self.signals), self.label]
        return list(dict.fromkeys(column for column in named if column is not None))

    def _assets(self, columns: "_Columns", path: Path) -> NDArray[Any]:
        name = path.name.split(".")[0] if self.source.asset_from == "file" else "asset"
        if self.source.asset_column is None:
            return np.full(len(columns.lines), name, dtype=object)
        names = columns.names(self.source.asset_column)
        return names if self.source.asset_from is None else f"{name}-" + names

    def _labels(self, columns: "_Columns") -> NDArray[Any] | None:
        if self.label is None:
            return None
        return columns.numbers(self.label) if self.numeric_label else columns.texts(self.label)

    def _csv(self, path: Path, name: str) -> pd.DataFrame | None:
        lines, marked = first_lines(path, self.source.encoding)
        if marked:
            self.note("begins with a byte-order mark: left out", name)
        if not any(line.strip() for line in lines):
            return None
        dialect = sniff(lines, self.source, self._wanted(), name)
        for note in dialect.notes:
            self.note(note, name)
        frame = _parsed(path, self.source, dialect, name)
        first = 1 if self.source.columns else 2
        frame.index = pd.RangeIndex(first, first + len(frame))
        blank = (frame == "").all(axis=1)
        if blank.any():
            self.note(f"{int(blank.sum())} blank lines: left out", name)
        return frame.loc[~blank, self._wanted()]

    def _parquet(self, path: Path, name: str) -> pd.DataFrame:
        stored: list[str] = pq.read_schema(path).names
        columns = {column.strip(): column for column in stored}
        for column, raw in columns.items():
            if column != raw:
                self.note(f"header '{raw}' read as '{column}'", name)
        wanted = self._wanted()
        lacking = missing(list(columns), wanted, name)
        if lacking:
            raise DataError(lacking.replace(" line 1", ""))
        frame = pd.read_parquet(path, columns=[columns[column] for column in wanted])
        frame = frame.set_axis(wanted, axis=1)
        return frame.set_index(pd.RangeIndex(1, 1 + len(frame)))


@dataclass
class _Columns:
    """The columns of one file, each read as what it must be."""

    frame: pd.DataFrame
    source: Source
    name: str

    @property
    def lines(self) -> NDArray[np.int64]:
        """Line (CSV) or row (Parquet) of each row, from 1."""
        return self.frame.index.to_numpy(dtype=np.int64)

    def numbers(self, column: str, codes: dict[str, float] | None = None) -> NDArray[np.float64]:
        """A column of numbers, or of states that have codes; float64, NaN = no value."""
        raw = self.frame[column]
        if pd.api.types.is_numeric_dtype(raw.dtype) and codes is None:
            typed: NDArray[np.float64] = raw.to_numpy(dtype=np.float64, na_value=np.nan)
            return typed
        text = self._text(column)
        if codes is not None:
            known = {label_text(state): number for state, number in codes.items()}
            number = text.map(label_text).map(known).astype("float64")
        else:
            plain = text if self.source.decimal == "." else text.str.replace(",", ".", regex=False)
            number = pd.to_numeric(plain, errors="coerce").astype("float64")
        bad = number.isna() & ~text.isin(_NO_VALUE | set(self.source.na_values))
        if bad.any():
            raise self._wrong(column, bad, _remedy(text[bad].iloc[0], codes))
        return np.asarray(number, dtype=np.float64)

    def texts(self, column: str) -> NDArray[Any]:
        """A column of labels, in one spelling each; "" = none."""
        text = self._text(column)
        known = {raw: label_text(raw) for raw in text.unique()}
        none = _NO_VALUE | set(self.source.na_values)
        return text.map({k: "" if v in none else v for k, v in known.items()}).to_numpy(
            dtype=object
        )

    def names(self, column: str) -> NDArray[Any]:
        """A column of asset names, none of them empty."""
        names = self.texts(column)
        unnamed = pd.Series(names == "", index=self.frame.index)
        if unnamed.any():
            raise self._wrong(column, unnamed, "every row must name its asset")
        return names

    def times(self, axis: TimeAxis | None) -> NDArray[np.int64]:
        """Event times in nanoseconds since 1970; zeros where the order of the rows is the time."""
        if axis is None or axis.column is None:
            return np.zeros(len(self.frame), dtype=np.int64)
        raw = self.frame[axis.column]
        if axis.unit is not None:
            return self._counted(axis, UNIT_NS[axis.unit])
        if pd.api.types.is_datetime64_any_dtype(raw.dtype):
            moments = raw
        elif pd.api.types.is_numeric_dtype(raw.dtype):
            raise DataError(f"{self.name} column '{axis.column}': holds numbers; set time.unit")
        else:
            moments = self._moments(axis)
        bad = moments.isna()
        if bad.any():
            raise self._wrong(axis.column, bad, _time_remedy(axis))
        if moments.dt.tz is None:
            moments = self._localized(moments, axis)
        stamps: NDArray[np.int64] = moments.dt.as_unit("ns").astype("int64").to_numpy()
        return stamps

    def _counted(self, axis: TimeAxis, unit_ns: int) -> NDArray[np.int64]:
        column = str(axis.column)
        count = self.numbers(column)
        bad = pd.Series(~(np.abs(count) < 2**62 / unit_ns), index=self.frame.index)
        if bad.any():
            raise self._wrong(column, bad, f"a number of {axis.unit} since {axis.origin} is needed")
        whole = np.floor(count)
        # In two parts: a double holds seconds since 1970 to a quarter of a microsecond only.
        elapsed = whole.astype(np.int64) * unit_ns + np.round((count - whole) * unit_ns).astype(
            np.int64
        )
        shifted: NDArray[np.int64] = elapsed + pd.Timestamp(axis.origin).as_unit("ns").value
        return shifted

    def _moments(self, axis: TimeAxis) -> "pd.Series[Any]":
        text = self._text(str(axis.column))
        if axis.format is not None:
            utc = "%z" in axis.format
            return pd.to_datetime(text, format=axis.format, errors="coerce", utc=utc)
        offset = text.str.contains(_OFFSET, regex=True)
        if offset.any() and not offset.all():
            mixed = offset if not offset.iloc[0] else ~offset
            raise self._wrong(
                str(axis.column), mixed, "the first row differs: some name a time zone, some do not"
            )
        moments = pd.to_datetime(text, format="ISO8601", errors="coerce", utc=True)
        return moments if offset.all() else moments.dt.tz_localize(None)

    def _localized(self, moments: "pd.Series[Any]", axis: TimeAxis) -> "pd.Series[Any]":
        local: pd.Series[Any] = moments.dt.tz_localize(
            axis.zone, ambiguous="NaT", nonexistent="NaT"
        )
        bad = local.isna()
        if bad.any():
            remedy = f"that hour is twice or never there in {axis.zone}; record in UTC"
            raise self._wrong(str(axis.column), bad, remedy)
        return local

    def _text(self, column: str) -> "pd.Series[Any]":
        return self.frame[column].astype("str").fillna("").str.strip()

    def _wrong(self, column: str, bad: "pd.Series[bool]", remedy: str) -> DataError:
        first = bad.idxmax()
        more = f" and {int(bad.sum()) - 1} more" if bad.sum() > 1 else ""
        found = str(self.frame[column][bad].iloc[0])[:80]
        return DataError(
            f"{self.name} line {first}{more}, column '{column}': found '{found}'; {remedy}"
        )


def _parsed(path: Path, source: Source, dialect: Dialect, name: str) -> pd.DataFrame:
    """Every field as text, so that what is no number can be told with its line."""
    separator = r"\s+" if dialect.separator == "blank" else dialect.separator
    encoding = "utf-8-sig" if source.encoding == "utf-8" else source.encoding
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(
                path,
                sep=separator,
                header=None,
                names=list(dialect.columns),
                skiprows=0 if source.columns else 1,
                index_col=False,
                dtype=str,
                keep_default_na=False,
                skip_blank_lines=False,
                encoding=encoding,
            )
    except pd.errors.EmptyDataError:
        return pd.DataFrame(columns=list(dialect.columns))
    except (pd.errors.ParserError, pd.errors.ParserWarning) as exc:
        reason = str(exc).replace("Error tokenizing data. C error: ", "").strip()
        raise DataError(
            f"{name}: rows do not fit the header of {len(dialect.columns)} columns: {reason}"
        ) from exc
    except UnicodeDecodeError as exc:
        raise DataError(not_in(source.encoding, name, exc)) from exc


def _remedy(found: str, codes: dict[str, float] | None) -> str:
    if codes is not None:
        return f"known states are {', '.join(codes)}; add it to the signal's codes"
    if re.fullmatch(r"[+-]?\d+,\d+", found):
        return "looks like a decimal comma; set data.decimal = ','"
    return (
        "a number is needed; add it to data.na_values if it means 'no value', or give the signal "
        "codes = { state = number }"
    )


def _time_remedy(axis: TimeAxis) -> str:
    if axis.format is not None:
        return f"data.time.format is '{axis.format}'"
    return "not ISO 8601; say how it is written, such as data.time.format = '%d.%m.%Y %H:%M:%S'"
