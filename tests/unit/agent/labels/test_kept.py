"""Kept predictions: bounded, compared once for each label, and forgotten in time."""

import sqlite3
from collections.abc import Iterable
from math import log
from pathlib import Path
from typing import Any

import pytest

from agent.labels.kept import KeptPredictions
from agent.labels.summary import HandOver, Kept, Summary
from agent.labels.tables import CANDIDATE, CHAMPION
from models.input.label import Label, Labels
from serving.gates.e_values import log_above

NOW_S = 1_000_000.0


class File:
    """A file of kept predictions, with a clock that a test sets."""

    def __init__(self, folder: Path, **limits: object) -> None:
        settings: dict[str, Any] = {"horizon_s": 100.0, "settle_s": 10.0, **limits}
        self.path = folder / "labels" / "rul.sqlite3"
        self.kept = KeptPredictions(self.path, Labels(**settings))
        self.now_s = NOW_S

    def write(self, predictions: Iterable[Kept] = (), *labels: Label, **more: Any) -> Summary:  # noqa: ANN401  parts of several types
        """Hand over predictions and labels; `more` are further parts of what is handed over."""
        made = list(predictions)
        classes = {one.seq: more.get("classes", ()) for one in made}
        new = HandOver(made, classes, list(labels), more.get("malformed", 0))
        return self.kept.hand_over(new, self.now_s)


def answers(
    values: Iterable[float], asset: str = "p1", *, at: int = 0, role: int = CHAMPION, seq: int = 1
) -> list[Kept]:
    """One prediction a millisecond."""
    return [
        Kept(role, seq, asset, number, f"{role:02x}{seq:04x}{number:026x}", value)
        for number, value in enumerate(values, start=at)
    ]


def candidate(values: Iterable[float], at: int = 0) -> list[Kept]:
    return answers(values, at=at, role=CANDIDATE, seq=2)


def label(start: int, end: int, value: float | str = 0.0, asset: str = "p1") -> Label:
    return Label(asset, start, end, value)


def test_an_episode_counts_once_however_many_predictions_it_has(tmp_path: Path) -> None:
    file = File(tmp_path)
    file.write(answers([1.0, 3.0, *[0.5] * 1_000, 0.0]))
    found = file.write((), label(0, 2), label(2, 1_002)).errors[1]
    assert (found.episodes, found.predictions, found.total) == (2, 1_002, 2.5)


def test_the_gate_counts_an_episode_once(tmp_path: Path) -> None:
    file = File(tmp_path)
    for number in range(12):
        at = 100 * number
        file.write(answers([1.0] * 100, at=at) + candidate([2.0] * 50, at=at))
    file.write(answers([1.0] * 200, at=1_200) + candidate([0.5] * 100 + [1.0] * 100, at=1_200))
    spans = [label(100 * number, 100 * number + 99) for number in range(13)]
    pair = file.write((), *spans, label(1_300, 1_399)).pairs[1, 2]
    assert pair[:3] == (12, 1, 1)
    gate = pair.gate
    assert (gate.kind, gate.hits, gate.misses) == ("rate", 12, 1)
    assert gate.log_e == pytest.approx(log_above(12, 1, 0.5), abs=1e-6)
    assert gate.log_e > log(10)
    assert pair._replace(larger=1, smaller=12).gate.log_e < 0  # to be better is no fault


def test_models_are_compared_on_the_windows_that_both_have_answered(tmp_path: Path) -> None:
    file = File(tmp_path)
    file.write(answers([9.0, 9.0, 1.0, 1.0, 0.0]) + candidate([2.0, 2.0], at=2))
    summary = file.write((), label(0, 4))
    assert summary.errors[1].total == 5.0
    assert summary.pairs[1, 2] == (1, 0, 0, 1.0, 2.0)


