"""A message shows the name that is needed, however many names there are."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.kit.recordings import document, pump_rows, recipe, recorded, write_csv, write_recipe
from tests.kit.wording import naming
from trainer.dataset.splits import split
from trainer.dataset.targets import truth
from trainer.dataset.training_rows import training_rows
from trainer.errors import DataError, listed
from trainer.recipe.document import read_recipe

MANY = [f"sensor_{number}_{kind}" for number in range(40) for kind in ("left", "right")]


def test_name_that_comes_nearest_is_shown_and_the_others_are_counted() -> None:
    said = listed(MANY, 3, like="sensor_37_rigth")
    assert said.startswith("sensor_37_right")
    assert said.endswith("and 77 more")
    assert listed(["a", "b"], 2, like="b") == "a, b"


def test_missing_column_is_told_with_its_neighbour_among_many(tmp_path: Path) -> None:
    write_csv(tmp_path / "wide.csv", MANY, [["1.0"] * len(MANY) for _ in range(30)])
    path = write_recipe(
        tmp_path,
        data={**document()["data"], "time": None},
        signals=[{"name": "temperature", "column": "sensor_37_rigth"}],
        window={"length": 1},
        target={"task": "anomaly"},
        split={"method": "random", "test": 0.5},
    )
    with pytest.raises(DataError, match=naming("'sensor_37_right'", "it has sensor_37_right,")):
        training_rows(read_recipe(path))


def test_pattern_of_test_files_is_told_with_the_file_that_comes_nearest(tmp_path: Path) -> None:
    for number in range(30):
        short = [row[:3] for row in pump_rows(3, seed=number)]
        write_csv(tmp_path / f"run_{number:02}.csv", ["time", "pressure", "flow"], short)
    path = write_recipe(
        tmp_path,
        data={"asset_from": "file"},
        target={"task": "anomaly"},
        split={"method": "predefined", "test_files": ["run-27.csv"]},
    )
    made = read_recipe(path)
    recording, known = training_rows(made)
    with pytest.raises(DataError, match=naming("run-27.csv", "run_27.csv", "18 more")):
        split(recording, known, made, made.window.spec(recording.period_ms()))


def test_value_of_the_split_is_told_with_the_one_that_comes_nearest(tmp_path: Path) -> None:
    made = recipe(
        tmp_path,
        target={"task": "anomaly"},
        split={"method": "predefined", "column": "batch", "test": ["batch-44"]},
    )
    member = np.array([f"batch {number:02}" for number in range(60)], dtype=object)
    recording = recorded(np.zeros((60, 2)))
    known = truth(recording, made)
    with pytest.raises(DataError, match=naming("'batch-44'", "batch 44", "48 more")):
        split(recording, replace(known, member=member), made, made.window.spec(1000))
