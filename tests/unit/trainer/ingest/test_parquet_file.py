"""Parquet files as data platforms write them."""

import tracemalloc
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.kit.recordings import recipe, write_parquet
from tests.kit.wording import names
from trainer.errors import DataError
from trainer.ingest.recorded_files import load
from trainer.ingest.recording import Recording

START = datetime(2025, 3, 1, tzinfo=UTC)
TIMES = [START, START + timedelta(seconds=1)]
START_NS = 1_740_787_200 * 10**9


def read(folder: Path, **data: object) -> Recording:
    description = recipe(folder, data={"files": ["*.parquet"], **data})
    return load(description.data, description.signals)


def labels_of(folder: Path) -> list[str]:
    description = recipe(folder, data={"files": ["*.parquet"]})
    recording = load(description.data, description.signals, texts=["label"])
    return list(recording.texts["label"])


def refusal(folder: Path, **data: object) -> str:
    with pytest.raises(DataError) as caught:
        read(folder, **data)
    return str(caught.value)


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (pa.array([4, None], pa.int64()), [4.0, np.nan]),
        (pa.array([4, 5], pa.uint8()), [4.0, 5.0]),
        (pa.array([True, None]), [1.0, np.nan]),
        (pa.array([Decimal("4.25"), None]), [4.25, np.nan]),
        (pa.array(["4.25", ""]), [4.25, np.nan]),
        (pa.array(["4.25", None]).dictionary_encode(), [4.25, np.nan]),
        (pa.array([4.25, 5.0]).dictionary_encode(), [4.25, 5.0]),
        (pa.nulls(2), [np.nan, np.nan]),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)
def test_number_is_read_from_any_type_that_holds_one(
    tmp_path: Path, stored: object, expected: list[float]
) -> None:
    write_parquet(tmp_path / "a.parquet", time=TIMES, pressure=stored, flow=[1.0, 1.0])
    recording = read(tmp_path)
    assert np.array_equal(recording.values[:, 0], expected, equal_nan=True)  # noqa: PD011  no frame


@pytest.mark.parametrize(
    "stored",
    [
        pa.array([[1.0, 2.0], [3.0]]),
        pa.array([{"value": 1.0, "status": 0}] * 2),
        pa.array([b"\x00\x01"] * 2),
        pa.array([timedelta(seconds=1)] * 2),
        pa.array([1.0, 2.0]).cast(pa.float64()).to_numpy().astype("m8[s]"),
    ],
    ids=["list", "struct", "binary", "duration", "seconds"],
)
def test_type_that_is_no_value_is_told_with_its_column(tmp_path: Path, stored: object) -> None:
    write_parquet(tmp_path / "a.parquet", time=TIMES, pressure=stored, flow=[1.0, 1.0])
    told = refusal(tmp_path)
    assert "a.parquet column 'pressure': holds " in told
    assert "numbers, texts and timestamps" in told


def test_column_that_is_not_read_may_be_of_any_type(tmp_path: Path) -> None:
    write_parquet(
        tmp_path / "a.parquet", time=TIMES, pressure=[1, 2], flow=[1, 2], spectrum=[[1.0], [2.0]]
    )
    assert len(read(tmp_path)) == 2


@pytest.mark.parametrize(
    ("times", "zone"),
    [
        (pa.array(TIMES, pa.timestamp("us", tz="Asia/Tokyo")), "UTC"),
        (pa.array([t.replace(tzinfo=None) for t in TIMES], pa.timestamp("ms")), "UTC"),
        (
            pa.array([t.replace(tzinfo=None) + timedelta(hours=1) for t in TIMES]),
            "Europe/Berlin",
        ),
        (pa.array([t.isoformat() for t in TIMES]), "UTC"),
    ],
    ids=["aware", "naive", "local", "text"],
)
def test_time_is_the_same_moment_in_every_type(tmp_path: Path, times: object, zone: str) -> None:
    write_parquet(tmp_path / "a.parquet", time=times, pressure=[1, 2], flow=[1, 2])
    recording = read(tmp_path, time={"column": "time", "zone": zone})
    assert recording.times_ns.tolist() == [START_NS, START_NS + 10**9]


