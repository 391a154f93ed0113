"""Alarms and faults are counted as a plant counts them, and remaining life at the end of runs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from models.bundle.manifest import WindowSpec
from tests.kit.recordings import recipe, recorded
from tests.kit.wording import names
from trainer.dataset.splits import split
from trainer.dataset.subject import Subject
from trainer.dataset.targets import truth
from trainer.evaluation.detection import Detection, detection
from trainer.evaluation.life import at_last, cap, last_of_runs, life, remaining_of
from trainer.evaluation.metrics import measured
from trainer.ingest.recording import Recording

MINUTE_S = 60.0
DETECTOR = {"task": "anomaly", "column": "label", "normal": "0"}
LIFE = {"task": "regression", "remaining": "min", "cap": 8, "unit": "cycles"}
EVERY = NDArray[np.bool_]


def mask(marks: str) -> EVERY:
    return np.array([mark == "x" for mark in marks])


def recording_of(marks: str, groups: str = "") -> Recording:
    """Twice the rows: the first half is normal and trains, one row a minute, one asset a letter."""
    asset = np.array([ord(one) - ord("a") for one in 2 * (groups or "a" * len(marks))])
    labels = np.where(np.append(np.zeros(len(marks), dtype=bool), mask(marks)), "1", "0")
    values = np.random.default_rng(0).normal(size=(2 * len(marks), 2))
    return recorded(values, asset=asset, labels=labels.astype(object), step_s=MINUTE_S)


def found(folder: Path, alarms: str, faults: str, *, length: int = 1, **more: str) -> Detection:
    """Alarms and faults of the later half of a recording, both given as marks."""
    folder.mkdir(exist_ok=True)
    recording = recording_of(faults, **more)
    made = recipe(
        folder, target=DETECTOR, window={"length": length}, split={"method": "time", "test": 0.5}
    )
    known = truth(recording, made)
    subject = Subject(recording, known, made, split(recording, known, made, WindowSpec(length=1)))
    spec = WindowSpec(length=length, sample_period_ms=60_000)
    return detection(subject, spec, mask(alarms), mask(faults))


def test_false_alarms_begin_in_normal_time_and_faults_are_found_after_a_delay(
    tmp_path: Path,
) -> None:
    faults = "......xxxx..........xxxx....xx......"
    alarms = "..xx....xx.....x....xxxxx..........."
    one = found(tmp_path, alarms, faults)
    assert one.false_alarms.tolist() == [2]
    assert [fault.delay_ns for fault in one.faults] == [2 * 60e9, 0.0, None]
    false, caught = one.words().values()
    assert names(false, "13 minutes", "2", "26 minutes")
    assert names(caught, "2", "3 marked faults", "60 s")


def test_alarms_less_than_a_window_apart_are_one(tmp_path: Path) -> None:
    alarms = "..x..x...x............"
    counts = [
        int(found(tmp_path, alarms, "." * 22, length=length).false_alarms.sum())
        for length in (1, 4, 5)
    ]
    assert counts == [3, 2, 1]


def test_an_alarm_that_never_ends_finds_all_faults_and_is_in_alarm_all_the_time(
    tmp_path: Path,
) -> None:
    one = found(tmp_path, "x" * 20, "....xxxx....xxxx....")
    false, caught = one.words().values()
    assert names(false, "100 %")
    assert names(caught, "2 of 2", "at once")


@pytest.mark.parametrize(
    ("alarms", "faults", "said"),
    [
        ("." * 10, "...xx.....", ("no false alarm", "none of 1 marked fault")),
        ("." * 10, "." * 10, ("no false alarm", "no marked fault")),
        ("x" * 10, "x" * 10, ("1 of 1 marked fault",)),
    ],
    ids=["nothing found", "nothing marked", "nothing normal"],
)
def test_extremes_are_said_plainly(
    tmp_path: Path, alarms: str, faults: str, said: tuple[str, ...]
) -> None:
    words = found(tmp_path, alarms, faults).words().values()
    assert len(words) == len(said)
    for sentence, part in zip(words, said, strict=True):
        assert part in sentence


def test_assets_are_counted_apart(tmp_path: Path) -> None:
    groups = "ab" * 12
    faults = "".join("x" if 4 <= at // 2 < 8 and at % 2 else "." for at in range(24))
    alarms = "".join("x" if 2 <= at // 2 < 4 and not at % 2 else "." for at in range(24))
    apart = found(tmp_path, alarms, faults, groups=groups)
    assert apart.of == "asset"
    assert [apart.groups[one] for one in apart.tested] == ["p0", "p1"]
    assert apart.false_alarms.tolist() == [1, 0]
    assert [(fault.group, fault.delay_ns) for fault in apart.faults] == [(1, None)]


def test_rows_without_a_clock_are_each_for_themselves(tmp_path: Path) -> None:
    made = recipe(
        tmp_path,
        data={"time": None},
        window={"length": 1},
        target=DETECTOR,
        split={"method": "random", "test": 0.5},
    )
    recording = replace(recording_of("." * 30), timed=False, times_ns=np.arange(60))
    known = truth(recording, made)
    parts = split(recording, known, made, WindowSpec(length=1))
    alarm, event = mask("x" * 5 + "." * 25), mask("..xxxxxx" + "." * 22)
    subject = Subject(recording, known, made, parts)
    false, caught = (
        detection(subject, WindowSpec(length=1), alarm, event, name="bad").words().values()
    )
    assert names(false, "one false alarm in 12 rows", "2 in 24 rows")
    assert names(caught, "3 of 6", "'bad'")


def lives(folder: Path, **target: object) -> Subject:
    """Three pumps of 10, 20 and 40 minutes; a group split tests two of them."""
    asset = np.repeat([0, 1, 2], [10, 20, 40])
    recording = recorded(np.zeros((70, 2)), asset=asset, step_s=MINUTE_S)
    made = recipe(
        folder,
        data={"asset_column": "pump"},
        window={"length": 1},
        target={key: value for key, value in {**LIFE, **target}.items() if value is not None},
        split={"method": "group", "test": 0.6},
    )
    known = truth(recording, made)
    return Subject(recording, known, made, split(recording, known, made, WindowSpec(length=1)))


def test_life_is_measured_at_the_last_row_of_runs_and_over_whole_runs(tmp_path: Path) -> None:
    one = lives(tmp_path)
    test = one.parts.test
    runs = np.unique(test.asset)
    assert len(runs) == 2
    error = np.where(test.asset == runs[0], 1.0, 3.0)
    error[last_of_runs(one)] = [3.0, 4.0]
    answers = {"value": one.truth.y[test.rows] + error}
    figures = measured(life(one, answers), len(test))
    assert figures["mae_at_last"] == 3.5
    assert figures["rmse_at_last"] == pytest.approx(np.sqrt(12.5), rel=1e-5)
    each = [error[test.asset == run].mean() for run in runs]
    assert figures["mae_by_run"] == pytest.approx(np.mean(each), rel=1e-5)
    assert names(at_last(one), "2 runs", "life is 0")


def test_cap_is_said_with_the_share_of_windows_that_it_makes_easy(tmp_path: Path) -> None:
    one = lives(tmp_path)
    target = remaining_of(one)
    assert target is not None
    share = float((one.truth.y[one.parts.test.rows] >= 8).mean())
    assert names(cap(one, target), "8 cycles", f"{share:.0%}")
    without = lives(tmp_path / "without", cap=None)
    target = remaining_of(without)
    assert target is not None
    assert cap(without, target) is None


def test_numbers_of_a_column_have_no_figure_of_life(tmp_path: Path) -> None:
    made = recipe(tmp_path, target={"task": "regression", "column": "label"})
    recording = recorded(np.zeros((40, 2)), labels=np.arange(40.0))
    known = truth(recording, made)
    one = Subject(recording, known, made, split(recording, known, made, WindowSpec(length=4)))
    assert life(one, {"value": known.y[one.parts.test.rows]})(np.ones((1, 1))) == {}