def test_a_candidate_of_other_classes_is_not_compared(tmp_path: Path) -> None:
    file = File(tmp_path)
    file.write(answers([0.0, 0.0, 0.0]), classes=("normal", "worn"))
    file.write(candidate([1.0, 1.0]), classes=("normal", "hot"))
    summary = file.write((), label(0, 2, "worn"))
    assert (summary.errors[1].total, summary.pairs) == (1.0, {})


@pytest.mark.parametrize(
    ("classes", "value", "reason", "error"),
    [
        (("normal", "worn"), "worn", "", 0.5),
        (("normal", "worn"), 1.0, "", 0.5),
        (("1", "0"), 1.0, "", 0.5),
        (("normal", "worn"), 2.0, "unknown_class", None),
        (("normal", "worn"), 0.5, "unknown_class", None),
        (("normal", "worn"), "wrn", "unknown_class", None),
        ((), "worn", "not_a_number", None),
    ],
    ids=["name", "index", "name before index", "no index", "a half", "misspelt", "regression"],
)
def test_the_class_that_is_right_is_found(
    tmp_path: Path, classes: tuple[str, ...], value: float | str, reason: str, error: float | None
) -> None:
    file = File(tmp_path)
    file.write(answers([0.0, 1.0, 0.0]), classes=classes)
    summary = file.write((), label(0, 2, value))
    assert summary.counted == ({reason: 1} if reason else {"compared": 1})
    assert summary.errors[1].total == (error or 0.0)


def test_a_label_waits_for_the_end_of_its_span(tmp_path: Path) -> None:
    file = File(tmp_path)
    first = file.write((), label(0, 10))
    second = file.write(answers([1.0] * 10))
    third = file.write(answers([1.0], at=10))
    assert [one.waiting for one in (first, second, third)] == [1, 1, 0]
    assert third.errors[1] == (1, 10, 10 * 0.1)


def test_a_label_whose_asset_is_silent_is_compared_after_a_while(tmp_path: Path) -> None:
    file = File(tmp_path)
    file.write(answers([1.0] * 5), label(0, 10))
    file.now_s += 9
    assert file.write().waiting == 1
    file.now_s += 1
    assert file.write().errors[1] == (1, 5, 1.0)


def test_labels_that_overlap_are_refused_and_a_mended_one_is_taken(tmp_path: Path) -> None:
    file = File(tmp_path)
    file.write(answers([0.0] * 30), label(0, 10), label(20, 25, "wrong"))
    found = file.write(
        (), label(0, 10), label(0, 10, 1.0), label(9, 12), label(20, 25), label(10, 20)
    )
    assert found.outcomes == ("repeated", "overlapping", "overlapping", "taken", "taken")
    assert found.counted == {"compared": 3, "not_a_number": 1, "overlapping": 2, "repeated": 1}


def test_what_waits_too_long_is_forgotten(tmp_path: Path) -> None:
    file = File(tmp_path)
    file.write([*answers([0.0] * 10), *answers([0.0], "p2")], label(0, 5))
    file.now_s += 60
    file.write(answers([0.0] * 10, at=10))
    file.now_s += 60
    assert file.write().kept == 10
    summary = file.write((), label(5, 12), label(12, 15), label(0, 1, asset="p2"))
    file.now_s += 10
    assert file.write().counted == {"compared": 2, "outside_horizon": 1, "unknown_asset": 1}
    assert summary.outcomes == ("taken",) * 3


def test_predictions_beyond_their_number_make_room(tmp_path: Path) -> None:
    file = File(tmp_path, max_predictions=1_000)
    summary = file.write(answers(map(float, range(2_500))))
    assert summary.kept + summary.counted["removed"] == 2_500
    assert 800 <= summary.kept <= 1_000
    old, new = file.write((), label(0, 100)), file.write((), label(2_400, 2_499))
    assert (old.counted["outside_horizon"], new.counted["compared"]) == (1, 1)


