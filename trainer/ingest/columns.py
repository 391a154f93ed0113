"""The columns of one block of rows, each read as numbers, as texts or as asset names."""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.states import plain_codes, state_text
from trainer.errors import DataError
from trainer.ingest.numerals import DecimalMark

NO_VALUE = frozenset({"", "NaN", "nan", "NAN", "NA", "N/A", "null", "NULL", "None"})
_THOUSANDS = r"[+-]?\d{1,3}(?:([.,' \u00a0\u202f\u2019])\d{3})(?:\1\d{3})*(?:[.,]\d+)?"
_UNGROUP = (
    "thousands are separated; set data.thousands to the mark between them, such as '.', or export "
    "numbers without separators, such as 1234.5"
)
_LIKE_NUMBERS = (
    (r"[+-]?\d+,\d+", ".", "looks like a decimal comma; set data.decimal = ','"),
    (
        r"[+-]?\d+\.\d+",
        ",",
        "data.decimal is ',', this has a point; export all numbers with one decimal mark",
    ),
    (
        _THOUSANDS,
        None,
        _UNGROUP,
    ),
    (
        r"[+-]?\d[\d.,]*\s*[^\d\s]+",
        None,
        "a number is needed, without its unit; the recipe's signals have a unit",
    ),
)
"""Texts that look like numbers but cannot be read as one: their shape, the `data.decimal` for which
the remedy holds (None: for any), and the remedy."""
_MAX_SHOWN = 80
_MAX_STATES = 10


@dataclass(frozen=True, slots=True)
class Texts:
    """A column of texts that repeat: the text of each row is `names[codes]`.

    Attributes:
        codes: index into `names` for each row, int32 `[rows]`.
        names: the different texts, in one spelling each; "" stands for a row without a text.
    """

    codes: NDArray[np.int32]
    names: tuple[str, ...]


def joined(columns: Sequence[Texts]) -> Texts:
    """Join several columns of text into one, with `-` between the texts of a row."""
    if len(columns) == 1:
        return columns[0]
    rows, codes = np.unique(
        np.column_stack([one.codes for one in columns]), axis=0, return_inverse=True
    )
    names = [
        "-".join(one.names[code] for one, code in zip(columns, row, strict=True)) for row in rows
    ]
    return Texts(codes.ravel().astype(np.int32), tuple(names))


