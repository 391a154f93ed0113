"""What is found in recorded data before anything is learned from it, and what is let pass."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.kit.findings import (
    BY_ASSET,
    DETECTOR,
    NUMBER,
    RANDOM,
    found,
    noise,
    one,
    rare,
    subject,
    texts,
)
from tests.kit.recordings import recorded
from tests.kit.wording import names
from trainer.checks.suite import examine
from trainer.dataset.fingerprint import fingerprints
from trainer.errors import DataError
from trainer.ingest.recording import Recording

# A signal that gives the target away.


def test_signal_that_is_the_label_is_an_error(tmp_path: Path) -> None:
    values = noise(1000)
    values[:, 1] = 7 - 3 * rare(1000)
    finding = one("target-leak", tmp_path, recorded(values, labels=texts(rare(1000))), **RANDOM)
    assert finding.severity == "error"
    assert names(finding.evidence, "'flow'", "1.0000")


def test_signal_that_is_strong_is_a_warning(tmp_path: Path) -> None:
    values = noise(1000)
    values[:, 1] += 9 * rare(1000)
    finding = one("target-leak", tmp_path, recorded(values, labels=texts(rare(1000))), **RANDOM)
    assert finding.severity == "warning"
    assert "'flow' (balanced accuracy 1.0000)" in finding.evidence


def test_signal_that_only_helps_is_no_finding(tmp_path: Path) -> None:
    values = noise(1000)
    values[:, 1] += 2 * rare(1000)
    assert not found("target-leak", tmp_path, recorded(values, labels=texts(rare(1000))), **RANDOM)


def test_value_that_is_there_after_the_event_only_is_found(tmp_path: Path) -> None:
    values = noise(1000)
    values[rare(1000) == 0, 1] = np.nan
    finding = one("target-leak", tmp_path, recorded(values, labels=texts(rare(1000))), **RANDOM)
    assert "'flow'" in finding.evidence


def test_flag_that_marks_a_part_of_the_class_is_a_warning(tmp_path: Path) -> None:
    values = noise(1000)
    values[:, 1] = rare(1000) * (np.arange(1000) < 400)
    finding = one("target-leak", tmp_path, recorded(values, labels=texts(rare(1000))), **RANDOM)
    assert finding.severity == "warning"
    assert names(finding.evidence, "'flow'", "'1'")


def test_flags_that_mark_all_of_the_class_together_are_an_error(tmp_path: Path) -> None:
    early = np.arange(1000) < 500
    values = np.column_stack([rare(1000) * early, rare(1000) * ~early]).astype(np.float64)
    finding = one("target-leak", tmp_path, recorded(values, labels=texts(rare(1000))), **RANDOM)
    assert finding.severity == "error"
    assert names(finding.evidence, "'pressure'", "'flow'")


def test_flags_of_all_other_classes_are_an_error(tmp_path: Path) -> None:
    kind = np.arange(1000) // 20 % 3
    values = np.column_stack([kind == 1, kind == 2]).astype(np.float64)
    recording = recorded(values, labels=texts((kind == 0).astype(int)))
    finding = one("target-leak", tmp_path, recording, **RANDOM)
    assert finding.severity == "error"
    assert names(finding.evidence, "'pressure'", "'flow'")
    values[::50, 0] = 1  # of every class: no longer another way to write the target
    recording = recorded(values, labels=texts((kind == 0).astype(int)))
    assert not found("target-leak", tmp_path, recording, **RANDOM)


def test_state_that_was_on_in_one_event_only_is_no_flag(tmp_path: Path) -> None:
    values = noise(1000)
    event = (np.arange(1000) // 100 % 5 == 1).astype(np.int64)
    values[:, 1] = (np.arange(1000) // 100 == 1).astype(float)
    assert not found("target-leak", tmp_path, recorded(values, labels=texts(event)))


def test_signal_that_is_the_target_in_another_unit_is_an_error(tmp_path: Path) -> None:
    values = noise(500)
    recording = recorded(values, labels=32 + 1.8 * values[:, 0])
    finding = one("target-leak", tmp_path, recording, target=NUMBER)
    assert finding.severity == "error"
    assert names(finding.evidence, "'pressure'")


def test_signal_that_tells_nearly_all_of_a_number_is_a_warning(tmp_path: Path) -> None:
    values = noise(2000)
    recording = recorded(values, labels=np.exp(values[:, 0]))
    finding = one("target-leak", tmp_path, recording, target=NUMBER)
    assert finding.severity == "warning"
    assert "'pressure' (R2 0.99" in finding.evidence


def test_derived_quantity_is_told_with_what_a_line_loses_without_it(tmp_path: Path) -> None:
    drawn, values = np.random.default_rng(1), noise(2000)
    labels = 3 * drawn.normal(size=2000) + 0.5 * values[:, 0]
    values[:, 1] = 7 * (labels + 0.4 * drawn.normal(size=2000))
    finding = one("target-leak", tmp_path, recorded(values, labels=labels), target=NUMBER)
    assert (finding.severity, finding.signals) == ("warning", ("flow",))
    assert "'flow' (R2 0.97" in finding.evidence
    assert "has R2 0.98, and 0.01 without" in finding.evidence
    values[:, 1] += 7 * drawn.normal(size=2000)  # physics: R2 of about 0.9
    assert not found("target-leak", tmp_path, recorded(values, labels=labels), target=NUMBER)


def test_age_of_engines_that_live_differently_long_is_no_leak(tmp_path: Path) -> None:
    drawn = np.random.default_rng(0)
    lives = drawn.integers(100, 300, 20)
    asset = np.repeat(np.arange(20), lives)
    age = np.concatenate([np.arange(life) for life in lives]).astype(float)
    recording = recorded(np.column_stack([age, drawn.normal(size=len(age))]), asset=asset)
    target = {"task": "regression", "remaining": "s", "cap": 125}
    sections = {"data": BY_ASSET, "target": target, "split": {"method": "group"}}
    assert not found("target-leak", tmp_path, recording, **sections)


def test_detector_is_checked_against_the_labels_of_its_test_part(tmp_path: Path) -> None:
    abnormal = (np.arange(1000) // 50 % 4 == 3) & (np.arange(1000) > 300)
    values = noise(1000)
    values[:, 0] = abnormal
    recording = recorded(values, labels=texts(abnormal))
    sections = {"target": DETECTOR, "split": {"method": "time", "train_rows": 300}}
    assert one("target-leak", tmp_path, recording, **sections).severity == "error"
    unlabelled = {**sections, "target": {"task": "anomaly"}}
    assert not found("target-leak", tmp_path, recording, **unlabelled)


# What the two parts have in common.


def test_assets_on_both_sides_of_a_random_split_are_an_error(tmp_path: Path) -> None:
    recording = recorded(noise(200), asset=np.arange(200) % 4, labels=texts(rare(200)))
    sections = {**RANDOM, "data": {"time": None, **BY_ASSET}}
    finding = one("groups-on-both-sides", tmp_path, recording, **sections)
    assert finding.severity == "error"
    assert names(finding.evidence, "4 of the 4")


def test_assets_that_go_on_after_the_training_part_are_no_finding(tmp_path: Path) -> None:
    recording = recorded(noise(200), asset=np.arange(200) % 4, labels=texts(rare(200)))
    digests = {"a.csv": "a" * 64, "b.csv": "b" * 64}
    recording = replace(
        recording, files=("a.csv", "b.csv"), file=np.arange(200) // 100, digests=digests
    )
    later = {"method": "predefined", "test_files": ["b.csv"]}
    assert not found("groups-on-both-sides", tmp_path, recording, data=BY_ASSET, split=later)
    earlier = {"method": "predefined", "test_files": ["a.csv"]}
    finding = one("groups-on-both-sides", tmp_path, recording, data=BY_ASSET, split=earlier)
    assert finding.severity == "warning"


def test_random_split_of_a_time_series_tells_how_much_was_as_good_as_trained_on(
    tmp_path: Path,
) -> None:
    recording = recorded(noise(300), labels=texts(rare(300)))
    made = {"split": {"method": "random-optimistic", "test": 0.25}}
    finding = one("random-split-of-time-series", tmp_path, recording, **made)
    assert names(finding.evidence, "100%")
    assert not found("random-split-of-time-series", tmp_path, recording)


# Rows that come twice, or contradict each other.


@pytest.mark.parametrize(("copies", "severity"), [(20, "warning"), (300, "error")])
def test_rows_in_both_parts_are_told(tmp_path: Path, copies: int, severity: str) -> None:
    values = noise(1000)
    values[700 : 700 + copies] = values[:copies]
    finding = one(
        "duplicated-rows",
        tmp_path,
        recorded(values, labels=texts(rare(1000))),
        data={"time": {"column": "time"}},
        window={"length": 1},
        split={"method": "time", "test": 0.3},
    )
    assert finding.severity == severity
    assert names(finding.evidence, f"{copies} of 300")
    assert "a.csv line 702" in finding.evidence


def test_standstill_and_inputs_of_few_values_are_no_copies(tmp_path: Path) -> None:
    still = noise(2000)
    still[np.arange(2000) % 100 < 50] = 0.0
    split_ = {"method": "time", "test": 0.3}
    recording = recorded(still, labels=texts(rare(2000)))
    assert not found("duplicated-rows", tmp_path, recording, split=split_, window={"length": 1})
    coarse = np.round(noise(2000))
    recording = recorded(coarse, labels=texts(rare(2000)))
    finding = one("duplicated-rows", tmp_path, recording, split=split_, window={"length": 1})
    assert finding.severity == "warning"


def test_inputs_that_chance_repeats_are_no_copies(tmp_path: Path) -> None:
    values = np.round(noise(1200), 2)
    values[:, 1] = 4.0
    recording, split_ = recorded(values, labels=texts(rare(1200))), {"method": "time", "test": 0.3}
    finding = one("duplicated-rows", tmp_path, recording, split=split_, window={"length": 1})
    assert finding.severity == "warning"
    assert "few values" in finding.remedy


def test_equal_inputs_with_different_labels_bound_the_accuracy(tmp_path: Path) -> None:
    values = noise(400)
    values[:40] = 1.5
    labels = rare(400)
    labels[:40] = np.arange(40) < 10
    finding = one("contradictory-rows", tmp_path, recorded(values, labels=texts(labels)), **RANDOM)
    assert "40 of 400 windows (10.0%)" in finding.evidence
    assert names(finding.evidence, "97.50%")


def test_equal_inputs_with_different_numbers_bound_the_error(tmp_path: Path) -> None:
    values = noise(400)
    values[:200] = 1.5
    labels = np.zeros(400)
    labels[:100], labels[100:200] = 2.0, -2.0
    recording = recorded(values, labels=labels)
    finding = one("contradictory-rows", tmp_path, recording, **RANDOM, target=NUMBER)
    assert names(finding.evidence, "1.41")


def test_fingerprints_tell_windows_apart_and_missing_values_are_equal() -> None:
    windows = np.random.default_rng(0).normal(size=(1000, 3, 2)).astype(np.float32)
    assert len(np.unique(fingerprints(windows))) == 1000
    swapped = windows[:, ::-1]
    assert not np.isin(fingerprints(swapped), fingerprints(windows)).any()
    odd = np.array([[[np.nan], [0.0]], [[-np.nan], [-0.0]]], dtype=np.float32)
    assert len(np.unique(fingerprints(odd))) == 1


def test_file_that_comes_twice_is_told(tmp_path: Path) -> None:
    recording = replace(
        recorded(noise(200), labels=texts(rare(200))),
        files=("a.csv", "b.csv"),
        digests={"a.csv": "1" * 64, "b.csv": "1" * 64, "empty.csv": "1" * 64},
    )
    timed = one("duplicated-files", tmp_path, recording)
    assert (timed.severity, "a.csv = b.csv" in timed.evidence) == ("warning", True)
    assert "empty.csv" not in timed.evidence
    assert one("duplicated-files", tmp_path, recording, **RANDOM).severity == "error"


def test_rows_out_of_order_are_told_with_the_first(tmp_path: Path) -> None:
    recording = recorded(noise(100), labels=texts(rare(100)))
    line = recording.line.copy()
    line[[40, 41]] = line[[41, 40]]
    finding = one("timestamps-out-of-order", tmp_path, replace(recording, line=line))
    assert names(finding.evidence, "1 rows")
    assert "a.csv line 43" in finding.evidence
    assert "data.run = 'restart'" in finding.remedy
    assert not found("timestamps-out-of-order", tmp_path, recording)


def test_runs_that_go_by_one_name_are_told_as_a_mixture(tmp_path: Path) -> None:
    recording = recorded(noise(1000), asset=np.repeat([0, 1], 500), labels=texts(rare(1000)))
    mixed, _ = replace(recording, asset=np.zeros(1000, dtype=np.int64)).in_time_order()
    finding = one("same-time-rows", tmp_path, mixed)
    assert finding.severity == "error"
    assert names(finding.evidence, "500 rows")
    assert names(finding.evidence, "a.csv line 2", "a.csv line 502")
    assert "data.run = 'restart'" in finding.remedy
    assert one("same-time-rows", tmp_path, mixed, window={"length": 1}).severity == "warning"
    assert not found("same-time-rows", tmp_path, recording, data=BY_ASSET)


def test_clock_of_whole_seconds_is_no_mixture(tmp_path: Path) -> None:
    recording = recorded(noise(1000), labels=texts(rare(1000)))
    coarse = replace(recording, times_ns=recording.times_ns // 10**10 * 10**10)
    assert one("same-time-rows", tmp_path, coarse).severity == "warning"


@pytest.mark.parametrize("length", [1, 4])
def test_times_rounded_until_nearly_all_rows_share_them_are_an_error(
    tmp_path: Path, length: int
) -> None:
    recording = recorded(noise(400), labels=texts(rare(400)))
    rounded = replace(recording, times_ns=recording.times_ns // 10**11 * 10**11)
    finding = one("same-time-rows", tmp_path, rounded, window={"length": length})
    assert finding.severity == "error"
    assert names(finding.evidence, "400 rows lie on 4 instants", "a.csv line 2")
    assert names(finding.remedy, "1.7E+12", "data.time.step_s")


def turned_back(recording: Recording, *, by_s: int) -> Recording:
    back = np.where(np.arange(len(recording)) >= 60, by_s * 10**9, 0)
    return replace(recording, times_ns=recording.times_ns - back).in_time_order()[0]


def test_hour_that_comes_twice_is_told_as_a_change_of_clocks(tmp_path: Path) -> None:
    recording = recorded(noise(200), labels=texts(rare(200)), step_s=60)
    clock = turned_back(recording, by_s=3600)
    finding = one("timestamps-out-of-order", tmp_path, clock)
    assert names(finding.evidence, "60 minutes come twice", "a.csv line 62")
    assert (finding.severity, "data.time.zone" in finding.remedy) == ("error", True)
    zoned = {"time": {"column": "time", "zone": "UTC"}}
    assert one("timestamps-out-of-order", tmp_path, clock, data=zoned).severity == "warning"
    other = turned_back(recorded(noise(200), labels=texts(rare(200)), step_s=60), by_s=1200)
    assert one("timestamps-out-of-order", tmp_path, other).severity == "warning"


def test_signals_that_never_come_together_are_told(tmp_path: Path) -> None:
    values = noise(300)
    values[0::2, 0] = values[1::2, 1] = np.nan
    recording = recorded(values, labels=texts(rare(300)))
    finding = one("signals-apart", tmp_path, recording)
    assert names(finding.evidence, "of 300 rows with a value 0 have all", "'pressure' in 150")
    assert names(finding.remedy, "data.rows = 'messages'", "max_age_s", "window.trigger")
    carried = replace(recording, reported=~np.isnan(values))
    assert not found("signals-apart", tmp_path, carried)
    values[:100] = 1.0
    assert not found("signals-apart", tmp_path, recorded(values, labels=texts(rare(300))))


def meter(step: float, level: float) -> Recording:
    values = noise(400)
    values[:, 0] = level + step * np.arange(400)
    return recorded(values, labels=texts(rare(400)))


@pytest.mark.parametrize(("step", "level"), [(0.5, 2e7), (0.075, 1.7e9)])
def test_meter_whose_steps_float32_cannot_hold_is_told_with_its_offset(
    tmp_path: Path, step: float, level: float
) -> None:
    finding = one("steps-lost", tmp_path, meter(step, level))
    assert names(finding.evidence, f"'pressure' is near {level + 399 * step:.10g}", f"{step:g}")
    offset = float(finding.remedy.split("offset = ")[1].split(",")[0])
    given = [{"name": "pressure", "offset": offset}, {"name": "flow"}]
    assert not found("steps-lost", tmp_path, meter(step, level), signals=given)
    assert not found("constant-signal", tmp_path, meter(step, level))


def test_signal_that_float32_holds_has_lost_no_steps(tmp_path: Path) -> None:
    assert not found("steps-lost", tmp_path, meter(1.0, 1e6))
    assert not found("steps-lost", tmp_path, recorded(noise(400), labels=texts(rare(400))))


# A target that changes.


def remembering(rows: int, *, seed: int, memory: float = 0.95) -> NDArray[np.float64]:
    """A series in which each value is nearly the one before; its spread is 1."""
    drawn = np.random.default_rng(seed).normal(size=rows)
    series = np.empty(rows)
    series[0] = drawn[0]
    for row in range(1, rows):
        series[row] = memory * series[row - 1] + np.sqrt(1 - memory**2) * drawn[row]
    return series


def test_target_that_drifts_is_told_with_its_size(tmp_path: Path) -> None:
    y = remembering(3000, seed=0) + 2.0 * (np.arange(3000) >= 2250)
    finding = one("target-drift", tmp_path, recorded(noise(3000), labels=y), target=NUMBER)
    assert "standard deviations" in finding.evidence


def test_target_that_only_wanders_seldom_raises_an_alarm(tmp_path: Path) -> None:
    raised = 0
    for seed in range(40):
        recording = recorded(noise(1500), labels=remembering(1500, seed=seed))
        raised += len(found("target-drift", tmp_path, recording, target=NUMBER))
    assert raised <= 4


def test_class_that_becomes_common_is_told(tmp_path: Path) -> None:
    drawn = np.random.default_rng(0).random(2000)
    labels = texts(drawn < np.where(np.arange(2000) < 1500, 0.1, 0.5))
    finding = one("target-drift", tmp_path, recorded(noise(2000), labels=labels))
    assert "'1' 10." in finding.evidence
    assert not found("target-drift", tmp_path, recorded(noise(2000), labels=texts(drawn < 0.2)))


def test_runs_that_were_stopped_early_make_no_drift(tmp_path: Path) -> None:
    asset = np.repeat(np.arange(20), 60)
    recording = recorded(noise(1200), asset=asset)
    is_stopped = (recording.asset >= 12).astype(np.int64)
    files = {"train.csv": "1" * 64, "test.csv": "2" * 64}
    recording = replace(recording, files=tuple(files), file=is_stopped, digests=files)
    (tmp_path / "left.txt").write_text(
        "asset,left\n" + "".join(f"p{n},40\n" for n in range(12, 20))
    )
    target = {"task": "regression", "remaining": "s", "left": "left.txt"}
    split_ = {"method": "predefined", "test_files": ["test.csv"]}
    sections = {"data": BY_ASSET, "target": target, "split": split_}
    assert not found("target-drift", tmp_path, recording, **sections)
    # Where both parts are of stopped runs, it is no matter of the protocol.
    (tmp_path / "left.txt").write_text(
        "asset,left\n" + "".join(f"p{n},{100 if n < 12 else 40}\n" for n in range(20))
    )
    assert one("target-drift", tmp_path, recording, **sections).about == "test"


# Signals and events.


def test_constant_empty_and_stuck_signals_are_named(tmp_path: Path) -> None:
    values = noise(1000)
    values[:, 1] = 7.0
    labels = texts(rare(1000))
    recording = recorded(values, labels=labels)
    assert "'flow' is always 7" in one("constant-signal", tmp_path, recording).evidence
    values[20:, 1] = np.nan
    recording = recorded(values, labels=labels)
    few = one("nearly-empty-signal", tmp_path, recording)
    assert (few.severity, "'flow' in 97" in few.evidence) == ("warning", True)
    values[:, 1] = np.nan
    assert one("nearly-empty-signal", tmp_path, recorded(values, labels=labels)).severity == "error"
    values[:, 1] = values[:, 0]
    values[500:600, 1] = 3.25
    stuck = one("stuck-signal", tmp_path, recorded(values, labels=labels))
    assert names(stuck.evidence, "'flow'", "3.25", "100 rows", "a.csv line 502")


def test_derived_signal_that_cannot_be_computed_is_an_error(tmp_path: Path) -> None:
    recording = recorded(np.abs(noise(1000)), labels=texts(rare(1000)))
    derived = [{"name": "power", "expression": "log(0 - flow)"}]
    finding = one("nearly-empty-signal", tmp_path, recording, derived=derived)
    assert (finding.severity, "'power'" in finding.evidence) == ("error", True)
    derived = [{"name": "power", "expression": "log(flow)"}]
    assert not found("nearly-empty-signal", tmp_path, recording, derived=derived)


def test_signal_that_moves_in_steps_is_not_stuck(tmp_path: Path) -> None:
    values = noise(2000)
    values[:, 1] = np.arange(2000) // 60
    assert not found("stuck-signal", tmp_path, recorded(values, labels=texts(rare(2000))))


@pytest.mark.parametrize("stray", [-9999.0, 65535.0])
def test_number_that_means_no_value_is_told(tmp_path: Path, stray: float) -> None:
    values = noise(1000)
    values[::50, 1] = stray
    finding = one("stray-value", tmp_path, recorded(values, labels=texts(rare(1000))))
    assert names(finding.evidence, "'flow'", f"{stray:g}", "14 samples")


def test_machine_that_is_off_and_a_single_peak_are_not_stray(tmp_path: Path) -> None:
    values = noise(1000)
    values[:, 0] += 500
    values[::50, 0] = 0.0
    values[7, 1] = 9999.0
    assert not found("stray-value", tmp_path, recorded(values, labels=texts(rare(1000))))


def test_number_of_the_row_is_told_but_not_the_age_of_a_run(tmp_path: Path) -> None:
    values = noise(1000)
    values[:, 1] = np.arange(1000)
    recording = recorded(values, labels=texts(rare(1000)))
    assert "'flow' by 1" in one("counting-signal", tmp_path, recording).evidence
    values[:, 1] = np.arange(1000) % 50
    recording = recorded(values, asset=np.arange(1000) // 50, labels=texts(rare(1000)))
    of_runs = {"data": BY_ASSET, "split": {"method": "group"}}
    assert not found("counting-signal", tmp_path, recording, **of_runs)


def wandering(rows: int) -> NDArray[np.float64]:
    """The first signal is noise; the second climbs and falls once, with a little noise on it."""
    values = noise(rows)
    values[:, 1] = 20 + 5 * np.sin(np.arange(rows) * 2 * np.pi / rows) + 0.7 * values[:, 1]
    values[::7, 1] = np.nan
    return values


def test_signal_that_wandered_through_its_range_once_is_named_to_a_detector(tmp_path: Path) -> None:
    sections = {"target": DETECTOR, "window": {"length": 20}}
    recording = recorded(wandering(2000), labels=texts(np.zeros(2000)))
    finding = one("wandering-signal", tmp_path, recording, **sections)
    assert finding.severity == "warning"
    assert "'flow' (9" in finding.evidence
    assert "'pressure'" not in finding.evidence
    assert finding.remedy


def test_signal_that_came_back_often_or_of_many_assets_does_not_wander(tmp_path: Path) -> None:
    often = np.tile(wandering(500), (12, 1))
    sections = {"target": DETECTOR, "window": {"length": 20}}
    recording = recorded(often, labels=texts(np.zeros(6000)))
    assert not found("wandering-signal", tmp_path, recording, **sections)
    recording = recorded(wandering(6000), asset=np.arange(6000) % 12, labels=texts(np.zeros(6000)))
    several = {**sections, "data": BY_ASSET}
    assert not found("wandering-signal", tmp_path, recording, **several)


def test_wandering_is_no_matter_where_labels_tell_what_is_normal(tmp_path: Path) -> None:
    recording = recorded(wandering(2000), labels=texts(rare(2000)))
    assert not found("wandering-signal", tmp_path, recording, window={"length": 20})


def test_events_are_counted_not_rows(tmp_path: Path) -> None:
    event = (np.arange(1000) // 50 % 5 == 4).astype(np.int64)
    finding = one("too-few-positives", tmp_path, recorded(noise(1000), labels=texts(event)))
    assert names(finding.evidence, "'1'", "3", "1")
    assert "begins at 0.03" in finding.evidence
    recording = recorded(noise(1000), labels=texts(rare(1000)))
    assert not found("too-few-positives", tmp_path, recording)


def test_whole_runs_are_what_remaining_life_is_learned_from(tmp_path: Path) -> None:
    recording = recorded(noise(200), asset=np.arange(200) % 8)
    target = {"task": "regression", "remaining": "s"}
    sections = {"data": BY_ASSET, "target": target, "split": {"method": "group"}}
    finding = one("too-few-positives", tmp_path, recording, **sections)
    assert names(finding.evidence, "6", "2")


# What becomes of errors.


def leaking() -> Recording:
    values = noise(1000)
    values[:, 1] = rare(1000)
    return recorded(values, labels=texts(rare(1000)))


def test_errors_end_the_training_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r'set checks.allow = \["target-leak"\]'):
        examine(subject(tmp_path, leaking(), **RANDOM))


def test_error_that_the_recipe_allows_is_reported_as_overridden(tmp_path: Path) -> None:
    allowing = {**RANDOM, "checks": {"allow": ["target-leak"]}}
    (finding,) = examine(subject(tmp_path, leaking(), **allowing))
    assert finding.overridden
    assert names(str(finding), "target-leak", "allowed")


def test_sound_data_passes_every_check(tmp_path: Path) -> None:
    recording = recorded(noise(1000), labels=texts(rare(1000)))
    assert examine(subject(tmp_path, recording)) == ()
