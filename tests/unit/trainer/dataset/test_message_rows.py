"""Rows that are messages: files of them, and what an empty cell in them means."""

import resource
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from tests.kit.recordings import pump_rows, recipe, write_csv, write_parquet
from tests.kit.wording import naming
from trainer.checks.row_notes import row_notes
from trainer.dataset.splits import split
from trainer.dataset.targets import truth
from trainer.ingest.message_file import FileLimits, Files, Row
from trainer.ingest.recorded_files import load
from trainer.ingest.recording import Recording
from trainer.recipe.data_section import Signal, Source

NAMES = ("pressure", "flow")
T0_NS = 1_760_000_000 * 10**9
NAN = float("nan")


def message(number: int, *values: float | None, step_ns: int = 10**8) -> Row:
    return Row(T0_NS + number * step_ns, "p7", values, "GOOD")


def alternating(count: int) -> list[Row]:
    """Pressure, flow, pressure, flow, ... a tenth of a second apart."""
    return [
        message(n, *((float(n), None) if n % 2 == 0 else (None, float(n)))) for n in range(count)
    ]


def written(path: Path, rows: list[Row], limits: FileLimits | None = None) -> list[Path]:
    files = Files(path, NAMES, limits)
    for row in rows:
        files.add(row)
        files.rotate()
    files.close()
    assert files.rows == len(rows)
    return files.paths


def read(files: Path | str, **more: Any) -> Recording:  # noqa: ANN401  any key of the source
    source = {"files": [str(files)], "time": {"column": "time"}, "asset_column": "asset", **more}
    return load(Source.model_validate(source), [Signal(name=name) for name in NAMES])


def counts(paths: list[Path]) -> list[int]:
    return [pq.read_metadata(path).num_rows for path in paths]


@pytest.mark.parametrize(
    ("limits", "rows"),
    [
        (FileLimits(rows=4), [4, 4, 2]),
        (FileLimits(size_bytes=1), [1] * 10),
        (FileLimits(seconds=0), [1] * 10),
        (FileLimits(), [10]),
    ],
)
def test_file_of_a_folder_is_complete_at_its_limit(
    tmp_path: Path, limits: FileLimits, rows: list[int]
) -> None:
    paths = written(tmp_path / "history", alternating(10), limits)
    assert counts(paths) == rows
    assert sorted((tmp_path / "history").iterdir()) == paths
    whole = read(tmp_path / "history/*.parquet")
    assert whole.times_ns.tolist() == [row.time_ns for row in alternating(10)]


def test_rows_are_written_in_groups_so_that_few_wait_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.ingest.message_file.MAX_GROUP_ROWS", 10)
    (path,) = written(tmp_path / "a.parquet", alternating(25))
    assert pq.read_metadata(path).num_row_groups == 3
    monkeypatch.setattr(
        "trainer.ingest.message_file.MAX_BUFFERED_VALUES", 24
    )  # of six columns: four rows
    (path,) = written(tmp_path / "b.parquet", alternating(25))
    assert pq.read_metadata(path).num_row_groups == 7


def test_folder_of_several_recordings_is_one_history(tmp_path: Path) -> None:
    for start in range(3):
        written(tmp_path / "history", [message(10 * start + n, 1.0, 2.0) for n in range(5)])
    assert len(read(tmp_path / "history/*.parquet")) == 15


def test_place_that_cannot_be_written_is_told_before_a_row_comes(tmp_path: Path) -> None:
    (tmp_path / "history").write_bytes(b"")
    with pytest.raises(OSError, match="history"):
        Files(tmp_path / "history", NAMES)
    with pytest.raises(OSError, match="history"):
        Files(tmp_path / "history" / "a.parquet", NAMES)