def test_the_file_stays_within_its_bytes(tmp_path: Path) -> None:
    file = File(tmp_path, max_bytes=1 << 20, max_labels=1_000)
    sizes = []
    for at in range(0, 50_000, 5_000):
        summary = file.write(answers([0.0] * 5_000, at=at))
        sizes.append(file.path.stat().st_size)
    file.kept.close()
    assert max(sizes) <= 1 << 20
    assert summary.kept > 5_000
    assert summary.kept + summary.counted["removed"] == 50_000
    assert sum(one.stat().st_size for one in file.path.parent.iterdir()) <= 1 << 20


def test_assets_without_end_do_not_fill_the_file(tmp_path: Path) -> None:
    file = File(tmp_path, max_bytes=1 << 20, max_labels=1_000)
    for at in range(0, 30_000, 1_000):
        made = [answers([0.0], f"asset-{at + number}")[0] for number in range(1_000)]
        summary = file.write(made)
    assert summary.kept > 1_000
    assert file.path.stat().st_size <= 1 << 20


def test_labels_beyond_their_number_are_refused(tmp_path: Path) -> None:
    file = File(tmp_path, max_labels=2)
    summary = file.write((), *(label(10 * number, 10 * number + 5) for number in range(3)))
    assert summary.outcomes == ("taken", "taken", "too_many")


def test_a_label_that_ends_beyond_the_horizon_is_refused(tmp_path: Path) -> None:
    file = File(tmp_path)
    at = int((NOW_S + 100) * 1_000)
    found = file.write((), label(at - 2, at), label(0, at + 1, asset="p2"))
    assert found.outcomes == ("taken", "outside_horizon")


def test_assets_that_another_process_has_forgotten_are_not_mixed_up(tmp_path: Path) -> None:
    agent, command = File(tmp_path), File(tmp_path)
    agent.write(answers([1.0] * 5, "old"))
    command.now_s += 101
    command.write()  # removes the asset, whose number is free again
    command.write(answers([1.0] * 5, "new"))
    agent.now_s = command.now_s
    found = agent.write(answers([2.0] * 5, "old", at=5), label(5, 9, asset="old"))
    assert found.counted == {"compared": 1}
    assert found.errors[1] == (1, 4, 2.0)


def test_everything_is_there_after_a_new_start(tmp_path: Path) -> None:
    file = File(tmp_path)
    before = file.write(answers([1.0] * 20), label(0, 5), label(10, 50), malformed=2)
    file.kept.close()
    again = File(tmp_path)
    assert again.write(answers([1.0] * 20)) == Summary(
        kept=20, waiting=1, counted=before.counted, errors=before.errors
    )


def test_a_damaged_file_is_set_aside_and_a_new_one_begun(tmp_path: Path) -> None:
    file = File(tmp_path)
    file.path.parent.mkdir()
    file.path.write_bytes(b"no database" * 1_000)
    with pytest.raises(sqlite3.Error):
        file.write(answers([1.0]))
    assert file.write(answers([1.0])).kept == 1
    assert file.path.with_suffix(".sqlite3.damaged").read_bytes().startswith(b"no database")


def test_a_file_of_another_release_is_set_aside(tmp_path: Path) -> None:
    file = File(tmp_path)
    file.path.parent.mkdir()
    with sqlite3.connect(file.path) as other:
        other.execute("PRAGMA user_version = 99")
    other.close()
    assert file.write(answers([1.0])).kept == 1


def test_bundles_and_pairs_without_end_do_not_fill_the_file(tmp_path: Path) -> None:
    file = File(tmp_path)
    for number in range(150):
        at, seq = 10 * number, 2 * number + 1
        made = answers([0.0] * 10, at=at, seq=seq)
        made += answers([1.0] * 10, at=at, seq=seq + 1, role=CANDIDATE)
        file.write(made, label(at, at + 9))
    summary = file.write()
    assert len(summary.pairs) <= 102
    assert len(summary.errors) <= 102
    assert summary.pairs[299, 300].larger == 1
