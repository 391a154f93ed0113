"""The history's file: what is kept, what goes, and what a damaged file or a full disk does."""

import resource
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.console.gateways import DriftPoint, Mark, Seen
from server.console.history.points import Point
from server.console.history.sqlite_file import Batch, HistoryError, HistoryFile, Latest

HOUR_MS = 3_600_000
BEGIN_MS = 1_790_000_000_000
MIB = 1 << 20


class Kept:
    """A history file in a folder, and what it has told about itself."""

    def __init__(self, folder: Path, max_bytes: int = 64 * MIB) -> None:
        self.path = folder / "console.sqlite3"
        self.told: list[str] = []
        self.file = HistoryFile(self.path, max_bytes, self.told.append)

    def add(self, *points: Point) -> None:
        self.file.write(Batch(points, (), (), ()))

    def curve(self, width: int = 1000, asset: str = "pump7") -> list[tuple[object, ...]]:
        time = (BEGIN_MS, BEGIN_MS + 100 * HOUR_MS)
        return list(self.file.curve("health", asset, time, width).points)


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    made = Kept(tmp_path)
    yield made
    made.file.close()


def point(second: int, low: float | None, high: float | None, quality: int = 0) -> Point:
    begin = BEGIN_MS + 1000 * second
    return Point("health", "pump7", begin, low, high, high, high, quality)


def test_points_are_thinned_to_extremes_and_the_worst_quality(kept: Kept) -> None:
    kept.add(point(0, 1.0, 2.0), point(1, -5.0, 1.0, quality=2), point(2, 3.0, 9.0))
    assert kept.curve() == [
        (BEGIN_MS, 1.0, 2.0, 2.0, 0),
        (BEGIN_MS + 1000, -5.0, 1.0, 1.0, 2),
        (BEGIN_MS + 2000, 3.0, 9.0, 9.0, 0),
    ]
    ((_, *thinned),) = kept.curve(width=BEGIN_MS)
    assert thinned == [-5.0, 9.0, 9.0, 2]


def test_point_that_comes_in_two_parts_is_one(kept: Kept) -> None:
    kept.add(point(0, None, None, quality=2))
    kept.add(point(0, 4.0, 5.0))
    kept.add(point(0, 3.0, 4.0))
    assert kept.curve() == [(BEGIN_MS, 3.0, 5.0, 5.0, 2)]


def test_value_of_any_size_is_kept(kept: Kept) -> None:
    kept.add(point(0, -(2**63) - 1, 2**64 - 1))
    assert kept.curve()[0][1:3] == (-(2.0**63), 2.0**64)


def test_marks_drift_and_newest_predictions_come_back(kept: Kept) -> None:
    mark = Mark(BEGIN_MS + 5, "health", "gw1", "1.0.2", 2)
    drift = DriftPoint(BEGIN_MS, "health", "gw1", 1.5, True, "c0", "pump7")  # noqa: FBT003  as in the record
    latest = Latest("health", "pump7", BEGIN_MS, b"{}")
    kept.add(point(0, 1.0, 2.0), point(1, 2.0, 3.0))
    kept.file.write(Batch((), (latest,), (mark,), (drift,)))
    kept.file.close()
    curve = kept.file.curve("health", "pump7", (BEGIN_MS, BEGIN_MS + HOUR_MS), 1000)
    assert (curve.marks, curve.drift) == ([mark], [drift])
    assert kept.file.latest(10, 40) == [latest._replace(values=[2.0, 3.0])]


def test_model_that_a_gateway_runs_is_known_however_old_until_there_are_too_many(
    kept: Kept,
) -> None:
    seen = [Seen("health", f"gw{number}", BEGIN_MS + number, number) for number in range(10_001)]
    kept.file.write(Batch((), (), (), (), seen))
    waiting = seen[5]._replace(seq=None)
    kept.file.write(Batch((), (), (), (), [waiting]))
    kept.file.prune(2 * BEGIN_MS)
    kept.file.close()
    expected = [waiting if one.gateway == waiting.gateway else one for one in seen[1:]]
    assert list(kept.file.seen()) == expected[::-1]


def test_what_is_old_goes(kept: Kept) -> None:
    kept.add(*(point(second, 1.0, 1.0) for second in range(10)))
    mark = Mark(BEGIN_MS, "health", "gw1", "1.0.2", 2)
    kept.file.write(Batch((), (Latest("health", "old", BEGIN_MS, b"{}"),), (mark,), ()))
    kept.file.prune(BEGIN_MS + 7000)
    assert [row[0] for row in kept.curve()] == [BEGIN_MS + 1000 * one for one in (7, 8, 9)]
    assert kept.file.latest(10, 40) == []
    assert kept.file.curve("health", "pump7", (0, BEGIN_MS * 2), 1000).marks == []


def test_file_keeps_its_size_and_the_newest(tmp_path: Path) -> None:
    kept = Kept(tmp_path, max_bytes=MIB)
    for first in range(0, 60_000, 500):
        kept.add(*(point(second, 1.5, 2.5) for second in range(first, first + 500)))
    rows = kept.curve()
    kept.file.close()
    assert kept.path.stat().st_size <= MIB
    assert rows[-1][0] == BEGIN_MS + 59_999_000
    assert 10_000 < len(rows) < 50_000
    assert kept.told == []


@pytest.mark.parametrize("damage", ["garbage", "middle", "other release"])
def test_file_that_cannot_be_read_is_set_aside_and_begun_anew(kept: Kept, damage: str) -> None:
    kept.add(*(point(second, 1.0, 1.0) for second in range(20_000)))
    kept.file.close()
    content = bytearray(kept.path.read_bytes())
    if damage == "garbage":
        kept.path.write_bytes(b"no database" * 1000)
    elif damage == "middle":
        content[8192:] = b"\xa5" * len(content[8192:])
        kept.path.write_bytes(content)
    else:
        with sqlite3.connect(kept.path) as other:
            other.execute("PRAGMA user_version = 99")
        other.close()
    kept.add(point(1, 7.0, 7.0))
    assert kept.curve()[0][1] == 7.0
    assert len(kept.told) == 1
    assert kept.path.with_name("console.sqlite3.damaged").is_file()


def test_file_that_cannot_be_written_is_an_error_and_the_next_attempt_may_succeed(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "not there"
    kept = Kept(folder)
    with pytest.raises(HistoryError, match="unable to open"):
        kept.add(point(0, 1.0, 1.0))
    folder.mkdir()
    kept.add(point(0, 1.0, 1.0))
    assert len(kept.curve()) == 1
    kept.file.close()


def test_full_disk_loses_the_batch_and_nothing_that_was_kept(kept: Kept) -> None:
    kept.add(point(0, 1.0, 1.0))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (256 << 10, hard))  # as if the disk ended there
    try:
        with pytest.raises(HistoryError):
            kept.add(*(point(second, 1.0, 1.0) for second in range(20_000)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    kept.add(point(2, 3.0, 3.0))
    assert [row[1] for row in kept.curve()] == [1.0, 3.0]
    assert kept.told == []
