"""Trees in the graph decide as scikit-learn's do, in the smaller of two operators where it can."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import ModelProto
from onnxruntime import InferenceSession
from sklearn.base import BaseEstimator
from sklearn.ensemble import (
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.pipeline import Pipeline

from trainer.graph.converters import convert

ROWS = np.random.default_rng(4).normal(size=(2000, 3)).astype(np.float32)
NUMBERS = ROWS[:, 0] * 2 + ROWS[:, 1] ** 2
WITH_GAPS = np.where(np.random.default_rng(5).random(ROWS.shape) < 0.2, np.float32("nan"), ROWS)


def converted(estimator: BaseEstimator) -> ModelProto:
    return convert(Pipeline([("trees", estimator)]), "x", (3,), "trees")


def answers(model: ModelProto, rows: NDArray[np.float32]) -> list[NDArray[Any]]:
    given: list[NDArray[Any]] = InferenceSession(model.SerializeToString()).run(None, {"x": rows})
    return given


def operators(model: ModelProto) -> set[str]:
    return {node.op_type for node in model.graph.node if node.op_type.startswith("Tree")}


@pytest.mark.parametrize("forest", [RandomForestClassifier, ExtraTreesClassifier])
def test_forest_of_two_classes_gives_both_shares(forest: type[Any]) -> None:
    fitted = forest(n_estimators=9, random_state=0).fit(ROWS[:600], NUMBERS[:600] > 1)
    model = converted(fitted)
    label, likely = answers(model, ROWS)
    wanted = fitted.predict_proba(ROWS)
    np.testing.assert_allclose(likely, wanted, atol=1e-6)
    np.testing.assert_array_equal(label, likely.argmax(axis=1))
    assert operators(model) == {"TreeEnsemble"}


def test_forest_of_three_classes_gives_every_share() -> None:
    fitted = RandomForestClassifier(9, random_state=0)
    fitted.fit(ROWS[:600], np.digitize(NUMBERS[:600], [0.0, 2.0]))
    model = converted(fitted)
    np.testing.assert_allclose(answers(model, ROWS)[1], fitted.predict_proba(ROWS), atol=1e-6)
    assert operators(model) == {"TreeEnsembleRegressor"}


def test_missing_value_goes_where_the_boosted_tree_was_taught() -> None:
    fitted = HistGradientBoostingRegressor(max_iter=20, early_stopping=False)
    fitted.fit(WITH_GAPS, NUMBERS)
    (given,) = answers(converted(fitted), WITH_GAPS)
    np.testing.assert_allclose(given[:, 0], fitted.predict(WITH_GAPS), rtol=1e-5, atol=1e-5)


def test_boosting_of_three_classes_gives_every_probability() -> None:
    fitted = HistGradientBoostingClassifier(max_iter=10, early_stopping=False)
    fitted.fit(WITH_GAPS, np.digitize(NUMBERS, [0.0, 2.0]))
    model = converted(fitted)
    np.testing.assert_allclose(
        answers(model, WITH_GAPS)[1], fitted.predict_proba(WITH_GAPS), atol=1e-6
    )
    assert operators(model) == {"TreeEnsemble"}


def test_trees_of_a_single_leaf_answer_their_leaf() -> None:
    mixed = RandomForestRegressor(3, max_depth=1, random_state=0)
    mixed.fit(ROWS[:50], np.full(50, 7.5))
    assert {tree.tree_.node_count for tree in mixed.estimators_} == {1}
    (given,) = answers(converted(mixed), ROWS)
    np.testing.assert_allclose(given, 7.5, rtol=1e-6)


def test_value_between_a_threshold_and_its_float32_decides_the_same() -> None:
    # Two neighbours of float32: their mean is the threshold, and rounds to one of them.
    low = np.float32(1000.1)
    high = np.nextafter(low, np.float32(2000))
    rows = np.repeat(np.array([[low], [high]], dtype=np.float32), 3, axis=1)
    fitted = RandomForestRegressor(5, bootstrap=False, random_state=0).fit(rows, [0.0, 1.0])
    (given,) = answers(converted(fitted), rows)
    np.testing.assert_array_equal(given[:, 0], [0.0, 1.0])
