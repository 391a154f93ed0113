"""Windows of recorded rows, their truth, and the honest ways to part them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from models.windowing.windows import Windows
from tests.kit.recordings import pump_rows, recipe, recorded, write_csv
from tests.kit.wording import names, naming
from trainer.checks.row_notes import row_notes
from trainer.dataset.splits import FOLDS, Parts, blocks, folds, split
from trainer.dataset.targets import Truth, truth
from trainer.dataset.training_rows import training_rows
from trainer.dataset.windows import window_rows
from trainer.errors import DataError
from trainer.ingest.recording import Recording
from trainer.recipe.document import Recipe


def rising(rows: int) -> NDArray[np.float64]:
    return np.column_stack([np.arange(rows), np.arange(rows) / 10]).astype(np.float64)


def zeros(rows: int) -> NDArray[np.object_]:
    return np.full(rows, "0", dtype=object)


def parted(recording: Recording, made: Recipe) -> tuple[Parts, Truth]:
    known = truth(recording, made)
    return split(recording, known, made, made.window.spec(1000)), known


DETECTOR = {"task": "anomaly", "column": "label", "normal": 0}
REMAINING = {"task": "regression", "remaining": "s", "cap": 5}
BY_ASSET = {"asset_column": "pump"}
PUMP = pump_rows(300)


def test_windows_are_those_of_the_shared_code(tmp_path: Path) -> None:
    made = recipe(tmp_path, window={"length": 3, "hop": 2})
    asset = np.arange(40) % 3
    values = rising(40)
    values[7, 1] = np.nan
    recording = recorded(values, asset=asset)
    trained = window_rows(recording, np.arange(40), made.window.spec(1000), made.channels)
    live = Windows(made.window.spec(1000), made.channels)
    for row in range(40):
        name = recording.assets[recording.asset[row]]
        live.push(name, int(recording.times_ns[row]), (0, 1), recording.values[row].tolist())
    batch = live.take()
    np.testing.assert_array_equal(trained.values, batch.values)
    assert [recording.assets[index] for index in trained.asset] == batch.assets
    assert recording.times_ns[trained.rows].tolist() == batch.times_ns


def test_window_is_labelled_by_its_last_sample(tmp_path: Path) -> None:
    made = recipe(tmp_path)
    trained = window_rows(
        recorded(rising(10)), np.arange(10), made.window.spec(1000), made.channels
    )
    assert trained.rows.tolist() == [3, 4, 5, 6, 7, 8, 9]
    assert trained.values[:, -1, 0].tolist() == [3, 4, 5, 6, 7, 8, 9]


def test_window_without_a_required_signal_is_left_out(tmp_path: Path) -> None:
    signals = [{"name": "pressure", "missing": "require"}, {"name": "flow"}]
    made = recipe(tmp_path, signals=signals)
    values = rising(12)
    values[6, 0] = np.nan
    trained = window_rows(recorded(values), np.arange(12), made.window.spec(1000), made.channels)
    assert trained.rows.tolist() == [3, 4, 5, 10, 11]
    assert trained.bad == 4


def test_windows_that_would_fill_the_memory_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.dataset.windows.MAX_BYTES", 1000)
    made = recipe(tmp_path)
    with pytest.raises(DataError, match=r"window\.hop to 4"):
        window_rows(recorded(rising(100)), np.arange(100), made.window.spec(1000), made.channels)


def test_time_split_leaves_a_gap_as_long_as_the_window(tmp_path: Path) -> None:
    made = recipe(tmp_path, target=DETECTOR, split={"method": "time", "test": 0.25})
    parts, _ = parted(recorded(rising(100), labels=zeros(100)), made)
    assert parts.train.rows.max() == 74
    assert parts.test.rows.min() == 78
    assert parts.test.values[0, 0, 0] == 75
    assert names(parts.said, "time", "1970-01-01T00:01:15Z", "25%")


def test_first_rows_of_each_asset_can_be_the_training_part(tmp_path: Path) -> None:
    made = recipe(
        tmp_path, data=BY_ASSET, target=DETECTOR, split={"method": "time", "train_rows": 10}
    )
    recording = recorded(rising(60), asset=np.arange(60) % 2, labels=zeros(60))
    parts, _ = parted(recording, made)
    assert recording.rank()[parts.train.rows].max() == 9
    assert recording.rank()[parts.test.rows].min() == 13


def test_group_split_keeps_assets_whole(tmp_path: Path) -> None:
    made = recipe(
        tmp_path, data=BY_ASSET, target=REMAINING, split={"method": "group", "test": 0.25}
    )
    recording = recorded(rising(200), asset=np.arange(200) % 8)
    parts, known = parted(recording, made)
    assert not set(parts.train.asset) & set(parts.test.asset)
    assert len(set(parts.test.asset)) == 2
    assert names(parts.said, "group", "2 of 8")
    assert known.y.max() == 5
    assert known.y[-8:].tolist() == [0] * 8


def test_group_split_takes_a_share_of_each_class_where_a_group_has_one(tmp_path: Path) -> None:
    """Twelve runs, three of them worn: four in ten blind draws of three have none of these."""
    classes = {"task": "classification", "column": "label"}
    split_by = {"method": "group", "test": 0.25}
    made = recipe(tmp_path, data=BY_ASSET, target=classes, split=split_by)
    asset = np.repeat(np.arange(12), 20)
    label = np.where(asset < 3, "worn", "ok").astype(object)
    for seed in range(20):
        parts, known = parted(
            recorded(rising(240), asset=asset, labels=label), made.model_copy(update={"seed": seed})
        )
        assert np.unique(parts.test.asset).size == 3
        assert np.bincount(known.y[parts.test.rows]).min() > 0
        assert names(parts.said, "3 of 12", "a share of each class")


def test_groups_without_a_label_are_no_class_of_their_own(tmp_path: Path) -> None:
    classes = {"task": "classification", "column": "label"}
    split_by = {"method": "group", "test": 0.5}
    made = recipe(tmp_path, data=BY_ASSET, target=classes, split=split_by)
    asset = np.repeat(np.arange(6), 20)
    label = np.array(["worn", "worn", "ok", "ok", "", ""], dtype=object)[asset]
    for seed in range(10):
        parts, known = parted(
            recorded(rising(120), asset=asset, labels=label), made.model_copy(update={"seed": seed})
        )
        assert np.bincount(known.y[parts.test.rows]).tolist() == [17, 17]


def test_group_split_of_one_asset_is_refused(tmp_path: Path) -> None:
    made = recipe(tmp_path, data=BY_ASSET, target=REMAINING, split={"method": "group"})
    with pytest.raises(DataError, match=naming("'time'")):
        parted(recorded(rising(20)), made)


def alone(folder: Path, method: str, **sections: object) -> Recipe:
    return recipe(
        folder,
        **{
            "data": {"time": None},
            "window": {"length": 1},
            "split": {"method": method, "test": 0.2},
            **sections,
        },
    )


def test_stratified_split_keeps_the_share_of_each_class(tmp_path: Path) -> None:
    labels = np.where(np.arange(100) % 10 == 0, "bad", "good").astype(object)
    parts, known = parted(recorded(rising(100), labels=labels), alone(tmp_path, "stratified"))
    assert known.classes == ("bad", "good")
    assert (known.y[parts.test.rows] == 0).sum() == 2
    assert not set(parts.test.rows) & set(parts.train.rows)


def test_class_that_is_too_rare_to_split_is_named(tmp_path: Path) -> None:
    labels = np.array(["good"] * 97 + ["bad"] * 3, dtype=object)
    with pytest.raises(DataError, match=naming("'bad'", "5")):
        parted(recorded(rising(100), labels=labels), alone(tmp_path, "stratified"))


def test_random_split_of_a_time_series_says_that_it_flatters(tmp_path: Path) -> None:
    made = recipe(tmp_path, target=DETECTOR, split={"method": "random-optimistic"})
    parts, _ = parted(recorded(rising(100), labels=zeros(100)), made)
    assert "OPTIMISTIC" in parts.said


def test_part_without_a_window_is_refused(tmp_path: Path) -> None:
    made = recipe(tmp_path, target=DETECTOR, split={"method": "time", "train_rows": 98})
    with pytest.raises(DataError, match=naming("test part", "4 samples")):
        parted(recorded(rising(100), labels=zeros(100)), made)


def test_detector_is_trained_where_the_whole_window_is_normal(tmp_path: Path) -> None:
    labels = zeros(40)
    labels[10] = "1"
    labels[20] = ""
    made = recipe(tmp_path, target=DETECTOR, split={"method": "time", "train_rows": 30})
    parts, known = parted(recorded(rising(40), labels=labels), made)
    assert not set(parts.train.rows) & {10, 11, 12, 13, 20, 21, 22, 23}
    assert known.y[10] == 1
    assert (parts.unknown, parts.unusable) == (1, 7)


def test_windows_of_one_asset_are_normal_whatever_another_does(tmp_path: Path) -> None:
    labels = zeros(40)
    labels[20] = "1"  # of asset 0
    made = recipe(tmp_path, data=BY_ASSET, target=DETECTOR, split={"method": "time", "test": 0.1})
    known = truth(recorded(rising(40), asset=np.arange(40) % 2, labels=labels), made)
    assert np.flatnonzero(~known.usable).tolist() == [20, 22, 24, 26]


def test_detector_can_do_without_labels(tmp_path: Path) -> None:
    made = recipe(tmp_path, target={"task": "anomaly"})
    known = truth(recorded(rising(10)), made)
    assert known.usable.all()
    assert not known.labelled


def test_label_that_is_no_class_is_told_with_its_line(tmp_path: Path) -> None:
    target = {"task": "classification", "column": "label", "classes": ["0", "1"]}
    labels = zeros(10)
    labels[4] = "2"
    with pytest.raises(DataError, match=naming("a.csv line 6, column 'label'", "'2'", "0, 1")):
        truth(recorded(rising(10), labels=labels), recipe(tmp_path, target=target))


def test_number_taken_for_a_class_is_told(tmp_path: Path) -> None:
    labels = np.array([str(number) for number in range(1001)], dtype=object)
    with pytest.raises(DataError, match=naming("'regression'")):
        truth(recorded(rising(1001), labels=labels), recipe(tmp_path))


def test_classes_that_are_found_are_in_order(tmp_path: Path) -> None:
    labels = np.array(["10", "2", "", "b", "a"] * 2, dtype=object)
    known = truth(recorded(rising(10), labels=labels), recipe(tmp_path))
    assert known.classes == ("2", "10", "a", "b")
    assert known.known.tolist() == [True, True, False, True, True] * 2


def test_blocks_hold_out_every_window_once_with_a_gap(tmp_path: Path) -> None:
    made = recipe(tmp_path, data=BY_ASSET)
    asset = np.arange(200) % 2
    trained = window_rows(
        recorded(rising(200), asset=asset), np.arange(200), made.window.spec(1000), made.channels
    )
    held = []
    for fitted, out in blocks(trained, 4):
        held.append(out)
        for one in (0, 1):
            inside = trained.values[fitted][trained.asset[fitted] == one][:, :, 0]
            outside = trained.values[out][trained.asset[out] == one][:, :, 0]
            assert not set(inside.ravel()) & set(outside.ravel())
    assert sorted(np.concatenate(held)) == list(range(len(trained)))


@pytest.mark.parametrize("assets", [8, 2])
def test_folds_of_a_group_split_hold_out_assets_where_there_are_enough(
    tmp_path: Path, assets: int
) -> None:
    made = recipe(tmp_path, data=BY_ASSET, target=REMAINING, split={"method": "group"})
    recording = recorded(rising(240), asset=np.arange(240) % assets)
    trained = window_rows(recording, np.arange(240), made.window.spec(1000), made.channels)
    parts = list(folds(trained, truth(recording, made), made))
    assert len(parts) == FOLDS
    apart = all(not set(trained.asset[f]) & set(trained.asset[out]) for f, out in parts)
    assert apart == (assets >= FOLDS)


def test_folds_of_single_rows_keep_the_share_of_each_class(tmp_path: Path) -> None:
    labels = np.where(np.arange(100) % 10 == 0, "bad", "good").astype(object)
    recording = recorded(rising(100), labels=labels)
    made = alone(tmp_path, "stratified")
    known = truth(recording, made)
    trained = window_rows(recording, np.arange(100), made.window.spec(None), made.channels)
    assert [int((known.y[out] == 0).sum()) for _, out in folds(trained, known, made)] == [2] * 5


def test_what_was_left_out_is_said(tmp_path: Path) -> None:
    made = recipe(
        tmp_path,
        signals=[{"name": "pressure", "range": [0, 90]}, {"name": "flow", "missing": "require"}],
        target=DETECTOR,
        window={"length": 4, "period_s": 60},
    )
    values = rising(100)
    values[:, 1] = 7.0
    values[[85, 86], 1] = np.nan
    recording = recorded(values, labels=zeros(100))
    repeated = recording.take(np.sort(np.append(np.arange(100), 3)))
    parts, _ = parted(repeated, made)
    wanted = (
        ("window.period_s", "60", "1 s"),
        ("'pressure'", "9 of 100", "9.0%"),
        ("'flow'", "2 of 100", "2.0%"),
        ("1 rows",),
        ("5 windows",),
    )
    found = row_notes(repeated, made, parts)
    assert [names(said, *values) for said, values in zip(found, wanted, strict=True)] == [True] * 5


def test_pause_begins_the_window_anew_and_is_said(tmp_path: Path) -> None:
    made = recipe(tmp_path, target=DETECTOR, window={"length": 4, "max_gap_s": 5})
    recording = recorded(rising(100), labels=zeros(100))
    paused = recording.take(np.delete(np.arange(100), np.arange(20, 30)))
    parts, _ = parted(paused, made)
    assert not set(parts.train.rows) & {20, 21, 22}
    (said,) = row_notes(paused, made, parts)
    assert names(said, "1", "window.max_gap_s")


def test_rows_soon_after_the_training_part_can_be_left_out(tmp_path: Path) -> None:
    split = {"method": "time", "test": 0.25, "gap_s": 10}
    made = recipe(tmp_path, target=DETECTOR, split=split)
    parts, _ = parted(recorded(rising(100), labels=zeros(100)), made)
    assert parts.train.rows.max() == 74
    assert parts.test.values[0, 0, 0] == 85
    assert names(parts.said, "10 rows", "10 s")


def test_gap_follows_the_last_training_row_of_each_asset(tmp_path: Path) -> None:
    split = {"method": "time", "train_rows": 10, "gap_s": 5}
    made = recipe(tmp_path, data=BY_ASSET, target=DETECTOR, split=split)
    recording = recorded(rising(60), asset=np.arange(60) % 2, labels=zeros(60))
    parts, _ = parted(recording, made)
    # Row 9 is trained on; those less than 5 s after it are left out, so 14 is the first to test.
    assert recording.rank()[parts.test.rows].min() == 14 + 3


def test_files_can_be_the_test_part(tmp_path: Path) -> None:
    split = {"method": "predefined", "test_files": ["b*.csv"]}
    made = recipe(tmp_path, target=DETECTOR, split=split)
    recording = recorded(rising(100), labels=zeros(100))
    digests = {"x/a.csv": "a" * 64, "x/b.csv": "b" * 64}
    recording = replace(recording, files=tuple(digests), file=np.arange(100) // 50, digests=digests)
    parts, _ = parted(recording, made)
    assert (parts.train.rows.max(), parts.test.rows.min()) == (49, 53)
    assert names(parts.said, "predefined", "1 of 2", "bbbbbbbb")
    assert "csv" not in parts.said  # the sentence goes to every gateway


def test_pattern_that_names_no_test_file_is_told(tmp_path: Path) -> None:
    split = {"method": "predefined", "test_files": ["test_*.csv"]}
    made = recipe(tmp_path, target=DETECTOR, split=split)
    with pytest.raises(DataError, match=r"split.test_files: test_\*.csv match none .* a.csv"):
        parted(recorded(rising(100), labels=zeros(100)), made)


BY_COLUMN = {"method": "predefined", "column": "part", "test": ["test"]}


def test_column_can_name_the_test_part_and_no_window_spans_its_holes(tmp_path: Path) -> None:
    made = recipe(tmp_path, target=DETECTOR, split=BY_COLUMN)
    recording = recorded(rising(100), labels=zeros(100))
    member = np.where((np.arange(100) // 20) % 2, "test", "train").astype(object)
    known = replace(truth(recording, made), member=member)
    parts = split(recording, known, made, made.window.spec(1000))
    assert set(member[parts.test.rows]) == {"test"}
    assert set(member[parts.train.rows]) == {"train"}
    for part in (parts.train, parts.test):
        assert np.ptp(part.values[:, :, 0], axis=1).max() == 3
    assert len(parts.train) == 3 * (20 - 3)


def test_value_that_no_row_has_is_told(tmp_path: Path) -> None:
    made = recipe(tmp_path, target=DETECTOR, split={**BY_COLUMN, "test": "tset"})
    recording = recorded(rising(100), labels=zeros(100))
    known = replace(truth(recording, made), member=np.full(100, "test", dtype=object))
    with pytest.raises(DataError, match=naming("'tset'", "'part'", "test")):
        split(recording, known, made, made.window.spec(1000))


def test_groups_of_a_column_stay_whole_in_parts_and_folds(tmp_path: Path) -> None:
    made = recipe(tmp_path, target=DETECTOR, split={"method": "group", "column": "batch"})
    recording = recorded(rising(400), labels=zeros(400))
    batch = np.array([f"b{number // 20}" for number in range(400)], dtype=object)
    known = replace(truth(recording, made), member=batch)
    parts = split(recording, known, made, made.window.spec(1000))
    assert not {*batch[parts.train.rows]} & {*batch[parts.test.rows]}
    assert names(parts.said, "group", "5 of 20")
    for fitted, out in folds(parts.train, known, made):
        assert not {*batch[parts.train.rows[fitted]]} & {*batch[parts.train.rows[out]]}
        assert len(out)


def test_column_of_the_split_is_read_from_the_files(tmp_path: Path) -> None:
    rows = [(stamp, p, f, label, f"b{n // 100}") for n, (stamp, p, f, label) in enumerate(PUMP)]
    write_csv(tmp_path / "pump.csv", ["time", "pressure", "flow", "label", "batch"], rows)
    made = recipe(tmp_path, split={"method": "group", "column": "batch"})
    _, known = training_rows(made)
    assert known.member is not None
    assert known.member.tolist() == [f"b{number // 100}" for number in range(len(rows))]


def test_row_without_a_group_is_told_with_its_place(tmp_path: Path) -> None:
    rows = [(*row, "b" if number != 7 else "") for number, row in enumerate(PUMP)]
    write_csv(tmp_path / "pump.csv", ["time", "pressure", "flow", "label", "batch"], rows)
    made = recipe(tmp_path, split={"method": "group", "column": "batch"})
    with pytest.raises(DataError, match=naming("pump.csv line 9, column 'batch'")):
        training_rows(made)


def test_too_many_stretches_to_window_apart_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.dataset.splits.MAX_PIECES", 10)
    made = recipe(tmp_path, target=DETECTOR, split=BY_COLUMN)
    recording = recorded(rising(100), labels=zeros(100))
    member = np.where(np.arange(100) % 2, "test", "train").astype(object)
    with pytest.raises(DataError, match=naming("100", "10")):
        split(
            recording,
            replace(truth(recording, made), member=member),
            made,
            made.window.spec(1000),
        )
