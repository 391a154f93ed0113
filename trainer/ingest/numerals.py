"""Numbers in text: the decimal mark is derived from the data, and never guessed.

`12,5` must have a decimal comma. `1,234` may be 1.234 or 1234: if all numbers with a comma are like
that, the recipe must name the mark. Commas in some numbers and points in others are an error,
because one of the two then separates thousands.
"""

from collections.abc import Callable
from typing import Any

import pandas as pd

from trainer.errors import DataError

Place = Callable[[Any], str]
"""Gives the place of a row, and what was found there, for its label in the block."""

_WITH_COMMA = r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?"
_MAYBE_THOUSANDS = r"[+-]?[1-9]\d{0,2},\d{3}"


class DecimalMark:
    """The decimal mark of all files together.

    Attributes:
        given: the mark that the recipe names; None: it is to be found.
        point: place of the first number with a decimal point; "" while there is none.
        comma: place of the first number with a decimal comma; "" while there is none.
        proven: whether there was a comma that cannot separate thousands.
    """

    def __init__(self, given: str | None) -> None:
        self.given = given
        self.point = ""
        self.comma = ""
        self.proven = False

    def numbers(self, text: "pd.Series[str]", place: Place) -> "pd.Series[float]":
        """Read a block of one column; NaN where there is no number.

        Args:
            text: the column as text, without blanks around it.
            place: gives the place of a row for its label.

        Raises:
            DataError: some numbers have a comma and others a point.
        """
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

    def settle(self) -> str | None:
        """Decide after the last file, and return a note on a decimal comma.

        Raises:
            DataError: the commas may as well separate thousands.
        """
        if self.given is not None or not self.comma:
            return None
        if not self.proven:
            raise DataError(
                f"{self.comma}; every number with a comma could have a decimal comma or "
                "separated thousands: set data.decimal = ',' for the first, for the second export "
                "numbers without separators"
            )
        return f"numbers have a decimal comma: {self.comma}"

    def _refuse_both(
        self, text: "pd.Series[str]", number: "pd.Series[float]", place: Place
    ) -> None:
        """Look for a decimal point, and refuse it if there is a decimal comma too."""
        if not self.point:
            with_point = number.notna() & text.str.contains(".", regex=False)
            self.point = place(with_point.idxmax()) if with_point.any() else ""
        if self.comma and self.point:
            raise DataError(
                f"{self.comma}, but {self.point}; one of the two marks separates thousands: export "
                "numbers without separators, and with one decimal mark"
            )
