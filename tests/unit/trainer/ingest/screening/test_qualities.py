"""Qualities in recorded data: what a gateway would call BAD is a missing value, and is counted."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.kit.recordings import recipe, write_csv, write_parquet
from tests.kit.wording import names
from trainer.errors import DataError
from trainer.ingest.recorded_files import load
from trainer.ingest.recording import Recording

SECONDS = [f"2025-03-01T00:00:0{second}Z" for second in range(4)]


def read(folder: Path, *, signals: object = None, **data: object) -> Recording:
    sections: dict[str, Any] = (
        {"data": data} if signals is None else {"data": data, "signals": signals}
    )
    description = recipe(folder, **sections)
    return load(description.data, description.signals)


def refusal(folder: Path, **data: object) -> str:
    with pytest.raises(DataError) as caught:
        read(folder, **data)
    return str(caught.value)


def write_row_qualities(folder: Path, qualities: list[object]) -> None:
    header = ["time", "pressure", "flow", "q"]
    rows = [(time, 4.5, 30.25, q) for time, q in zip(SECONDS, qualities, strict=True)]
    write_csv(folder / "a.csv", header, rows)


def test_bad_values_of_a_row_are_missing_and_counted_by_signal(tmp_path: Path) -> None:
    write_row_qualities(tmp_path, [192, 0, 64, 216])
    recording = read(tmp_path, quality="q", quality_map="opc_da")
    assert np.isnan(recording.values).tolist() == [
        [False] * 2,
        [True] * 2,
        [False] * 2,
        [False] * 2,
    ]
    bad, uncertain = recording.notes
    assert names(bad, "BAD", "pressure 1", "flow 1")
    assert names(uncertain, "UNCERTAIN", "pressure 1", "flow 1")


def test_row_of_bad_values_is_a_report_as_on_the_gateway(tmp_path: Path) -> None:
    write_row_qualities(tmp_path, [192, 0, 192, 192])
    recording = read(tmp_path, quality="q", quality_map="opc_da")
    assert len(recording) == 4
    assert recording.retained is None
    assert recording.rows_per_sample == 1


def test_signal_has_a_column_of_its_own_with_its_own_map(tmp_path: Path) -> None:
    header = ["time", "pressure", "pressure_ok", "flow", "flow_qc"]
    rows = [(SECONDS[0], 4.5, "true", 30.25, 0), (SECONDS[1], 4.5, "false", 30.25, 3)]
    write_csv(tmp_path / "a.csv", header, rows)
    signals = [
        {"name": "pressure", "quality": "pressure_ok"},
        {"name": "flow", "quality": "flow_qc", "quality_map": "siemens_qc"},
    ]
    recording = read(tmp_path, signals=signals, quality_map="boolean")
    assert np.isnan(recording.values).tolist() == [[False, True], [True, False]]


def test_table_of_the_recipe_is_a_map(tmp_path: Path) -> None:
    write_row_qualities(tmp_path, ["run", "Start", "stop", "run"])
    table = {"run": "GOOD", "start": "UNCERTAIN", "stop": "BAD"}
    recording = read(tmp_path, quality="q", quality_map=table)
    assert np.isnan(recording.values[:, 0]).tolist() == [False, False, True, False]


def test_numbers_and_nulls_of_parquet_are_qualities(tmp_path: Path) -> None:
    qualities = [192.0, None, 0.0, 64.0]
    columns = {"time": SECONDS, "pressure": [1.5] * 4, "flow": [2.5] * 4, "q": qualities}
    write_parquet(tmp_path / "a.parquet", **columns)
    recording = read(tmp_path, files=["*.parquet"], quality="q", quality_map="opc_da")
    assert np.isnan(recording.values[:, 0]).tolist() == [False, False, True, False]


def test_number_with_two_meanings_is_asked_about(tmp_path: Path) -> None:
    write_row_qualities(tmp_path, [192, 192, 0, 0])
    told = refusal(tmp_path, quality="q")
    assert names(told, "a.csv line 4 and 1 more", "column 'q'", "found '0'", "data.quality_map")


def test_text_that_is_no_quality_is_told_with_what_is_allowed(tmp_path: Path) -> None:
    write_row_qualities(tmp_path, ["good", "goodness", "bad", "ok"])
    told = refusal(tmp_path, quality="q", quality_map="words")
    assert names(told, "a.csv line 3", "column 'q'", "found 'goodness'", "uncertain")


def test_missing_column_of_qualities_is_told(tmp_path: Path) -> None:
    write_row_qualities(tmp_path, ["good"] * 4)
    assert names(refusal(tmp_path, quality="quality"), "a.csv line 1", "no column quality")


@pytest.mark.parametrize(
    "sections",
    [
        {"data": {"quality_map": "opc_da"}},
        {"signals": [{"name": "pressure", "quality_map": "opc_da"}]},
    ],
    ids=["data", "signal"],
)
def test_map_that_nothing_is_read_by_is_a_mistake(sections: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(Exception, match="quality"):
        recipe(tmp_path, **sections)


def test_unknown_name_of_a_map_is_told_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="siemens_qc") as caught:
        recipe(tmp_path, data={"quality": "q", "quality_map": "opc"})
    assert "data.quality_map" in str(caught.value)
