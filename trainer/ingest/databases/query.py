"""Rows of a query, block by block, from the database that an environment variable names.

The query runs in a transaction that only reads. The URL with its password is never in a recipe,
a message, a log or a bundle.
"""

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

import pandas as pd

from trainer.errors import DataError
from trainer.ingest.csv_dialect import missing, repeated
from trainer.ingest.databases import postgresql, sqlite
from trainer.ingest.databases.fetch import Fetch
from trainer.ingest.formats.cells import frame_of
from trainer.recipe.data_section import Source

NAME = "data.sql"
"""What messages and the bundle's lineage call the rows of a query."""
_DATABASES: dict[str, Callable[..., AbstractContextManager[Fetch]]] = {
    "sqlite": sqlite.fetch,
    "postgresql": postgresql.fetch,
    "postgres": postgresql.fetch,
}


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a query may take.

    Attributes:
        rows: the most rows.
        seconds: the longest time from the connection to the last row.
    """

    rows: int
    seconds: float


class Query:
    """The query of a recipe.

    Args:
        source: the recipe's `[data]`, with `sql` and `url_env`.

    Attributes:
        sha256: digest of the query and of all rows that were read so far, as hexadecimal digits.

    Raises:
        DataError: the environment variable is not set, or names no database that can be read.
    """

    def __init__(self, source: Source) -> None:
        self._sql = source.sql or ""
        self._decimal = source.decimal or "."
        self._limits = Limits(source.sql_rows, source.sql_timeout_s)
        self._url = _url(source.url_env or "")
        self._digest = hashlib.sha256(self._sql.encode())

    @property
    def sha256(self) -> str:
        """See the class."""
        return self._digest.hexdigest()

    def blocks(
        self, wanted: Sequence[str], progress: Callable[[str], object]
    ) -> Iterator[pd.DataFrame]:
        """Run the query.

        Args:
            wanted: names of the columns that must be there.
            progress: called with how many rows have come so far.

        Yields:
            The wanted columns, whose index is the number of the row, from 1.

        Raises:
            DataError: the database is away or refuses the query, a column is missing, or there are
                more rows or it takes longer than is allowed.
        """
        ends_at = time.monotonic() + self._limits.seconds
        count = 0
        with _DATABASES[self._url.scheme](self._url, self._sql, ends_at) as fetch:
            columns = fetch.columns
            if mistake := missing(columns, wanted, NAME) or repeated(columns, wanted, NAME):
                raise DataError(f"{mistake}; name it in the query by 'as'")
            chosen = [columns.index(column) for column in wanted]
            for rows in fetch.blocks:
                cells = [[row[position] for position in chosen] for row in rows]
                self._check(count + len(cells), ends_at)
                self._digest.update(repr(cells).encode())
                numbers = range(count + 1, count + len(cells) + 1)
                count += len(cells)
                progress(f"{NAME}, {count} rows")
                yield frame_of(cells, wanted, numbers, self._decimal)

    def _check(self, count: int, ends_at: float) -> None:
        if count > self._limits.rows:
            raise DataError(
                f"{NAME}: gives more than {self._limits.rows} rows; narrow the query, such as by a "
                "span of time, or raise data.sql_rows"
            )
        if time.monotonic() > ends_at:
            raise DataError(
                f"{NAME}: {count} rows have come after {self._limits.seconds:g} seconds, and there "
                "are more; narrow the query, or raise data.sql_timeout_s"
            )


def _url(variable: str) -> SplitResult:
    """The connection URL in an environment variable; no message repeats it.

    Raises:
        DataError: the variable is not set, or is no URL of a database that can be read.
    """
    text = os.environ.get(variable, "")
    if not text:
        raise DataError(
            f"data.url_env: the environment variable {variable} is not set; set it to the URL of "
            "the database, such as postgresql://reader@host:5432/plant or sqlite:///plant.db"
        )
    try:
        url = urlsplit(text)
        url.port  # noqa: B018  it is parsed when it is asked for
    except ValueError as exc:
        raise DataError(
            f"data.url_env: {variable} is no URL; signs such as / @ : # in a user or password are "
            "written as %2F %40 %3A %23"
        ) from exc
    if url.scheme not in _DATABASES:
        known = ", ".join(f"{scheme}://" for scheme in _DATABASES)
        raise DataError(
            f"data.url_env: {variable} does not begin with {known}; other databases: export the "
            "rows as CSV or Parquet"
        )
    return url
