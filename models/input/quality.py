"""Quality: how far a value can be trusted, in the three severities of OPC UA."""

from enum import IntEnum
from typing import Final


class Quality(IntEnum):
    """Good, uncertain or bad: severity bits 31-30 of an OPC UA StatusCode (Part 4, 7.39).

    The order is part of the contract: `max` of several qualities is the worst of them.
    """

    GOOD = 0
    UNCERTAIN = 1
    BAD = 2


NAMES: Final = tuple(quality.name for quality in Quality)
"""Name of each quality, by its number. In Python 3.11 `Quality.name` takes five times as long."""
