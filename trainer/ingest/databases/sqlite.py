"""Reads the rows of a query from a file of SQLite, which is opened for reading only."""

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import SplitResult, quote, unquote

from trainer.errors import DataError
from trainer.ingest.databases.fetch import BLOCK_ROWS, CONNECT_S, Fetch

_STEPS = 100_000


@contextmanager
def fetch(url: SplitResult, sql: str, ends_at: float) -> Iterator[Fetch]:
    """Run a query.

    Args:
        url: `sqlite:///relative/path` or `sqlite:////absolute/path`.
        sql: the query.
        ends_at: when the query is given up, seconds of the monotonic clock.

    Raises:
        DataError: there is no such file, it is no database, or the query is refused.
    """
    path = Path(unquote(url.path).removeprefix("/"))
    if url.netloc or not path.name:
        raise DataError("data.url_env: a file of SQLite is named by sqlite:///FILE")
    if not path.is_file():
        raise DataError(f"data.sql: there is no file '{path.absolute()}'; nothing was read")
    try:
        address = f"file:{quote(str(path.absolute()))}?mode=ro"
        with closing(sqlite3.connect(address, uri=True, timeout=CONNECT_S)) as connection:
            connection.set_progress_handler(lambda: time.monotonic() > ends_at, _STEPS)
            cursor = connection.execute(sql)
            if cursor.description is None:
                raise DataError("data.sql: gives no rows; write a query that begins with select")
            yield Fetch([column[0] for column in cursor.description], _blocks(cursor))
    except (sqlite3.Error, sqlite3.Warning) as exc:
        reason = "it takes longer than data.sql_timeout_s" if "interrupted" in str(exc) else exc
        raise DataError(
            f"data.sql: '{path}' cannot be read: {reason}; nothing was written"
        ) from exc


def _blocks(cursor: sqlite3.Cursor) -> Iterator[Sequence[Sequence[object]]]:
    while rows := cursor.fetchmany(BLOCK_ROWS):
        yield rows
