"""Reads the rows of a query from PostgreSQL or Timescale; no other module looks at psycopg.

A cursor of the server gives them block by block, in a transaction that may only read.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import SplitResult, unquote

from trainer.errors import DataError
from trainer.ingest.databases.fetch import BLOCK_ROWS, CONNECT_S, Fetch
from trainer.ingest.formats.extras import library

_CURSOR = "millhand"
# A query that ends the transaction itself may not write in the next one either.
_SETTINGS = (
    "select set_config('statement_timeout', %s, false), "
    "set_config('default_transaction_read_only', 'on', false)"
)


@contextmanager
def fetch(url: SplitResult, sql: str, ends_at: float) -> Iterator[Fetch]:
    """Run a query.

    Args:
        url: `postgresql://user:password@host:port/database`, as libpq takes it.
        sql: the query.
        ends_at: when the query is given up, seconds of the monotonic clock.

    Raises:
        DataError: the server cannot be reached, or refuses the login or the query.
    """
    psycopg = library("psycopg", "postgresql", "data.sql")
    where = _place(url)
    try:
        with psycopg.connect(
            url.geturl(), connect_timeout=CONNECT_S, application_name="millhand-trainer"
        ) as connection:
            connection.read_only = True
            connection.execute(_SETTINGS, [str(_left_ms(ends_at))])
            with connection.cursor(name=_CURSOR) as cursor:
                cursor.execute(sql)
                columns = [column.name for column in cursor.description or ()]
                yield Fetch(columns, _blocks(cursor))
    except psycopg.Error as exc:
        raise DataError(
            f"data.sql: {where}: {_reason(exc, psycopg, url)}; nothing was written"
        ) from exc


def _blocks(cursor: Any) -> Iterator[Sequence[Sequence[object]]]:  # noqa: ANN401  an optional library
    while rows := cursor.fetchmany(BLOCK_ROWS):
        yield rows


def _left_ms(ends_at: float) -> int:
    return max(1, round((ends_at - time.monotonic()) * 1000))


def _place(url: SplitResult) -> str:
    """Server and database, without the user and the password."""
    host = url.hostname or "the local server"
    port = f":{url.port}" if url.port else ""
    return f"database '{url.path.removeprefix('/')}' on {host}{port}"


def _reason(error: Exception, psycopg: Any, url: SplitResult) -> str:  # noqa: ANN401  as above
    """Why it failed, in one line without the password."""
    text = " ".join(str(error).split())
    for secret in filter(None, (url.password, unquote(url.password or ""))):
        text = text.replace(secret, "...")
    if isinstance(error, psycopg.errors.QueryCanceled):
        return f"the query takes longer than data.sql_timeout_s, or was ended ({text})"
    if isinstance(error, psycopg.OperationalError):
        return f"cannot be reached, or went away: {text}"
    return f"refuses the query: {text}"
