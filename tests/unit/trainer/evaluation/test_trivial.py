"""A model is compared with answers that need none, and is told where it does not beat them."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix
from sklearn.pipeline import Pipeline

from models.bundle.manifest import Manifest, Metrics, Output, Task
from tests.kit.bundles.factories import make_manifest
from tests.kit.recordings import recipe, recorded
from tests.kit.wording import names
from trainer.dataset.splits import split
from trainer.dataset.subject import Subject
from trainer.dataset.targets import truth
from trainer.estimators.fitting import Model
from trainer.evaluation.baseline import not_beaten, to_confirm
from trainer.evaluation.metrics import measured
from trainer.evaluation.trivial import figures, peirce, trivial

ROWS = 600
NUMBER = {"task": "regression", "column": "label"}
DETECTOR = {"task": "anomaly", "column": "label", "normal": "0"}
CLASSES = {"task": "classification", "column": "label"}


def subject(folder: Path, target: Mapping[str, object], labels: object) -> Subject:
    """Half of the rows test, in windows of four of two signals of noise."""
    made = recipe(folder, target=target, split={"method": "time", "test": 0.5})
    recording = recorded(np.random.default_rng(0).normal(size=(ROWS, 2)), labels=labels)
    known = truth(recording, made)
    return Subject(recording, known, made, split(recording, known, made, made.window.spec(1000)))


def model(task: Task, classes: tuple[str, ...] = ()) -> Model:
    value = Output(
        name="value",
        dtype="int64" if classes else "float32",
        meaning="",
        classes=classes,
    )
    return Model(task, Pipeline([("none", "passthrough")]), (value,))


def truth_of(one: Subject) -> NDArray[Any]:
    return one.truth.y[one.parts.test.rows]


def skills(one: Subject, of: Model, value: NDArray[Any]) -> dict[str, float]:
    answers = {"value": value, "score": value.astype(np.float32)}
    return measured(trivial(one, of, answers).skill, len(value))


def test_numbers_are_beside_the_mean_the_last_value_and_a_line(tmp_path: Path) -> None:
    rising = np.arange(ROWS, dtype=np.float64)
    one = subject(tmp_path, NUMBER, rising)
    y = truth_of(one)
    found = trivial(one, model("regression"), {"value": y})
    table = figures(model("regression"), found, y)
    assert list(table) == ["mean", "last value", "line"]
    train = one.truth.y[one.parts.train.rows].mean()
    assert table["mean"]["mae"] == pytest.approx((y - train).mean(), rel=1e-4)
    # The window is four rows long: the row before it is four older than its last one.
    assert table["last value"]["mae"] == 4
    assert set(skills(one, model("regression"), y).values()) == {1.0}
    by_mean = skills(one, model("regression"), np.full(len(y), train))
    assert by_mean["skill"] == pytest.approx(0)
    assert by_mean["skill_over_last_value"] < -1000


def test_line_is_fitted_on_the_training_part(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(ROWS, 2))
    one = subject(tmp_path, NUMBER, 3 * values[:, 0] - values[:, 1] + 7)
    y = truth_of(one)
    found = trivial(one, model("regression"), {"value": y})
    assert figures(model("regression"), found, y)["line"]["r2"] > 0.99


def test_remaining_life_has_no_last_value(tmp_path: Path) -> None:
    made = recipe(
        tmp_path,
        data={"asset_column": "pump"},
        target={"task": "regression", "remaining": "s"},
        split={"method": "group", "test": 0.5},
    )
    recording = recorded(np.zeros((ROWS, 2)), asset=np.arange(ROWS) % 4)
    known = truth(recording, made)
    parts = split(recording, known, made, made.window.spec(1000))
    one = Subject(recording, known, made, parts)
    found = trivial(one, model("regression"), {"value": np.zeros(len(parts.test))})
    assert list(found.answers) == ["mean", "line"]


def test_alarms_are_beside_never_and_always(tmp_path: Path) -> None:
    labels = np.where(np.arange(ROWS) % 100 >= 80, "1", "0").astype(object)
    one = subject(tmp_path, DETECTOR, labels)
    y, detector = truth_of(one), model("anomaly", ("normal", "anomaly"))
    table = figures(detector, trivial(one, detector, {"value": y}), y)
    assert table["never"]["recall"] == table["never"]["false_alarm_rate"] == 0
    assert table["always"]["recall"] == table["always"]["false_alarm_rate"] == 1
    assert table["always"]["roc_auc"] == 0.5
    for constant in (0, 1):
        assert skills(one, detector, np.full(len(y), constant)) == {"skill": 0}
    unlabelled = replace(one, truth=replace(one.truth, labelled=False))
    assert trivial(unlabelled, detector, {"value": y}).answers == {}


def test_classes_are_beside_the_most_frequent_of_the_training_part(tmp_path: Path) -> None:
    labels = np.array(["a", "b", "b", "c"], dtype=object)[np.arange(ROWS) % 4]
    one = subject(tmp_path, CLASSES, labels)
    y, three = truth_of(one), model("classification", ("a", "b", "c"))
    table = figures(three, trivial(one, three, {"value": y}), y)
    assert table == {
        "majority": {
            "accuracy": pytest.approx(0.5, abs=0.01),
            "macro_f1": pytest.approx(0.222, abs=0.01),
        }
    }


@given(st.integers(0, 300), st.integers(2, 4))
def test_skill_of_two_classes_is_recall_minus_false_alarm_rate(seed: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    y, value = rng.integers(0, classes, 80), rng.integers(0, classes, 80)
    table = confusion_matrix(y, value, labels=range(classes), normalize="all")
    true, said = table.sum(axis=1), table.sum(axis=0)
    wanted = (np.trace(table) - true @ said) / (1 - true @ true)
    (found,) = peirce(value, y)(np.ones((1, 80)))["skill"]
    assert found == pytest.approx(wanted)
    if classes == 2:
        assert found == pytest.approx((value[y == 1] == 1).mean() - (value[y == 0] == 1).mean())


def told(interval: tuple[float, float] | None, name: str = "skill", value: float = 0.1) -> Manifest:
    bounds = {} if interval is None else {name: interval}
    metrics = Metrics(split="s", test_rows=9, values={name: value}, intervals=bounds)
    return make_manifest(metrics=metrics)


def test_skill_that_may_be_none_is_told_and_asked_about() -> None:
    (said,) = not_beaten(told((-0.1, 0.3)))
    assert names(said, "skill", "-0.10", "0.30", "mean")
    assert to_confirm(told((-0.1, 0.3))) == (said,)
    assert not_beaten(told((0.05, 0.3))) == ()
    assert not_beaten(told(None)) == ()
    assert len(not_beaten(told(None, value=-0.1))) == 1


def test_line_and_last_value_are_told_where_they_are_better() -> None:
    for name, asked in (("skill_over_line", 1), ("skill_over_last_value", 0)):
        manifest = told((-0.5, -0.2), name, -0.3)
        assert names(*not_beaten(manifest), name.removeprefix("skill_over_").replace("_", " "))
        assert len(to_confirm(manifest)) == asked
    assert not_beaten(told((-0.5, 0.2), "skill_over_line", -0.3)) == ()
    (doubtful,) = not_beaten(told((-0.5, 0.2), "skill_over_last_value", -0.3))
    assert names(doubtful, "not shown to beat", "last value", "window.lengths")
    assert not_beaten(told((-0.2, 0.5), "skill_over_last_value", 0.3)) == ()
