"""Features, monitor and trees: the graph answers as NumPy and scikit-learn do, also if hostile."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from models.bundle.manifest import Output
from trainer.estimators.fitting import Model
from trainer.estimators.monitor import MAX_SCORE, Monitor
from trainer.features.window_features import BASIC, WindowFeatures
from trainer.graph.export import Graph, export

LENGTH, CHANNELS = 5, 2
LARGEST = float(np.finfo(np.float32).max)
Array = NDArray[np.float32]


def drawn(count: int, length: int = LENGTH, *, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=(count, length, CHANNELS)).astype(np.float32)


def regressor(windows: Array, y: NDArray[np.float64]) -> Model:
    features = WindowFeatures().fit(windows)
    trees = HistGradientBoostingRegressor(max_iter=20, min_samples_leaf=2, early_stopping=False)
    with threadpool_limits(limits=1):
        trees.fit(features.transform(windows), y)
    output = Output(name="value", dtype="float32", meaning="estimate")
    return Model("regression", Pipeline([("f", features), ("e", trees)]), (output,))


def detector(windows: Array) -> Model:
    features = WindowFeatures().fit(windows)
    half = np.arange(len(windows)) < len(windows) // 2
    folds = [(np.flatnonzero(half), np.flatnonzero(~half))]
    monitor = Monitor().fit(features.transform(windows), folds=folds)
    outputs = (
        Output(name="value", dtype="int64", meaning="alarm", classes=("normal", "anomaly")),
        Output(name="score", dtype="float32", meaning="ratio", threshold=1.0),
    )
    return Model("anomaly", Pipeline([("f", features), ("m", monitor)]), outputs)


def graph(model: Model, length: int = LENGTH) -> Graph:
    return Graph(export(model, (length, CHANNELS), "test", 1))


def test_signal_that_is_only_watched_changes_no_answer() -> None:
    features = WindowFeatures(
        signals=("flow", "heat"), derived=(("twice", "2 * flow"),), described=("twice", "flow")
    )
    windows = drawn(50)
    features.fit(windows)
    assert features.names(["flow", "heat"])[:2] == ["flow last", "twice last"]
    trees = HistGradientBoostingRegressor(max_iter=5, min_samples_leaf=2, early_stopping=False)
    trees.fit(features.transform(windows), windows[:, -1, 0])
    output = Output(name="value", dtype="float32", meaning="estimate")
    model = Model("regression", Pipeline([("f", features), ("e", trees)]), (output,))
    other = windows.copy()
    other[:, :, 1] = np.nan
    answers = graph(model).run(windows)["value"]
    np.testing.assert_array_equal(graph(model).run(other)["value"], answers)
    np.testing.assert_allclose(answers, model.answer(other)["value"], rtol=1e-5)


def test_features_are_what_their_names_say() -> None:
    windows = drawn(50)
    features = WindowFeatures().fit(windows).transform(windows)
    by_kind = dict(zip(BASIC, np.split(features, len(BASIC), axis=1), strict=True))
    exact = windows.astype(np.float64)
    np.testing.assert_array_equal(by_kind["last"], windows[:, -1])
    np.testing.assert_allclose(by_kind["mean"], exact.mean(axis=1), rtol=1e-6)
    np.testing.assert_allclose(by_kind["std"], exact.std(axis=1), rtol=1e-6)
    np.testing.assert_array_equal(by_kind["min"], windows.min(axis=1))
    np.testing.assert_array_equal(by_kind["max"], windows.max(axis=1))
    slope = np.polyfit(np.arange(LENGTH), exact.reshape(50, LENGTH, CHANNELS)[:, :, 0].T, 1)[0]
    np.testing.assert_allclose(by_kind["slope"][:, 0], slope, rtol=1e-5, atol=1e-7)


def test_window_of_one_sample_is_the_sample() -> None:
    windows = drawn(9, 1)
    np.testing.assert_array_equal(WindowFeatures().fit(windows).transform(windows), windows[:, 0])


def test_missing_values_are_taken_for_the_median() -> None:
    windows = drawn(9, 1)
    windows[:, 0, 0] = np.arange(9)
    features = WindowFeatures().fit(windows)
    hollow = np.full((1, 1, CHANNELS), np.nan, dtype=np.float32)
    assert features.transform(hollow)[0, 0] == 4


def test_channel_without_any_value_counts_as_zero() -> None:
    windows = drawn(9)
    windows[:, :, 1] = np.nan
    assert WindowFeatures().fit(windows).medians_[1] == 0


def test_no_window_has_no_features() -> None:
    features = WindowFeatures().fit(drawn(9))
    assert features.transform(drawn(0)).shape == (0, len(BASIC) * CHANNELS)


HOSTILE = st.one_of(
    st.floats(-1e6, 1e6, width=32),
    st.sampled_from([0.0, -0.0, 1e6, 1e6 + 0.0625, 1e-30, -1e30, LARGEST, -LARGEST, np.nan]),
)


@pytest.fixture(scope="module")
def monitor() -> tuple[Model, Graph]:
    model = detector(drawn(200))
    return model, graph(model)


@pytest.fixture(scope="module")
def trees() -> tuple[Model, Graph]:
    windows = drawn(400)
    model = regressor(windows, windows[:, :, 0].mean(axis=1) * 3.0 + windows[:, -1, 1])
    return model, graph(model)


@given(window=arrays(np.float32, (3, LENGTH, CHANNELS), elements=HOSTILE))
def test_monitor_in_the_graph_scores_as_numpy_does(
    monitor: tuple[Model, Graph], window: Array
) -> None:
    model, inside = monitor
    wanted, given_ = model.answer(window), inside.run(window)
    assert np.isfinite(given_["score"]).all()
    np.testing.assert_allclose(given_["score"], wanted["score"], rtol=1e-5)


@given(window=arrays(np.float32, (3, LENGTH, CHANNELS), elements=HOSTILE))
def test_trees_in_the_graph_decide_as_scikit_learn_does(
    trees: tuple[Model, Graph], window: Array
) -> None:
    model, inside = trees
    wanted, given_ = model.answer(window), inside.run(window)
    np.testing.assert_allclose(given_["value"], wanted["value"], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("offset", [0.0, 640.0, 1e6], ids=["none", "warm", "large"])
def test_trees_decide_alike_where_values_are_one_float32_apart(offset: float) -> None:
    ladder = np.float32(offset) + np.zeros(400, dtype=np.float32)
    for step in range(1, 400):
        ladder[step] = np.nextafter(ladder[step - 1], np.float32(np.inf))
    windows = np.repeat(ladder, CHANNELS).reshape(400, 1, CHANNELS)
    model = regressor(windows, np.arange(400, dtype=np.float64) % 7)
    given_ = graph(model, 1).run(windows)["value"]
    np.testing.assert_allclose(given_, model.answer(windows)["value"], atol=1e-4)


def test_constant_windows_have_no_spread_and_no_slope() -> None:
    constant = np.full((4, LENGTH, CHANNELS), 1e6 + 0.0625, dtype=np.float32)
    features = WindowFeatures().fit(constant).transform(constant)
    by_kind = dict(zip(BASIC, np.split(features, len(BASIC), axis=1), strict=True))
    assert not by_kind["std"].any()
    assert not by_kind["slope"].any()


def test_classes_in_the_graph_are_as_likely_as_in_scikit_learn() -> None:
    windows = drawn(300)
    y = np.digitize(windows[:, -1, 0], [-0.5, 0.5])
    features = WindowFeatures().fit(windows)
    trees = HistGradientBoostingClassifier(max_iter=10, early_stopping=False)
    with threadpool_limits(limits=1):
        trees.fit(features.transform(windows), y)
    outputs = tuple(
        Output(name=name, dtype=dtype, meaning="", classes=("a", "b", "c"))
        for name, dtype in (("value", "int64"), ("score", "float32"), ("probabilities", "float32"))
    )
    model = Model("classification", Pipeline([("f", features), ("e", trees)]), outputs)
    wanted, given_ = model.answer(windows), graph(model).run(windows)
    np.testing.assert_array_equal(given_["value"], wanted["value"])
    np.testing.assert_allclose(given_["probabilities"], wanted["probabilities"], atol=1e-6)
    assert given_["probabilities"].shape == (300, 3)


def test_monitor_holds_its_share_of_false_alarms() -> None:
    features = np.random.default_rng(1).normal(size=(4000, 6)).astype(np.float32)
    parts = np.array_split(np.arange(2000), 5)
    folds = [(np.setdiff1d(np.arange(2000), part), part) for part in parts]
    fitted = Monitor(false_alarms=0.02).fit(features[:2000], folds=folds)
    share = float((fitted.transform(features[2000:]) > 1).mean())
    assert 0.01 < share < 0.04


def test_monitor_finds_what_leaves_the_plane_and_what_goes_too_far_along_it() -> None:
    along = np.random.default_rng(2).normal(size=(500, 1))
    plane = (along @ np.array([[1.0, 1.0, 1.0]])).astype(np.float32)
    noise = np.random.default_rng(3).normal(size=plane.shape).astype(np.float32) * np.float32(0.05)
    normal = plane + noise
    halves = [(np.arange(250), np.arange(250, 500)), (np.arange(250, 500), np.arange(250))]
    fitted = Monitor().fit(normal, folds=halves)
    odd = np.array([[2, -2, 0], [9, 9, 9], [1, 1, 1]], dtype=np.float32)
    assert (fitted.transform(odd)[:, 0] > 1).tolist() == [True, True, False]


def test_monitor_takes_a_signal_that_never_changed() -> None:
    features = np.random.default_rng(4).normal(size=(100, 3)).astype(np.float32)
    features[:, 1] = 5.0
    fitted = Monitor().fit(features, folds=[(np.arange(50), np.arange(50, 100))])
    odd = features[:1].copy()
    odd[0, 1] = 50.0
    assert fitted.transform(odd)[0, 0] > 1
    assert fitted.transform(np.full((1, 3), LARGEST, dtype=np.float32))[0, 0] <= MAX_SCORE
