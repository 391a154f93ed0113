"""Everything that a recipe needs of a recorded file is read in one pass."""

import ctypes
import gzip
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.kit.recordings import pump_rows, recipe, write_csv, write_parquet
from trainer.dataset.training_rows import training_rows
from trainer.recipe.document import Recipe

HEADER = ["time", "pressure", "flow", "label", "batch"]
BATCHES = [f"b{number // 25}" for number in range(100)]
ROWS = [(*row, batch) for row, batch in zip(pump_rows(100), BATCHES, strict=True)]
NUMBER = {"task": "regression", "column": "label"}
IN_ACCESS, IN_CLOSE_NOWRITE, IN_OPEN = 0x01, 0x10, 0x20


@contextmanager
def opens_of(path: Path) -> Iterator[list[int]]:
    """Fill a list with the kernel's own count of how often a file was opened meanwhile."""
    libc, count = ctypes.CDLL(None), list[int]()
    # The kernel merges equal events in a row: reads and closes in between keep the opens apart.
    mask = IN_OPEN | IN_ACCESS | IN_CLOSE_NOWRITE
    watch = libc.inotify_init1(os.O_NONBLOCK)
    try:
        assert libc.inotify_add_watch(watch, os.fsencode(path), mask) >= 0
        yield count
        events = struct.iter_unpack("iIII", os.read(watch, 1 << 20))
        count.append(sum(bool(event & IN_OPEN) for _, event, _, _ in events))
    finally:
        os.close(watch)


def written(folder: Path, suffix: str) -> Path:
    path = folder / f"pump{suffix}"
    if suffix == ".parquet":
        columns = dict(zip(HEADER, zip(*ROWS, strict=True), strict=True))
        return write_parquet(path, **{name: [*column] for name, column in columns.items()})
    write_csv(path, HEADER, ROWS)
    if suffix.endswith(".gz"):
        path.write_bytes(gzip.compress(path.read_bytes()))
    return path


def by_batch(folder: Path, path: Path, **sections: object) -> Recipe:
    split = {"method": "group", "column": "batch"}
    return recipe(folder, data={"files": [path.name]}, split=split, **sections)


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
def test_file_is_opened_once_for_signals_target_and_split(tmp_path: Path, suffix: str) -> None:
    path = written(tmp_path, suffix)
    with opens_of(path) as count:
        recording, known = training_rows(by_batch(tmp_path, path))
    assert count == [1]
    assert recording.texts["label"].tolist() == [str(row[3]) for row in ROWS]
    assert known.member is not None
    assert known.member.tolist() == BATCHES


def test_messages_of_a_file_are_read_in_the_same_pass(tmp_path: Path) -> None:
    carried = [None if number % 2 else 4.0 for number in range(100)]
    columns = dict(zip(HEADER, map(list, zip(*ROWS, strict=True)), strict=True))
    path = write_parquet(tmp_path / "a.parquet", **{**columns, "pressure": carried})
    data = {"files": [path.name], "rows": "messages"}
    with opens_of(path) as count:
        recording, _ = training_rows(recipe(tmp_path, data=data))
    assert count == [1]
    assert recording.reported is not None
    assert recording.reported.tolist() == [[number % 2 == 0, True] for number in range(100)]


def test_table_of_remaining_life_is_opened_once(tmp_path: Path) -> None:
    path = written(tmp_path, ".csv")
    table = write_csv(tmp_path / "left.txt", ["asset", "left"], [("b1", 5.0)])
    target = {"task": "regression", "remaining": "s", "left": table.name}
    data = {"files": [path.name], "asset_column": "batch"}
    with opens_of(table) as count:
        training_rows(recipe(tmp_path, data=data, target=target, split={"method": "group"}))
    assert count == [1]


def test_column_is_a_number_to_learn_and_a_text_to_split_by(tmp_path: Path) -> None:
    path = written(tmp_path, ".csv")
    split = {"method": "group", "column": "label"}
    made = recipe(tmp_path, data={"files": [path.name]}, target=NUMBER, split=split)
    _, known = training_rows(made)
    assert known.member is not None
    assert known.y.tolist() == [float(text) for text in known.member]