def test_file_that_cannot_be_written_on_is_lost_alone_and_told(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(size=(2000, 2)).tolist()
    files = Files(tmp_path / "history", NAMES, FileLimits(rows=1000))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        for row in noise[:1999]:
            files.add(message(0, *row))
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
        with pytest.raises(OSError, match=naming("1000 rows")):
            files.add(message(0, *noise[1999]))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    files.close()
    assert files.rows == 1000
    assert list((tmp_path / "history").iterdir()) == files.paths
    assert counts(files.paths) == [1000]


def test_null_is_not_carried_and_nan_is_carried_without_a_value(tmp_path: Path) -> None:
    rows = [message(0, 1.0, None), message(1, NAN, None), message(2, NAN, 2.0)]
    (path,) = written(tmp_path / "a.parquet", rows)
    found = read(path)
    assert found.reported is not None
    assert found.reported.tolist() == [[True, False], [True, False], [True, True]]
    np.testing.assert_array_equal(found.values, [[1, NAN], [NAN, NAN], [NAN, 2]])
    assert read(path, rows="samples").reported is None


def test_recipe_says_that_rows_of_other_files_are_messages(tmp_path: Path) -> None:
    cells = [("2025-03-01T00:00:00Z", "p7", 1, ""), ("2025-03-01T00:00:01Z", "p7", "", 2)]
    path = write_csv(tmp_path / "a.csv", ["time", "asset", *NAMES], cells)
    labelled = pd.read_parquet(written(tmp_path / "b.parquet", alternating(2))[0])
    labelled.to_parquet(tmp_path / "labelled.parquet")
    for file in (path, tmp_path / "labelled.parquet"):
        assert read(file).reported is None
        found = read(file, rows="messages").reported
        assert found is not None
        assert found.tolist() == [[True, False], [False, True]]


def test_samples_beside_messages_carry_everything(tmp_path: Path) -> None:
    written(tmp_path / "a.parquet", alternating(2))
    time = pd.to_datetime([T0_NS + 10**9], utc=True)
    write_parquet(tmp_path / "b.parquet", time=time, asset=["p7"], pressure=[1.0], flow=[None])
    found = read(tmp_path / "*.parquet").reported
    assert found is not None
    assert found.tolist() == [[True, False], [False, True], [True, True]]


def test_period_is_that_of_the_signal_which_comes_least_often(tmp_path: Path) -> None:
    rows = [message(n, None, 1.0) if n % 5 == 1 else message(n, 1.0, None) for n in range(50)]
    assert read(*written(tmp_path / "a.parquet", rows)).period_ms() == 500


def test_training_puts_signals_together_that_came_one_by_one(tmp_path: Path) -> None:
    drawn = pump_rows(400)
    rows = []
    for number, (_, pressure, flow, _) in enumerate(drawn):
        rows.append(message(10 * number, float(str(pressure)), None))
        rows.append(message(10 * number + 1, None, float(str(flow))))
    written(tmp_path / "a.parquet", rows)
    data = {"files": ["a.parquet"], "asset_column": "asset"}
    made = recipe(tmp_path, data=data, target={"task": "anomaly"})
    recording = load(made.data, made.signals)
    spec = made.window.spec(recording.period_ms())
    parts = split(recording, truth(recording, made), made, spec)
    assert spec.sample_period_ms == 1000
    assert (len(parts.train), len(parts.test)) == (300 - 3, 100 - 3)
    sent = np.array([row[1:3] for row in drawn], dtype=np.float32)
    last = np.array([window[-1] for window in parts.train.values])  # noqa: PD011  no data frame
    np.testing.assert_array_equal(last, sent[3:300])
    assert not [line for line in row_notes(recording, made, parts) if "no value" in line]


def test_detector_learns_from_no_sample_that_an_abnormal_message_went_into(tmp_path: Path) -> None:
    frame = pd.read_parquet(written(tmp_path / "raw.parquet", alternating(40))[0])
    frame["label"] = [1 if n == 20 else 0 for n in range(40)]
    frame.to_parquet(tmp_path / "a.parquet")
    target = {"task": "anomaly", "column": "label", "normal": 0}
    data = {"files": ["a.parquet"], "asset_column": "asset", "rows": "messages"}
    made = recipe(tmp_path, data=data, target=target)
    recording = load(made.data, made.signals, texts=["label"])
    usable = truth(recording, made).usable
    assert np.flatnonzero(~usable).tolist() == list(range(20, 28))  # four samples of two messages
