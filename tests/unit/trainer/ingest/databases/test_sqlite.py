"""Rows of a query from a file of SQLite, and what a query may not do."""

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from tests.kit.recordings import recipe, write_recipe
from tests.kit.wording import names
from trainer.__main__ import main
from trainer.errors import DataError, RecipeError
from trainer.ingest.recorded_files import load
from trainer.ingest.recording import Recording

START_NS = 1_740_787_200 * 10**9
ALL = "select time, pressure, flow, state from readings order by time"
COUNTING = (
    "with recursive n(i) as (select 1 union all select i + 1 from n) "
    "select i as time, i as pressure, i as flow from n"
)
URL_ENV = "TEST_PLANT_DATABASE_URL"


@pytest.fixture(autouse=True)
def _plant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(sqlite3.connect(tmp_path / "plant.db")) as connection:
        connection.execute("create table readings (time, pressure, flow, state)")
        rows = [
            ("2025-03-01T00:00:00Z", 4.0, 1.297, "auto"),
            ("2025-03-01T00:00:01Z", 4.5, 784, "auto"),
            ("2025-03-01T00:00:02Z", 5, None, "manual"),
        ]
        connection.executemany("insert into readings values (?, ?, ?, ?)", rows)
        connection.commit()
    monkeypatch.setenv(URL_ENV, f"sqlite:///{tmp_path / 'plant.db'}")


def read(folder: Path, sql: str = ALL, **data: object) -> Recording:
    described = {"files": None, "sql": sql, "url_env": URL_ENV, **data}
    description = recipe(folder, data=described)
    return load(description.data, description.signals)


def refusal(folder: Path, sql: str = ALL, **data: object) -> str:
    with pytest.raises(DataError) as caught:
        read(folder, sql, **data)
    return str(caught.value)


def test_rows_of_a_query_are_read_by_their_types(tmp_path: Path) -> None:
    recording = read(tmp_path, where='state == "auto"')
    assert recording.values.tolist() == [[4.0, 1.297], [4.5, 784.0]]
    assert recording.times_ns.tolist() == [START_NS, START_NS + 10**9]
    assert recording.place(1) == "data.sql line 2"


def test_null_is_a_missing_value(tmp_path: Path) -> None:
    assert np.isnan(read(tmp_path).values).tolist() == [[False] * 2, [False] * 2, [False, True]]


def test_lineage_follows_the_rows_and_the_query(tmp_path: Path) -> None:
    first = dict(read(tmp_path).digests)
    assert first == read(tmp_path).digests
    assert first.keys() == {"data.sql"}
    assert first != read(tmp_path, f"{ALL} limit 2").digests
    with closing(sqlite3.connect(tmp_path / "plant.db")) as connection:
        connection.execute("update readings set flow = 785 where flow = 784")
        connection.commit()
    assert first != read(tmp_path).digests


def test_text_among_numbers_is_told_with_the_row(tmp_path: Path) -> None:
    told = refusal(tmp_path, "select time, state as pressure, flow from readings order by time")
    assert names(told, "data.sql line 1", "column 'pressure'", "found 'auto'")


def test_column_that_the_query_lacks_is_told_with_those_that_it_has(tmp_path: Path) -> None:
    told = refusal(tmp_path, "select time, pressure as presure, flow from readings")
    assert names(told, "data.sql", "no column pressure", "'presure'", "'as'")


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("select absent from readings", "no such column"),
        ("delete from readings", "readonly"),
        ("select 1; delete from readings", "one statement"),
        ("pragma user_version = 3", "readonly"),
    ],
    ids=["unknown column", "deletes", "deletes behind a query", "sets"],
)
def test_what_is_no_query_is_refused_and_changes_nothing(
    sql: str, reason: str, tmp_path: Path
) -> None:
    before = (tmp_path / "plant.db").read_bytes()
    assert reason in refusal(tmp_path, sql)
    assert (tmp_path / "plant.db").read_bytes() == before


def test_more_rows_than_allowed_are_refused_with_the_key(tmp_path: Path) -> None:
    assert names(refusal(tmp_path, sql_rows=2), "more than 2 rows", "data.sql_rows")


def test_query_without_an_end_is_given_up(tmp_path: Path) -> None:
    told = refusal(tmp_path, COUNTING, sql_timeout_s=0.3, time={"column": "time", "unit": "s"})
    assert "data.sql_timeout_s" in told


def test_query_without_a_row_is_told(tmp_path: Path) -> None:
    assert names(refusal(tmp_path, f"{ALL.replace('order', 'where 0 order')}"), "data.sql", "empty")


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        (None, ("is not set", URL_ENV, "sqlite:///plant.db")),
        ("sqlite:////nowhere/plant.db", ("there is no file", "/nowhere/plant.db")),
        ("sqlite:///", ("sqlite:///FILE",)),
        ("mysql://reader:secret@host/plant", ("postgresql://", "sqlite://")),
        ("postgresql://reader:sec/ret@host/plant", ("%2F",)),
    ],
    ids=["not set", "no file", "no name", "another database", "sign in the password"],
)
def test_url_that_cannot_be_used_is_told_without_its_password(
    url: str | None, parts: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if url is None:
        monkeypatch.delenv(URL_ENV)
    else:
        monkeypatch.setenv(URL_ENV, url)
    told = refusal(tmp_path)
    assert names(told, *parts)
    assert "sec" not in told


def test_database_that_is_away_ends_the_training_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(URL_ENV, f"sqlite:///{tmp_path / 'moved.db'}")
    path = write_recipe(tmp_path, data={"files": None, "sql": ALL, "url_env": URL_ENV})
    assert main(["train", str(path), "--out", str(tmp_path / "bundles")]) == 65
    assert names(capsys.readouterr().err, "data.sql", "moved.db")
    assert not (tmp_path / "bundles").exists()


def test_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "plant.db").write_bytes(b"something else" * 100)
    assert names(refusal(tmp_path), "plant.db", "not a database")


@pytest.mark.parametrize(
    "data",
    [
        {"sql": ALL},
        {"url_env": URL_ENV},
        {"files": ["*.csv"], "sql": ALL, "url_env": URL_ENV},
        {"sql": ALL, "url_env": "postgresql://reader:secret@host/plant"},
        {"sql": ALL, "url_env": URL_ENV, "sheet": "Data"},
        {},
    ],
    ids=["no variable", "no query", "files too", "URL in the recipe", "key of files", "nothing"],
)
def test_recipe_that_says_two_things_is_refused(data: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        recipe(tmp_path, data={"files": None, **data})
    assert "data" in str(caught.value)