def test_dates_are_times_at_midnight(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", time=[date(2025, 3, 1)], pressure=[1], flow=[2])
    assert read(tmp_path).times_ns.tolist() == [START_NS]


@pytest.mark.parametrize("stamp", [None, datetime(9999, 12, 31, tzinfo=UTC)])
def test_time_that_cannot_be_is_told_with_its_row(tmp_path: Path, stamp: datetime | None) -> None:
    times = pa.array([START, stamp], pa.timestamp("us", tz="UTC"))
    write_parquet(tmp_path / "a.parquet", time=times, pressure=[1, 2], flow=[1, 2])
    told = refusal(tmp_path)
    assert "a.parquet line 2, column 'time'" in told
    assert "1678 to 2261" in told


def test_index_that_pandas_stored_is_a_column_like_any_other(tmp_path: Path) -> None:
    frame = pd.DataFrame({"pressure": [1.0, 2.0], "flow": [3.0, 4.0]}, pd.Index(TIMES, name="time"))
    frame.to_parquet(tmp_path / "a.parquet")
    recording = read(tmp_path)
    assert recording.times_ns.tolist() == [START_NS, START_NS + 10**9]


@pytest.mark.parametrize(
    ("assets", "names"),
    [
        (pa.array(["p2", "p1"]).dictionary_encode(), ("p2", "p1")),
        (pa.array(["p2", "p1"]), ("p2", "p1")),
        (pa.array([7, 12]), ("7", "12")),
        (pa.array([7.0, 12.0]), ("7", "12")),
    ],
    ids=["dictionary", "text", "int", "float"],
)
def test_asset_is_named_in_any_type(tmp_path: Path, assets: object, names: tuple[str, ...]) -> None:
    write_parquet(tmp_path / "a.parquet", time=TIMES, pressure=[1, 2], flow=[1, 2], pump=assets)
    recording = read(tmp_path, asset_column="pump")
    assert recording.assets == tuple(sorted(names))
    assert tuple(recording.assets[index] for index in recording.asset) == names


def test_row_without_an_asset_is_refused(tmp_path: Path) -> None:
    pumps = pa.array(["p1", None]).dictionary_encode()
    write_parquet(tmp_path / "a.parquet", time=TIMES, pressure=[1, 2], flow=[1, 2], pump=pumps)
    assert "a.parquet line 2, column 'pump'" in refusal(tmp_path, asset_column="pump")


def test_labels_of_many_row_groups_are_in_one_spelling(tmp_path: Path) -> None:
    for name, labels in (("a", ["ok", "worn"]), ("b", ["worn", None])):
        columns = {"time": TIMES, "pressure": [1, 2], "flow": [1, 2], "label": labels}
        pq.write_table(pa.table(columns), tmp_path / f"{name}.parquet", row_group_size=1)
    assert labels_of(tmp_path) == ["ok", "worn", "worn", ""]


def test_truth_values_are_labels_by_their_names(tmp_path: Path) -> None:
    write_parquet(
        tmp_path / "a.parquet", time=TIMES, pressure=[1, 2], flow=[1, 2], label=[True, None]
    )
    assert labels_of(tmp_path) == ["True", ""]


def test_column_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    table = pa.table([TIMES, [1, 2], [1, 2], [3, 4]], ["time", "pressure", "flow", "flow "])
    pq.write_table(table, tmp_path / "a.parquet")
    assert names(refusal(tmp_path), "a.parquet", "'flow'")


def test_file_that_breaks_off_is_told(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", time=TIMES, pressure=[1, 2], flow=[1, 2])
    path.write_bytes(path.read_bytes()[:-20])
    assert names(refusal(tmp_path), "a.parquet")


def test_column_of_damaged_bytes_is_told(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(size=(2, 5000))
    times = [START + timedelta(seconds=second) for second in range(5000)]
    path = write_parquet(tmp_path / "a.parquet", time=times, pressure=noise[0], flow=noise[1])
    content = bytearray(path.read_bytes())
    content[30_000:60_000] = bytes(30_000)
    path.write_bytes(content)
    assert names(refusal(tmp_path), "a.parquet")


def test_numbers_take_no_more_room_than_they_need(tmp_path: Path) -> None:
    single = pa.array([0.1, 0.2], pa.float32())
    write_parquet(tmp_path / "a.parquet", time=TIMES, pressure=single, flow=single)
    assert read(tmp_path).values.dtype == np.float32  # noqa: PD011  no frame
    # 2**24 + 1 is the first whole number that float32 cannot hold.
    write_parquet(tmp_path / "b.parquet", time=TIMES, pressure=single, flow=[2**24 + 1, 1])
    values = read(tmp_path).values  # noqa: PD011  no frame
    assert values[0, 0] == np.float32(0.1)
    assert 2**24 + 1 in values[:, 1]


def test_large_file_takes_hardly_more_memory_than_its_recording(tmp_path: Path) -> None:
    count = 1_000_000
    # Asset after asset, as a data platform partitions it: every row has to move.
    seconds = START_NS // 10**9 + np.arange(count) % (count // 2)
    signals = [f"s{number}" for number in range(8)]
    columns = {
        "time": pa.array(seconds).cast(pa.timestamp("s", tz="UTC")),
        "pump": pa.array(["p1", "p2"]).take(pa.array(np.arange(count) // (count // 2))),
        **{name: np.arange(count, dtype=np.float32) for name in signals},
    }
    pq.write_table(pa.table(columns), tmp_path / "a.parquet", row_group_size=200_000)
    description = recipe(
        tmp_path,
        data={"files": ["*.parquet"], "asset_column": "pump"},
        signals=[{"name": name} for name in signals],
    )
    tracemalloc.start()
    made = load(description.data, description.signals)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert made.asset[:4].tolist() == [0, 1, 0, 1]
    assert made.values[:4, 7].tolist() == [0, count // 2, 1, count // 2 + 1]  # noqa: PD011  no frame
    held = made.values.nbytes + made.times_ns.nbytes + made.asset.nbytes  # noqa: PD011  no frame
    assert peak < 2 * held
