"""Runs that follow each other in a file are told apart where time goes back."""

from pathlib import Path

import pytest

from tests.kit.recordings import pump_rows, recipe, write_csv
from tests.kit.wording import names
from trainer.dataset.training_rows import training_rows
from trainer.errors import RecipeError
from trainer.ingest.recorded_files import load
from trainer.ingest.recording import Recording

COUNTED = {"column": "time", "unit": "s"}


def write(folder: Path, *times: int, name: str = "a.csv", asset: str = "p") -> None:
    lines = [(time, asset, number, ord(name[0])) for number, time in enumerate(times)]
    write_csv(folder / name, ["time", "pump", "pressure", "flow"], lines)


def read(folder: Path, **data: object) -> Recording:
    description = recipe(folder, data={"time": COUNTED, "run": "restart", **data})
    return load(description.data, description.signals)


def runs(recording: Recording) -> dict[str, list[int]]:
    """The times of each run, in seconds."""
    return {
        name: (recording.times_ns[recording.asset == index] // 10**9).tolist()
        for index, name in enumerate(recording.assets)
    }


def test_every_restart_begins_a_run_of_its_own(tmp_path: Path) -> None:
    write(tmp_path, 0, 1, 2, 0, 1, 0, 5)
    recording = read(tmp_path)
    assert runs(recording) == {"run-1": [0, 1, 2], "run-2": [0, 1], "run-3": [0, 5]}
    assert names(recording.notes, "3 runs", "2 to 3 rows", "a.csv line 5")


def test_rows_of_one_time_are_of_one_run(tmp_path: Path) -> None:
    write(tmp_path, 0, 0, 1, 1)
    recording = read(tmp_path)
    assert runs(recording) == {"run-1": [0, 0, 1, 1]}
    assert "never goes back" in "".join(recording.notes)


def test_run_goes_on_in_the_next_file_until_time_goes_back(tmp_path: Path) -> None:
    write(tmp_path, 0, 1, name="1.csv")
    write(tmp_path, 2, 3, name="2.csv")
    write(tmp_path, 0, 1, name="3.csv")
    assert runs(read(tmp_path)) == {"run-1": [0, 1, 2, 3], "run-2": [0, 1]}


def test_runs_are_of_an_asset_where_rows_name_one(tmp_path: Path) -> None:
    write(tmp_path, 0, 1, 0, name="1.csv", asset="a")
    write(tmp_path, 0, 0, 1, name="2.csv", asset="b")
    assert runs(read(tmp_path, asset_column="pump")) == {
        "a-1": [0, 1],
        "a-2": [0],
        "b-1": [0, 0, 1],
    }


def test_restarts_are_groups_of_a_split(tmp_path: Path) -> None:
    lines = [(number % 50, *row[1:]) for number, row in enumerate(pump_rows(200))]
    write_csv(tmp_path / "a.csv", ["time", "pressure", "flow", "label"], lines)
    made = recipe(tmp_path, data={"time": COUNTED, "run": "restart"}, split={"method": "group"})
    recording, _ = training_rows(made)
    assert recording.assets == ("run-1", "run-2", "run-3", "run-4")


def test_column_of_assets_still_groups_their_runs(tmp_path: Path) -> None:
    write(tmp_path, 0, 1, 0, 1, name="1.csv", asset="a")
    split = {"method": "group", "column": "pump"}
    target = {"task": "anomaly"}
    data = {"time": COUNTED, "run": "restart", "asset_column": "pump"}
    _, known = training_rows(recipe(tmp_path, data=data, split=split, target=target))
    assert known.member is not None
    assert known.member.tolist() == ["a"] * 4


@pytest.mark.parametrize("time", [None, {"unit": "s"}], ids=["no time", "rows evenly apart"])
def test_restart_needs_a_column_of_times(tmp_path: Path, time: object) -> None:
    with pytest.raises(RecipeError, match="run is 'restart'"):
        recipe(tmp_path, data={"time": time, "run": "restart"}, window={"length": 1})
