"""How far a value can be believed, in the three words OPC UA has for it."""

from enum import IntEnum
from typing import Final


class Quality(IntEnum):
    """Good, uncertain, bad: severity bits 31-30 of an OPC UA StatusCode (Part 4, 7.39).

    Ordered so that `max` of several qualities is the worst of them.
    """

    GOOD = 0
    UNCERTAIN = 1
    BAD = 2


NAMES: Final = tuple(quality.name for quality in Quality)
"""By number; for the hot loop: in Python 3.11 a member's own `name` costs five times as much."""
