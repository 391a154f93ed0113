"""The trainer's own errors, by what the user has to do about them.

MillhandError
├── UsageError      the command line must be corrected; exit 2
├── RecipeError     the recipe must be corrected; exit 78
├── DataError       the recorded data, or the recipe's description of it, must be corrected; exit 65
│   └── AbsentColumnError   a file lacks columns that the recipe names
├── GraphError      the external graph must be exported in another way; no bundle is written
├── ParityError     the exported graph differs from the model; no bundle is written
├── ComparisonError an earlier bundle cannot be compared with the new model; training goes on
├── WorseThanConstantError   a bundle's own metrics speak against it; it is not published
├── BrokerError     the broker cannot be reached, or refuses something
├── RecordError     nothing was recorded
└── PushError       a gateway did not answer, or refused the bundle

A message says what was found, where, what is allowed, and what to do. One that has several lines
has one line for each mistake.
"""

from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import ClassVar, Final

from models.errors import MillhandError

_LISTED: Final = 20


class UsageError(MillhandError):
    """The command line contradicts itself, the recipe or the data."""

    code: ClassVar[str] = "usage"


class RecipeError(MillhandError):
    """The recipe has mistakes; the message has file, key, what was found and what is allowed."""

    code: ClassVar[str] = "recipe_invalid"


class DataError(MillhandError):
    """The recorded data cannot be used; the message has file, column, row and remedy."""

    code: ClassVar[str] = "data_invalid"


class AbsentColumnError(DataError):
    """A file lacks columns that the recipe names.

    Attributes:
        columns: names of the columns that are not there.
    """

    def __init__(self, message: str, columns: Sequence[str]) -> None:
        super().__init__(message)
        self.columns = tuple(columns)


class GraphError(MillhandError):
    """An external graph cannot be served by any gateway; the message has the remedy."""

    code: ClassVar[str] = "graph_invalid"


class ParityError(MillhandError):
    """A graph differs from its model by more than the tolerance, or exceeds the budget."""

    code: ClassVar[str] = "parity"


class ComparisonError(MillhandError):
    """An earlier bundle and the new model have no metric on the same rows to compare."""

    code: ClassVar[str] = "comparison"


class WorseThanConstantError(MillhandError):
    """The metrics of a bundle say that a constant answer would be better; nobody accepted that."""

    code: ClassVar[str] = "worse_than_constant"


class BrokerError(MillhandError):
    """The broker cannot be reached, refuses the connection or a message, or forbids a topic."""

    code: ClassVar[str] = "broker"


class RecordError(MillhandError):
    """No message arrived that could be recorded."""

    code: ClassVar[str] = "record"


class PushError(MillhandError):
    """At least one gateway does not serve what was pushed."""

    code: ClassVar[str] = "push"


def first_few(names: Sequence[str]) -> str:
    """The first twenty names, and how many more there are, as text for a message."""
    return listed(names, _LISTED)


def listed(names: Sequence[str], most: int, *, like: str = "") -> str:
    """Names as text for a message, at most `most` of them, and how many more there are.

    Args:
        names: the names.
        most: how many are shown.
        like: a name that was looked for: of too many names those that come nearest are shown.
    """
    if len(names) > most and like:
        names = sorted(names, key=lambda name: -SequenceMatcher(None, like, name).ratio())
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
