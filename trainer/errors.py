"""The trainer's own errors, by what the caller does about them.

MillhandError
├── UsageError      the command line asks for what cannot be; exit 2
├── RecipeError     the recipe is to be corrected; exit 78
├── DataError       the recorded data is to be corrected; exit 65
├── GraphError      a foreign graph cannot be served; no bundle is written
├── ParityError     the exported graph is not the model; no bundle is written
├── ComparisonError an earlier bundle cannot be held against the new model; training goes on
├── BrokerError     the broker cannot be reached, or refuses
├── RecordError     nothing was recorded
└── PushError       a gateway did not answer, or refused the bundle
"""

from collections.abc import Sequence
from typing import ClassVar, Final

from models.errors import MillhandError

_LISTED: Final = 5


class UsageError(MillhandError):
    """The command line asks for something that does not fit the recipe or the data."""

    code: ClassVar[str] = "usage"


class RecipeError(MillhandError):
    """A mistake in the recipe: file, key, what was found, what is allowed."""

    code: ClassVar[str] = "recipe_invalid"


class DataError(MillhandError):
    """Recorded data that cannot be used: file, column, row, what was found, what to do."""

    code: ClassVar[str] = "data_invalid"


class GraphError(MillhandError):
    """A foreign graph that no gateway could serve: what was found, what is allowed, what to do."""

    code: ClassVar[str] = "graph_invalid"


class ParityError(MillhandError):
    """The graph differs from the estimator beyond the tolerance, or costs more than its budget."""

    code: ClassVar[str] = "parity"


class ComparisonError(MillhandError):
    """An earlier bundle and the new model have no figure on the same rows: what differs."""

    code: ClassVar[str] = "comparison"


class BrokerError(MillhandError):
    """The broker is not there, refuses the connection, or does not allow a topic."""

    code: ClassVar[str] = "broker"


class RecordError(MillhandError):
    """Nothing came that could be recorded."""

    code: ClassVar[str] = "record"


class PushError(MillhandError):
    """At least one gateway does not serve what was pushed."""

    code: ClassVar[str] = "push"


def first_few(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
