"""Signals of states, such as a valve that is open or closed: from the plant's text to a number.

The codes are part of the bundle, so that a gateway reads a state as training has.
"""

import math
import re
from collections.abc import Mapping
from typing import Annotated, Final

import numpy as np
from pydantic import AfterValidator, StringConstraints

from models.errors import DecodeError

Codes = Mapping[str, float]
"""The number of each state of a signal, by the text of the state."""

MAX_TEXT: Final = 64
"""Longest text of a state, in characters."""
_WHOLE: Final = re.compile(r"([+-]?(?:0|[1-9]\d*))\.0+")


def state_text(value: object) -> str:
    """The one spelling of a state or label: `1`, `1.0`, `"1.0"` and ` 1 ` all become `1`.

    `01` stays `01`. A column of whole numbers with a gap is read as floats, so the same state would
    otherwise be `1` in one file and `1.0` in another.
    """
    text = str(value).strip()
    whole = _WHOLE.fullmatch(text)
    return whole[1] if whole else text


StateText = Annotated[str, AfterValidator(state_text), StringConstraints(max_length=MAX_TEXT)]
"""Text of a state in its one spelling, see `state_text`."""


def plain_codes(codes: Codes) -> frozenset[float | None]:
    """The codes that are read as themselves: none where the text of a state is a number, too.

    Only a state is known by its text then, so that "2" is not taken for the code 2 of another.
    """
    if any(_number(state) is not None for state in codes):
        return frozenset()
    return frozenset(map(float, codes.values()))


class States:
    """Reads the states of one signal, by the codes with which its model was trained.

    A number stands for the state of its text, as `1` for `"1"`. Where no state looks like a number,
    the codes themselves are taken, too. True and false also stand for states that are written with
    capitals, such as `TRUE`.

    Args:
        codes: the number of each state.
    """

    def __init__(self, codes: Codes) -> None:
        self._codes = {state_text(state): float(number) for state, number in codes.items()}
        self._texts = {np.float32(number): state for state, number in self._codes.items()}
        self._plain: frozenset[float | None] = plain_codes(codes)
        self._truth = {
            truth: number
            for truth in (True, False)
            for state, number in self._codes.items()
            if state.casefold() == str(truth).casefold()
        }

    def text(self, number: float) -> str | None:
        """The state with a number, as a float32 holds it; None if there is none."""
        return self._texts.get(np.float32(number))

    def __call__(self, value: object) -> float:
        """The number of a state; NaN for null.

        Raises:
            DecodeError: `unknown_state`, with the text, if there is no such state; `not_a_number`
                for a list or an object.
        """
        if value is None:
            return math.nan
        if type(value) is bool:
            found = self._truth.get(value)
        elif isinstance(value, (str, int, float)):
            found = self._codes.get(state_text(value))
            if found is None and (number := _number(value)) in self._plain:
                found = number
        else:
            raise DecodeError("not_a_number")
        if found is None:
            word = str(value).lower() if type(value) is bool else state_text(value)
            raise DecodeError("unknown_state", word[:MAX_TEXT] or " ")
        return found


def _number(value: str | float) -> float | None:
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None
