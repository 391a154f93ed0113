"""The graph and the proof that it is the model."""

from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from models.bundle.golden import MIN_COUNT, compare
from models.bundle.manifest import Channel, GoldenSpec, Output
from models.errors import IncompatibleBundleError
from serving.runtime.graph import INPUT
from trainer.bundle.golden import edges, golden_vectors
from trainer.errors import ParityError
from trainer.estimators.fitting import Model
from trainer.estimators.threshold import best_threshold
from trainer.evaluation.metrics import measure
from trainer.features.window_features import WindowFeatures
from trainer.graph.export import Graph, check_parity, export, is_decided

SHAPE = (3, 2)
TOLERANCE = GoldenSpec(count=MIN_COUNT)
CHANNELS = (Channel(name="pressure", valid_range=(-10, 10)), Channel(name="flow"))
Array = NDArray[np.float32]


def windows(count: int = 200) -> Array:
    return np.random.default_rng(0).normal(size=(count, *SHAPE)).astype(np.float32)


def fitted(trees: object, y: NDArray[Any]) -> Pipeline:
    features = WindowFeatures().fit(windows())
    with threadpool_limits(limits=1):
        trees.fit(features.transform(windows()), y)  # type: ignore[attr-defined]  # sklearn's
    return Pipeline([("features", features), ("estimator", trees)])


@pytest.fixture(scope="module")
def regression() -> Model:
    trees = HistGradientBoostingRegressor(max_iter=10, early_stopping=False)
    output = Output(name="value", dtype="float32", meaning="estimate", unit="bar")
    return Model("regression", fitted(trees, windows()[:, -1, 0] * 2.0), (output,))


@pytest.fixture(scope="module")
def classifier() -> Model:
    trees = HistGradientBoostingClassifier(max_iter=10, early_stopping=False)
    classes = ("healthy", "failure")
    outputs = (
        Output(name="value", dtype="int64", meaning="class", classes=classes),
        Output(name="score", dtype="float32", meaning="failure", threshold=0.25),
        Output(name="probabilities", dtype="float32", meaning="each", classes=classes),
    )
    return Model("classification", fitted(trees, windows()[:, -1, 0] > 1.0), outputs)


def test_graph_takes_windows_and_gives_what_the_manifest_names(classifier: Model) -> None:
    proto = onnx.load_from_string(export(classifier, SHAPE, "pump", 7))
    (taken,) = proto.graph.input
    assert taken.name == INPUT
    assert [d.dim_value for d in taken.type.tensor_type.shape.dim] == [0, *SHAPE]
    assert [output.name for output in proto.graph.output] == ["value", "score", "probabilities"]
    assert {mark.key: mark.value for mark in proto.metadata_props} == {"stream": "pump", "seq": "7"}
    assert [(o.domain, o.version) for o in proto.opset_import] == [("", 21), ("ai.onnx.ml", 5)]


def test_threshold_is_inside_the_graph(classifier: Model) -> None:
    answers = Graph(export(classifier, SHAPE, "pump", 1)).run(windows())
    np.testing.assert_array_equal(answers["value"], answers["score"] > np.float32(0.25))
    np.testing.assert_array_equal(answers["score"], answers["probabilities"][:, 1])
    assert 0 < answers["value"].sum() < len(windows())


def test_same_model_gives_the_same_bytes(regression: Model) -> None:
    assert export(regression, SHAPE, "pump", 1) == export(regression, SHAPE, "pump", 1)


def test_answers_are_the_same_one_by_one_and_together(regression: Model) -> None:
    graph = Graph(export(regression, SHAPE, "pump", 1))
    alone = [graph.run(window[np.newaxis])["value"][0] for window in windows(20)]
    np.testing.assert_allclose(graph.run(windows(20))["value"], alone, rtol=1e-6)


def test_graph_that_is_the_model_is_proved(regression: Model) -> None:
    graph = Graph(export(regression, SHAPE, "pump", 1))
    parity = check_parity(graph, regression, windows(), TOLERANCE)
    assert parity.rows == 200
    assert parity.worst["value"] < 1e-6


