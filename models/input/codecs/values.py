"""What a payload has for a signal, as the number that the model reads.

    23.5   number        true   1        null    missing
    "23.5" refused, unless `numbers = "lenient"`
    "open" the number that the signal's codes give the text, else an unknown state

A value that is not clearly a number is refused with a reason, because a wrong value does more harm
at a plant than a missing one.
"""

import math
import re
from collections.abc import Callable, Sequence
from typing import Final, Literal, NamedTuple

from models.errors import DecodeError
from models.states import Codes, States

MISSING: Final = math.nan
"""How windows and graphs write a value that is not there."""
Numbers = Literal["strict", "lenient"]
ValueReader = Callable[[object], float]
"""Turns what a payload has for a signal into a number. Raises DecodeError."""

_LENIENT: Final = re.compile(
    r"([+-]?[0-9]+(?:[.,][0-9]+)?(?:[eE][+-]?[0-9]+)?)(?:\s*[^\s0-9.,+-][^0-9,;]{0,15})?"
)
_MAX_TEXT: Final = 64


class Unread(NamedTuple):
    """A signal of a row whose value could not be read, and so is missing.

    Attributes:
        place: index of the signal among those that are bound.
        reason: code of the reason, out of `models.input.reasons`.
        word: the text that is none of the signal's states, cut after 64 characters; empty for other
            reasons.
    """

    place: int
    reason: str
    word: str = ""


def to_number(value: object) -> float:
    """A JSON number as a float: true is 1, false is 0, and null is NaN, a missing value.

    Raises:
        DecodeError: `not_a_number` for text, a list or an object; `not_finite` for NaN, an infinity
            or a number too large for float64. A quoted number is refused: to read it would hide a
            mistake at the source, unless the operator says so by `numbers`.
    """
    if type(value) is float or type(value) is int or type(value) is bool:
        try:
            number = float(value)
        except OverflowError as exc:
            raise DecodeError("not_finite") from exc
        if not math.isfinite(number):
            raise DecodeError("not_finite")
        return number
    if value is None:
        return MISSING
    raise DecodeError("not_a_number")


def to_lenient_number(value: object) -> float:
    """As `to_number`, and a number in quotes too: `"23.5"`, `"23,5"`, `"23.5 degC"`.

    A comma is the decimal mark. A text with several marks, such as `"1,234.5"`, is refused, as it
    may mean two numbers; so is a unit of more than 16 characters.

    Raises:
        DecodeError: see `to_number`.
    """
    if not isinstance(value, str):
        return to_number(value)
    text = value.strip()
    if text.casefold() in ("true", "false"):
        return float(text.casefold() == "true")
    found = _LENIENT.fullmatch(text) if len(text) <= _MAX_TEXT else None
    if found is None:
        raise DecodeError("not_a_number")
    return to_number(float(found[1].replace(",", ".")))


def value_reader(codes: Codes, numbers: Numbers) -> ValueReader:
    """What reads the values of a signal.

    Args:
        codes: the number of each state of the signal; empty for a signal of numbers.
        numbers: whether a number may stand in quotes.
    """
    if codes:
        return States(codes)
    return to_lenient_number if numbers == "lenient" else to_number


def read_single(read: ValueReader, value: object) -> tuple[Sequence[float], Sequence[Unread]]:
    """The value of a message that carries one signal; NaN where its state is not known.

    Raises:
        DecodeError: the value cannot be read for another reason.
    """
    try:
        return (read(value),), ()
    except DecodeError as exc:
        if not exc.word:
            raise
        return (MISSING,), (Unread(0, exc.reason, exc.word),)
