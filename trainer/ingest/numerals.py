"""Numbers in text: the decimal mark is derived from the data, and never guessed.

`12,5` must have a decimal comma. `1,234` may be 1.234 or 1234: if all numbers with a comma are like
that, the recipe must name the mark. So it is with `1.234`, unless commas separate the columns and
no number beside it is written without a point. Commas in some numbers and points in others are an
error, because one of the two then separates thousands.
"""

import re
from collections.abc import Callable
from typing import Any

import pandas as pd

from trainer.errors import DataError

Place = Callable[[Any], str]
"""Gives the place of a row, and what was found there, for its label in the block."""

_WITH_COMMA = r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?"
_MAYBE_THOUSANDS = r"[+-]?[1-9]\d{0,2}(?:[.,]\d{3})+"
# The signs that programs write for a minus: U+2212, the dash U+2013, and two wide forms.
_MINUS = "[\u2212\u2013\ufe63\uff0d](?=[\\d.,])"


_GROUPING = {".": r"\.", ",": ",", "'": "['\u2019]", " ": "[ \u00a0\u202f]"}


class DecimalMark:
    """The decimal mark of all files together.

    Attributes:
        given: the mark that the recipe names; None: it is to be found.
        thousands: the mark between thousands that the recipe names; None: there is none.
        point: place of the first number with a decimal point; "" while there is none.
        comma: place of the first number with a decimal comma; "" while there is none.
        proven: whether there was a comma that cannot separate thousands.
        separator: what separates the columns of the file that is being read.
    """

    def __init__(self, given: str | None, thousands: str | None = None) -> None:
        self.given = given or {".": ",", ",": "."}.get(thousands or "")
        self.thousands = thousands
        self.point = ""
        self.comma = ""
        self.proven = False
        self.separator = ","
        self._point_proven = False
        self._bare = False
        self._minus = ""

    def numbers(self, text: "pd.Series[str]", place: Place) -> "pd.Series[float]":
        """Read a block of one column; NaN where there is no number.

        Args:
            text: the column as text, without blanks around it.
            place: gives the place of a row for its label.

        Raises:
            DataError: some numbers have a comma and others a point.
        """
        plain = pd.to_numeric(text, errors="coerce").astype("float64")
        text, plain = self._with_minus(text, plain, place)
        if self.thousands is not None:
            text = self._joined(text)
            plain = pd.to_numeric(text, errors="coerce").astype("float64")
        if self.given == ".":
            return plain
        if self.given == ",":
            plain = plain.mask(text.str.contains(".", regex=False))
        odd = text[plain.isna()]
        comma = odd[odd.str.fullmatch(_WITH_COMMA)]
        if len(comma):
            read = pd.to_numeric(comma.str.replace(",", ".", regex=False))
            plain = plain.where(plain.notna(), read.astype("float64"))
            self.comma = self.comma or place(comma.index[0])
            self.proven |= not comma.str.fullmatch(_MAYBE_THOUSANDS).all()
        if self.given is None:
            self._refuse_both(text, plain, place)
        return plain

    def settle(self) -> tuple[str, ...]:
        """Decide after the last file, and return notes on a decimal comma and on minus signs.

        Raises:
            DataError: the commas, or the points, may as well separate thousands.
        """
        notes = (f"a sign that is not '-' is read as minus: {self._minus}",) if self._minus else ()
        if self.given is not None:
            return notes
        if self.comma:
            self._refuse_thousands(self.comma, ",", is_proven=self.proven)
            return (*notes, f"numbers have a decimal comma: {self.comma}")
        if self.point:
            self._refuse_thousands(self.point, ".", is_proven=self._point_proven or not self._bare)
        return notes

    def _refuse_thousands(self, place: str, mark: str, *, is_proven: bool) -> None:
        if is_proven:
            return
        number = re.search(r"found '([^']*)'", place)
        text = number[1] if number else ""
        one, other = text.replace(",", "."), re.sub("[.,]", "", text)
        word = {".": "point", ",": "comma"}[mark]
        raise DataError(
            f"{place}; every number with a {word} has three digits behind it, so this is {one} or "
            f"{other}: set data.decimal = '{mark}' for the first, a decimal {word}, or "
            f"data.thousands = '{mark}' for the second, separated thousands"
        )

    def _with_minus(
        self, text: "pd.Series[str]", plain: "pd.Series[float]", place: Place
    ) -> tuple["pd.Series[str]", "pd.Series[float]"]:
        """Read the minus signs of typesetting as the sign of numbers."""
        odd = text[plain.isna()]
        signed = odd[odd.str.match(_MINUS)]
        if not len(signed):
            return text, plain
        self._minus = self._minus or place(signed.index[0])
        text = text.where(~text.index.isin(signed.index), "-" + text.str[1:])
        return text, pd.to_numeric(text, errors="coerce").astype("float64")

    def _joined(self, text: "pd.Series[str]") -> "pd.Series[str]":
        """Take the marks between thousands out, where each has three digits behind it."""
        mark = _GROUPING[self.thousands or ""]
        grouped = text.str.fullmatch(rf"[+-]?\d{{1,3}}(?:{mark}\d{{3}})+(?:[.,]\d+)?")
        return text.where(~grouped, text.str.replace(mark, "", regex=True))

    def _refuse_both(
        self, text: "pd.Series[str]", number: "pd.Series[float]", place: Place
    ) -> None:
        """Look for a decimal point, and refuse it if there is a decimal comma too."""
        if not self._point_proven:
            self._look_for_points(text, number, place)
        if self.comma and self.point:
            raise DataError(
                f"{self.comma}, but {self.point}; one of the two marks separates thousands: set "
                "data.thousands to it, or export numbers without separators and with one decimal "
                "mark"
            )

    def _look_for_points(
        self, text: "pd.Series[str]", number: "pd.Series[float]", place: Place
    ) -> None:
        with_point = number.notna() & text.str.contains(".", regex=False)
        if not with_point.any():
            return
        self.point = self.point or place(with_point.idxmax())
        self._point_proven = not text[with_point].str.fullmatch(_MAYBE_THOUSANDS).all()
        # Where commas separate columns a point is decimal, unless numbers of one column lack it.
        self._bare |= self.separator != "," or bool((number.notna() & ~with_point).any())