class Columns:
    """A block of rows of one file.

    Attributes:
        frame: the rows; their index is the line (CSV) or row (Parquet) in the file, from 1.
        name: the name of the file, for messages.
        marks: what is known so far of the decimal mark in all files.
        absent: the texts that mean "no value".
        listed: those of them that do so in a column of labels too.
        carried: which of the file's columns the message of each row carried; None where the rows
            are samples, or the file does not say.
    """

    def __init__(
        self,
        frame: pd.DataFrame,
        name: str,
        marks: DecimalMark,
        na_values: Collection[str],
        said: Mapping[str, str],
    ) -> None:
        """Add the columns in `said`: values that the file's name gives to all of its rows."""
        same = np.zeros(len(frame), dtype=np.int8)
        further = {
            column: pd.Categorical.from_codes(same, pd.Index([text]))
            for column, text in said.items()
        }
        self.frame = frame.assign(**further)
        self.name = name
        self.marks = marks
        self.listed = {"", *na_values}
        self.absent = NO_VALUE | self.listed
        self.carried: pd.DataFrame | None = None

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.frame)

    @property
    def lines(self) -> NDArray[np.int64]:
        """The line (CSV) or row (Parquet) of each row in its file, from 1, `[rows]`."""
        return self.frame.index.to_numpy(dtype=np.int64)

    def numbers(self, column: str, codes: Mapping[str, float] | None = None) -> NDArray[Any]:
        """Read a column of numbers, or of states that have codes; NaN stands for no value.

        Returns:
            float32 where the file stores no more precision, otherwise float64.

        Raises:
            DataError: a row has something else in the column.
        """
        raw = self.frame[column]
        if pd.api.types.is_numeric_dtype(raw.dtype) and codes is None:
            narrow = isinstance(raw.dtype, np.dtype) and np.can_cast(raw.dtype, np.float32)
            exact = np.float32 if narrow else np.float64
            number: NDArray[Any] = raw.to_numpy(dtype=exact, na_value=np.nan)
        else:
            number = self._read(column, codes)
        unset = [number == value for value in _numbers_in(self.absent)]
        return np.where(np.logical_or.reduce(unset), np.nan, number) if unset else number

    def texts(self, column: str, *, words: bool = False) -> Texts:
        """Read a column of labels; equal labels get one spelling, as `1` for `1.0`.

        With `words`, a word such as `None` is a label like any other, unless the recipe says that
        it means "no value".
        """
        codes, raw = pd.factorize(self.frame[column])
        names = [state_text(value) for value in raw]
        absent = self.absent - (NO_VALUE - self.listed) if words else self.absent
        names = ["" if name in absent else name for name in names]
        # pandas gives a missing value the code -1: the last name here.
        known: NDArray[np.int32] = np.where(codes < 0, len(names), codes).astype(np.int32)
        return Texts(known, (*names, ""))

    def distinct(self, column: str) -> tuple[NDArray[np.intp], list[object]]:
        """The different values of a column as they are stored, and the index of each row into them.

        The index is -1 where there is no value, as null of Parquet.
        """
        codes, raw = pd.factorize(self.frame[column])
        return codes, raw.tolist()

    def keep(self, rows: NDArray[np.bool_]) -> None:
        """Leave out the rows that are not marked."""
        self.frame = self.frame[rows]
        if self.carried is not None:
            self.carried = self.carried[rows]

    def names(self, column: str) -> Texts:
        """Read a column of asset names, none of which may be empty.

        Raises:
            DataError: a row has no asset name.
        """
        texts = self.texts(column)
        nameless = np.array([not name for name in texts.names])[texts.codes]
        if nameless.any():
            raise self.wrong(column, nameless, "every row must name its asset")
        return texts

    def join(self, columns: Sequence[str], name: str) -> None:
        """Add a column that joins the texts of several columns, with a blank between them."""
        if name not in self.frame:
            first, *others = (self.text(column) for column in columns)
            for other in others:
                first = first.str.cat(other, sep=" ")
            self.frame[name] = first.str.strip()

    def text(self, column: str) -> "pd.Series[str]":
        """A column as text without the blanks around it; "" where there is none."""
        return self.frame[column].astype("str").fillna("").str.strip()

    def place(self, column: str, line: Any) -> str:  # noqa: ANN401  a label, as pandas has it
        """Where a field is and what it holds, as error messages say it."""
        return f"{self.name} line {line}, column '{column}': found '{self._found(column, line)}'"

    def wrong(self, column: str, bad: "pd.Series[bool] | NDArray[Any]", remedy: str) -> DataError:
        """Make the error about the rows that are marked in `bad`, at least one."""
        mask = np.asarray(bad, dtype=bool)
        row = int(mask.argmax())
        line = self.frame.index[row]
        more = f" and {int(mask.sum()) - 1} more" if mask.sum() > 1 else ""
        if self._stands_alone(column, row):
            remedy = "nothing else is in that line; take it out if it is no row"
        return DataError(
            f"{self.name} line {line}{more}, column '{column}': "
            f"found '{self._found(column, line)}'; {remedy}"
        )

    def _found(self, column: str, line: Any) -> str:  # noqa: ANN401  as above
        """The text of a field, without characters that would control a terminal."""
        text = str(self.frame[column].loc[line])[:_MAX_SHOWN]
        return "".join(
            sign if sign.isprintable() or sign.isspace() else repr(sign)[1:-1] for sign in text
        )

    def _stands_alone(self, column: str, row: int) -> bool:
        """Whether all other columns of the row are empty, as in a line of comments."""
        others = self.frame.iloc[row].drop(column)
        is_empty = others.isna() | (others == "")
        return len(others) > 1 and bool(self.frame.iloc[row][column]) and bool(is_empty.all())

    def _read(self, column: str, codes: Mapping[str, float] | None) -> NDArray[np.float64]:
        text = self.text(column)
        if codes is None:
            truth = text.str.casefold().map({"true": "1", "false": "0"})
            number = self.marks.numbers(truth.fillna(text), lambda line: self.place(column, line))
        else:
            known = {state_text(code): float(code or 0) for code in plain_codes(codes)}
            known |= {state_text(state): value for state, value in codes.items()}
            if pd.api.types.is_bool_dtype(self.frame[column].dtype):
                known = {state.casefold(): value for state, value in known.items()}
                text = text.str.casefold()
            number = text.map(state_text).map(known).astype("float64")
        bad = number.isna() & ~text.isin(self.absent)
        if bad.any():
            words = list(dict.fromkeys(text[bad]))
            is_all = len(words) <= _MAX_STATES and bool((bad | text.isin(self.absent)).all())
            raise self.wrong(column, bad, _remedy(words, codes, self.marks.given, is_all=is_all))
        return np.asarray(number, dtype=np.float64)


def _numbers_in(texts: Collection[str]) -> list[float]:
    """The numbers among the texts, so that `-9999` also matches the number -9999.0."""
    found = []
    for text in texts:
        try:
            found.append(float(text))
        except ValueError:
            continue
    return [number for number in found if np.isfinite(number)]


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _remedy(
    found: Sequence[str], codes: Mapping[str, float] | None, decimal: str | None, *, is_all: bool
) -> str:
    """What to do about texts that are not numbers; `is_all` if the column has nothing else."""
    if codes is not None:
        return f"known states are {', '.join(codes)}; add it to the signal's codes"
    for shape, mark, remedy in _LIKE_NUMBERS:
        if mark in (None, decimal) and re.fullmatch(shape, found[0]):
            return remedy
    if is_all:
        states = ", ".join(f"{_quoted(word)} = {code}" for code, word in enumerate(found))
        return f"a number is needed; if these are states, give the signal codes = {{ {states} }}"
    shown = ", ".join(map(_quoted, found[:_MAX_STATES]))
    left = len(found) - _MAX_STATES
    more = f" with {left} more such texts" if left > 0 else ""
    return (
        f"a number is needed; if it means 'no value', set data.na_values = [{shown}]{more}, if it "
        "is a state, give the signal codes = { state = number }"
    )
