"""Rows of a query from a real PostgreSQL server, and what is said when it is away."""

import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.kit.broker.brokers import free_port
from tests.kit.recordings import recipe
from tests.kit.sources.postgresql import PASSWORD, Server, postgresql
from tests.kit.wording import names
from trainer.errors import DataError
from trainer.ingest.databases.fetch import BLOCK_ROWS
from trainer.ingest.recorded_files import load
from trainer.ingest.recording import Recording

URL_ENV = "TEST_PLANT_DATABASE_URL"
START_NS = 1_740_787_200 * 10**9
COUNT = 2 * BLOCK_ROWS + 1
LONG = "select time, tag, val, q from readings order by time, tag"
WIDE = """
select time, max(val) filter (where tag = 'pressure') as pressure,
       max(val) filter (where tag = 'flow') as flow
from readings where q = 192 group by time order by time
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with postgresql() as started:
        with psycopg.connect(started.url()) as connection:
            connection.execute(
                "create table readings (time timestamptz, tag text, val numeric, q smallint)"
            )
            connection.execute(
                "create function wiped() returns setof readings language sql as "
                "'delete from readings returning *'"
            )
            connection.execute(
                "insert into readings select timestamptz '2025-03-01 00:00:00Z' + i * interval "
                "'1 s', tag, i + 0.25, case when i = 1 and tag = 'flow' then 0 else 192 end "
                "from generate_series(0, %s) as i, (values ('pressure'), ('flow')) as t(tag)",
                [COUNT - 1],
            )
        yield started


def read(folder: Path, sql: str, **data: object) -> Recording:
    described = {"files": None, "sql": sql, "url_env": URL_ENV, **data}
    description = recipe(folder, data=described)
    return load(description.data, description.signals)


def refusal(folder: Path, sql: str = WIDE, **data: object) -> str:
    with pytest.raises(DataError) as caught:
        read(folder, sql, **data)
    told = str(caught.value)
    assert PASSWORD not in told
    assert "%40" not in told
    return told


def test_rows_of_a_query_come_in_blocks(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(URL_ENV, server.url())
    description = recipe(tmp_path, data={"files": None, "sql": WIDE, "url_env": URL_ENV})
    progress: list[str] = []
    recording = load(description.data, description.signals, opened=progress.append)
    assert len(recording) == COUNT
    assert recording.values[0].tolist() == [0.25, 0.25]
    assert recording.times_ns[:2].tolist() == [START_NS, START_NS + 10**9]
    assert progress == [
        "data.sql",
        f"data.sql, {BLOCK_ROWS} rows",
        f"data.sql, {2 * BLOCK_ROWS} rows",
        f"data.sql, {COUNT} rows",
    ]


def test_long_table_with_qualities_is_read(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(URL_ENV, server.url())
    keys = {"long": {"name": "tag", "value": "val"}, "quality": "q", "quality_map": "opc_da"}
    recording = read(tmp_path, LONG, **keys)
    assert len(recording) == COUNT
    assert str(recording.values[1].tolist()) == "[1.25, nan]"
    assert names(recording.notes[0], "BAD", "flow 1")


@pytest.mark.parametrize(
    "sql",
    [
        "delete from readings returning time, val as pressure, val as flow",
        "select 1; commit; delete from readings",
        "select time, val as pressure, val as flow from wiped()",
        "select time, pressure from nowhere",
        "selct",
    ],
    ids=["deletes", "deletes behind a commit", "deletes in a function", "unknown table", "no SQL"],
)
def test_what_is_no_query_is_refused_and_changes_nothing(
    sql: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(URL_ENV, server.url())
    told = refusal(tmp_path, sql)
    assert names(told, "data.sql", f"127.0.0.1:{server.port}", "nothing was written")
    with psycopg.connect(server.url()) as connection:
        assert connection.execute("select count(*) from readings").fetchone() == (2 * COUNT,)


def test_query_that_takes_too_long_is_given_up(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(URL_ENV, server.url())
    slow = "select pg_sleep(60), now() as time, 1 as pressure, 2 as flow"
    assert "data.sql_timeout_s" in refusal(tmp_path, slow, sql_timeout_s=0.5)


def test_refused_login_is_told_without_the_password(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(URL_ENV, server.url("another@secret"))
    told = refusal(tmp_path)
    assert names(told, f"127.0.0.1:{server.port}", "authentication failed", "nothing was written")
    assert "another" not in told


def test_server_that_is_away_is_told_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    monkeypatch.setenv(URL_ENV, f"postgresql://reader:secret@127.0.0.1:{port}/plant")
    told = refusal(tmp_path)
    assert names(told, "database 'plant'", f"127.0.0.1:{port}", "cannot be reached", "refused")
    assert "secret" not in told


def test_missing_library_is_told_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(URL_ENV, "postgresql://reader@127.0.0.1/plant")
    monkeypatch.setitem(sys.modules, "psycopg", None)
    assert names(refusal(tmp_path), "[postgresql]", "pip install 'millhand[trainer,postgresql]'")
