"""docs/recipe.md: files of the shapes in its examples are read as the examples say."""

import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.bundle.package import read_bundle
from tests.kit.recordings import recipe, write_csv, write_recipe
from trainer.commands.train import train
from trainer.console import Console
from trainer.dataset.training_rows import training_rows
from trainer.ingest.recorded_files import load
from trainer.ingest.recording import Recording
from trainer.recipe.document import read_recipe

pytestmark = pytest.mark.usefixtures("without_pictures")

GUIDE = (Path(__file__).parents[4] / "docs" / "recipe.md").read_text()
EXAMPLES: dict[str, dict[str, Any]] = {
    found[1]: tomllib.loads(found[2])
    for found in re.finditer(
        r"^```toml\n# (\w+: [\w\- ]+)\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL
    )
}
CLASSES = {"task": "classification", "column": "label"}


def drawn(rows: int, seed: int, *, fault_from: int | None = None) -> np.ndarray:
    values = np.random.default_rng(seed).normal([4.0, 30.0], [0.1, 1.0], (rows, 2)).round(4)
    if fault_from is not None:
        values[fault_from:, seed % 2] *= 1.5
    return values


def blanks(folder: Path, name: str, values: np.ndarray) -> None:
    (folder / name).write_text("".join(f"  {'  '.join(map(str, row))}\n" for row in values))


def files_of_runs(folder: Path) -> None:
    """Runs of 320 rows; in `d01` to `d03` a fault begins after 160 rows. `d00` is transposed."""
    blanks(folder, "d00.dat", drawn(320, 0).T)
    for number in (1, 2, 3):
        for part in ("", "_te"):
            seed = number + 10 * len(part)
            blanks(folder, f"d0{number}{part}.dat", drawn(320, seed, fault_from=160))


def files_called_by_times(folder: Path) -> None:
    for minute in (32, 42, 52):
        blanks(folder, f"2004.02.12.10.{minute}.39", drawn(200, minute))


def logged_runs(folder: Path) -> None:
    lines = [f"{second % 50};4.{second};30" for second in range(150)]
    head = ["logger 7; 3 runs", "seconds;pressure;flow (as of May)", "seconds;pressure;flow"]
    (folder / "log.txt").write_text("\n".join([*head, *lines, ""]))


def read(folder: Path, name: str) -> Recording:
    made = recipe(folder, data={"time": None, **EXAMPLES[name]["data"]})
    return load(made.data, made.signals)


def test_files_of_runs_are_read_with_a_line_for_each_signal_or_each_row(tmp_path: Path) -> None:
    files_of_runs(tmp_path)
    recording = read(tmp_path, "data: one file a run")
    assert recording.assets == ("d00", "d01", "d01_te", "d02", "d02_te", "d03", "d03_te")
    assert recording.period_ms() == 180_000
    assert np.array_equal(recording.values[recording.asset == 0], drawn(320, 0))


def test_name_of_a_file_is_the_time_of_its_rows(tmp_path: Path) -> None:
    files_called_by_times(tmp_path)
    recording = read(tmp_path, "data: names that are times")
    assert (len(recording), recording.period_ms()) == (600, 0.05)
    assert str(recording.times_ns[200].astype("M8[ns]")) == "2004-02-12T10:42:39.000000000"


def test_runs_below_each_other_are_assets(tmp_path: Path) -> None:
    logged_runs(tmp_path)
    recording = read(tmp_path, "data: runs below each other")
    assert recording.assets == ("run-1", "run-2", "run-3")
    assert np.bincount(recording.asset).tolist() == [50, 50, 50]


