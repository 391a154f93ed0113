"""What every database gives: the names of the columns, and rows block by block."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

BLOCK_ROWS = 20_000
"""Number of rows that are fetched at a time."""
CONNECT_S = 10
"""Longest time to connect, in seconds."""


@dataclass(frozen=True, slots=True)
class Fetch:
    """The result of a query.

    Attributes:
        columns: names of the columns, in the query's order.
        blocks: the rows, in blocks of `BLOCK_ROWS`, each fetched when it is asked for.
    """

    columns: Sequence[str]
    blocks: Iterator[Sequence[Sequence[object]]]