def test_graph_of_another_model_is_refused_with_output_row_and_error(regression: Model) -> None:
    trees = HistGradientBoostingRegressor(max_iter=10, early_stopping=False)
    other = Model("regression", fitted(trees, windows()[:, -1, 1] * 2.0), regression.outputs)
    graph = Graph(export(other, SHAPE, "pump", 1))
    error = np.abs(other.answer(windows())["value"] - regression.answer(windows())["value"])
    row = int(error.argmax())
    with pytest.raises(ParityError, match=rf"'value' of window {row} "):
        check_parity(graph, regression, windows(), TOLERANCE)


def test_answer_that_is_no_number_is_never_within_the_tolerance(regression: Model) -> None:
    class Mute:
        def run(self, given: Array) -> dict[str, Array]:
            return {"value": np.full(len(given), np.nan, dtype=np.float32)}

    with pytest.raises(ParityError, match="nan"):
        check_parity(Mute(), regression, windows(), TOLERANCE)  # type: ignore[arg-type]  # answers like one


def test_class_may_differ_only_where_the_model_is_undecided(classifier: Model) -> None:
    answers = classifier.answer(windows())
    score = float(answers["score"][5])
    edge = Output(name="score", dtype="float32", meaning="failure", threshold=score)
    undecided = Model(
        classifier.task,
        classifier.pipeline,
        (classifier.outputs[0], edge, classifier.outputs[2]),
    )
    decided = is_decided(undecided, undecided.answer(windows()), TOLERANCE)
    assert not decided[5]
    assert decided.sum() > 0
    check_parity(Graph(export(undecided, SHAPE, "pump", 1)), undecided, windows(), TOLERANCE)


def test_golden_vectors_have_range_edges_and_missing_values(classifier: Model) -> None:
    golden = golden_vectors(classifier, windows(), edges(windows(), CHANNELS), TOLERANCE)
    assert len(golden.windows) >= MIN_COUNT
    assert (golden.windows[:, :, 0] == -10).all(axis=1).any()
    assert (golden.windows[:, :, 0] == 10).all(axis=1).any()
    assert np.isnan(golden.windows).all(axis=(1, 2)).any()
    assert np.isnan(golden.windows[:, -1, 1]).any()
    graph = Graph(export(classifier, SHAPE, "pump", 1))
    assert compare(golden.outputs, graph.run(golden.windows), TOLERANCE) < 1e-6


def test_golden_vectors_are_enough_however_short_the_test_part(regression: Model) -> None:
    ends = edges(windows(1), CHANNELS)
    assert len(golden_vectors(regression, windows(1), ends, TOLERANCE).windows) >= MIN_COUNT


def test_bytes_that_are_no_graph_are_refused() -> None:
    with pytest.raises(IncompatibleBundleError, match="graph"):
        Graph(b"not a graph")


def test_windows_of_another_shape_are_refused(regression: Model) -> None:
    graph = Graph(export(regression, SHAPE, "pump", 1))
    with pytest.raises(IncompatibleBundleError, match="graph"):
        graph.run(np.zeros((2, 9, 2), dtype=np.float32))


def test_threshold_gives_the_best_f1_and_falls_between_two_scores() -> None:
    score = np.array([0.1, 0.2, 0.3, 0.4])
    positive = np.array([False, False, True, True])
    assert best_threshold(positive, score) == pytest.approx(0.25)


def test_threshold_without_a_positive_is_a_half() -> None:
    assert best_threshold(np.zeros(3, dtype=bool), np.array([0.1, 0.2, 0.3])) == 0.5


def test_threshold_below_all_scores_stays_above_zero() -> None:
    assert 0 < best_threshold(np.ones(3, dtype=bool), np.array([0.1, 0.2, 0.3])) < 0.1


def test_figures_that_are_not_defined_are_left_out(classifier: Model) -> None:
    answers = classifier.answer(windows())
    figures = measure(classifier, answers, np.zeros(len(windows()), dtype=np.int64))
    assert "roc_auc" not in figures
    assert "recall" not in figures


def test_detector_without_labels_has_its_share_of_alarms_only() -> None:
    detector = Model("anomaly", Pipeline([("none", "passthrough")]), ())
    answers = {"value": np.array([1, 0, 0, 0]), "score": np.array([2.0, 0.5, 0.5, 0.5])}
    y = np.zeros(4, dtype=np.int64)
    assert measure(detector, answers, y, labelled=False) == {"alarm_share": 0.25}
    assert measure(detector, answers, y)["false_alarm_rate"] == 0.25
    assert measure(detector, answers, np.ones(4, dtype=np.int64))["missed_alarm_rate"] == 0.75