def test_labels_and_groups_stand_in_other_files(tmp_path: Path) -> None:
    for part, rows in (("train", 60), ("test", 30)):
        blanks(tmp_path, f"x_{part}.txt", drawn(rows, rows))
        blanks(tmp_path, f"y_{part}.dat", np.array([[row % 2] for row in range(rows)]))
        blanks(tmp_path, f"people_{part}.dat", np.array([[9, row // 10] for row in range(rows)]))
    made = recipe(
        tmp_path,
        data={"time": None, **EXAMPLES["data: lines of other files"]["data"]},
        window={"length": 1},
        target={"task": "classification", "column": "activity"},
        split={"method": "group", "column": "person"},
    )
    _, known = training_rows(made)
    assert known.classes == ("0", "1")
    assert known.member is not None
    assert np.unique(known.member).tolist() == ["0", "1", "2", "3", "4", "5"]


def test_whole_sessions_with_a_time_and_an_activity_a_row_need_no_other_file(
    tmp_path: Path,
) -> None:
    """One file a person, without names, with NaN where a sensor is silent, 0 between activities."""
    for person in (1, 2):
        lines = [
            f"{8.38 + row / 100:.2f} {row // 40 % 3} {row if row % 9 == 0 else 'NaN'} {30 + person}"
            for row in range(240)
        ]
        (tmp_path / f"subject10{person}.dat").write_text("\n".join([*lines, ""]))
    made = recipe(
        tmp_path,
        data={
            "files": ["*.dat"],
            "columns": ["seconds", "activity", "pressure", "flow"],
            "asset_from": "file",
            "time": {"column": "seconds", "unit": "s"},
        },
        target={"task": "classification", "column": "activity", "ignore": [0]},
    )
    recording, known = training_rows(made)
    assert (recording.assets, recording.period_ms()) == (("subject101", "subject102"), 10)
    assert (known.classes, int(known.known.sum())) == (("1", "2"), 320)


def stops(folder: Path) -> None:
    write_csv(folder / "a.csv", ["time", "pressure", "flow"], [(i, 4, 30 + i) for i in range(9)])
    write_csv(folder / "stops.txt", ["from", "to", "label"], [(2, 4, "jam"), (6, 7, "empty")])


def one_hot(folder: Path) -> None:
    names = ["time", "pressure", "flow", "no_fault", "leak", "blockage"]
    write_csv(folder / "a.csv", names, [(i, 4, i, *np.eye(3, dtype=int)[i % 3]) for i in range(9)])


@pytest.mark.parametrize(
    ("name", "written", "counts"),
    [
        ("labels: a table of stops", stops, {"normal": 6, "jam": 2, "empty": 1}),
        ("labels: one-hot columns", one_hot, {"no_fault": 3, "leak": 3, "blockage": 3}),
    ],
)
def test_labels_are_those_of_the_example(
    tmp_path: Path, name: str, written: Callable[[Path], None], counts: dict[str, int]
) -> None:
    written(tmp_path)
    data = {"files": ["[ax]*.[ct]*"], "time": {"column": "time", "unit": "s"}}
    recording, known = training_rows(recipe(tmp_path, data=data, target=CLASSES, **EXAMPLES[name]))
    found, rows = np.unique(recording.texts["label"].astype(str), return_counts=True)
    assert dict(zip(found.tolist(), rows.tolist(), strict=True)) == counts
    assert sorted(known.classes) == sorted(counts)


def test_every_example_of_files_and_labels_is_tried_here() -> None:
    source = Path(__file__).read_text()
    assert len(EXAMPLES) == 7
    assert [name for name in EXAMPLES if f'"{name}"' not in source] == []


def test_runs_with_labels_by_row_and_file_become_a_bundle(tmp_path: Path) -> None:
    files_of_runs(tmp_path)
    path = write_recipe(
        tmp_path,
        target=CLASSES,
        split={"method": "predefined", "test_files": ["*_te.dat"]},
        **{
            **EXAMPLES["data: one file a run"],
            **EXAMPLES["labels: one file a run"],
        },
    )
    outcome = train(read_recipe(path), tmp_path / "out", console=Console())
    manifest = read_bundle(outcome.path.read_bytes()).manifest
    assert manifest.outputs[0].classes == ("cooling", "feed", "normal")
    assert manifest.metrics.test_rows > 900
