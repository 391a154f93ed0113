"""Long tables, one value a row: which rows become one, and what a missing name gives."""

from pathlib import Path

import numpy as np
import pytest

from tests.kit.recordings import recipe, write_csv, write_parquet
from tests.kit.wording import names
from trainer.dataset.training_rows import training_rows
from trainer.errors import DataError
from trainer.ingest.recorded_files import load
from trainer.ingest.recording import Recording

HEADER = ["time", "tag", "val", "q"]
ZERO, FIVE = "2025-03-01T00:00:00Z", "2025-03-01T00:00:05Z"
ROWS = [
    (ZERO, "pressure", "4.25", 192),
    (ZERO, "flow", "31", 192),
    (FIVE, "pressure", "4.5", 192),
    (FIVE, "flow", "784", 192),
    (FIVE, "other", "text", 192),
]
LONG = {"name": "tag", "value": "val"}


def read(folder: Path, **data: object) -> Recording:
    description = recipe(folder, data={"long": LONG, **data})
    return load(description.data, description.signals)


def refusal(folder: Path, **data: object) -> str:
    with pytest.raises(DataError) as caught:
        read(folder, **data)
    return str(caught.value)


@pytest.mark.parametrize("rows", [ROWS, sorted(ROWS, key=lambda row: row[1])], ids=["time", "tag"])
def test_values_of_one_time_become_one_row(rows: list[tuple[object, ...]], tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", HEADER, rows)
    recording = read(tmp_path)
    assert recording.values.tolist() == [[4.25, 31.0], [4.5, 784.0]]
    assert recording.reported is None
    assert recording.notes == ()


def test_signal_without_a_row_at_a_time_is_not_reported(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", HEADER, [ROWS[0], ROWS[2], ROWS[3]])
    recording = read(tmp_path)
    assert recording.reported is not None
    assert recording.reported.tolist() == [[True, False], [True, True]]
    assert np.isnan(recording.values).tolist() == [[False, True], [False, False]]


def test_bad_value_is_missing_but_reported(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", HEADER, [*ROWS[:3], (FIVE, "flow", "-1", 0)])
    recording = read(tmp_path, quality="q", quality_map="opc_da")
    assert np.isnan(recording.values).tolist() == [[False, False], [False, True]]
    assert recording.reported is None
    assert names(recording.notes[0], "BAD", "flow 1")


def test_assets_are_kept_apart(tmp_path: Path) -> None:
    rows = [(*row, pump) for row in ROWS[:2] for pump in ("p1", "p2")]
    write_csv(tmp_path / "a.csv", [*HEADER, "pump"], rows)
    recording = read(tmp_path, asset_column="pump")
    assert recording.assets == ("p1", "p2")
    assert recording.asset.tolist() == [0, 1]
    assert recording.values.tolist() == [[4.25, 31.0]] * 2


def test_last_of_two_values_of_one_time_counts_and_is_said(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", HEADER, [*ROWS[:2], (ZERO, "flow", "32", 192)])
    recording = read(tmp_path)
    assert recording.values.tolist() == [[4.25, 32.0]]
    assert names(recording.notes[0], "1 values", "last one counts")


def test_target_is_a_name_like_the_signals(tmp_path: Path) -> None:
    rows = [*ROWS, (ZERO, "label", "ok", 192), (FIVE, "label", "worn", 192)]
    write_csv(tmp_path / "a.csv", HEADER, rows)
    recording, _ = training_rows(recipe(tmp_path, data={"long": LONG}))
    assert recording.texts["label"].tolist() == ["ok", "worn"]


def test_numbers_of_parquet_and_a_condition_are_read(tmp_path: Path) -> None:
    columns = {key: [row[i] for row in ROWS[:4]] for i, key in enumerate(HEADER) if key != "val"}
    write_parquet(tmp_path / "a.parquet", **columns, val=[1.5, 2.5, 3.5, 4.5])
    recording = read(tmp_path, files=["*.parquet"], where="val < 4")
    assert recording.values[0].tolist() == [1.5, 2.5]
    assert recording.values[1, 0] == 3.5


def test_name_that_no_row_has_is_told_with_the_nearest(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", HEADER, [(ZERO, "presure", 1, 192), (ZERO, "flow", 1, 192)])
    told = refusal(tmp_path)
    assert names(told, "column 'tag'", "no name pressure", "flow, presure", "'presure'")


def test_text_among_the_values_of_a_signal_is_told_with_its_line(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", HEADER, [*ROWS, (FIVE, "flow", "broken", 192)])
    assert names(refusal(tmp_path), "a.csv line 7", "column 'flow'", "found 'broken'")


def test_column_that_is_not_there_is_told(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", HEADER, ROWS)
    told = refusal(tmp_path, long={"name": "tag", "value": "value"})
    assert names(told, "a.csv line 1", "no column value", "time, tag, val, q")
