"""Every feature and detector: the graph computes what NumPy does, also if hostile."""

from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from onnxruntime import InferenceSession
from sklearn.base import BaseEstimator
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.pipeline import Pipeline

from trainer.estimators.detectors import DETECTORS
from trainer.estimators.monitor import Monitor
from trainer.features.scaling import Standardise
from trainer.features.symbols import Nodes, Symbol
from trainer.features.window_features import KINDS, WindowFeatures, sparse_lags
from trainer.graph.converters import convert
from trainer.recipe.feature_section import Kind
from trainer.recipe.search_section import Detecting

LENGTH, CHANNELS = 11, 2
LARGEST = float(np.finfo(np.float32).max)
Array = NDArray[np.float32]
HOSTILE = st.one_of(
    st.floats(-1e6, 1e6, width=32),
    st.sampled_from([0.0, -0.0, 1e6, 1e6 + 0.0625, 1e-30, -1e30, LARGEST, -LARGEST, np.nan]),
)


def drawn(count: int, *, seed: int = 0) -> Array:
    shape = (count, LENGTH, CHANNELS)
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def inside(step: BaseEstimator, *shape: int) -> InferenceSession:
    """The graph of one fitted step."""
    proto = convert(Pipeline([("step", step)]), "x", shape, "step")
    return InferenceSession(proto.SerializeToString())


def described(kind: str) -> tuple[WindowFeatures, InferenceSession]:
    features = WindowFeatures(kinds=(kind,), lengths=(3,)).fit(drawn(50))
    return features, inside(features, LENGTH, CHANNELS)


@pytest.fixture(scope="module", params=KINDS)
def feature(request: pytest.FixtureRequest) -> tuple[WindowFeatures, InferenceSession]:
    return described(request.param)


@given(windows=arrays(np.float32, (2, LENGTH, CHANNELS), elements=HOSTILE))
@settings(max_examples=60)
def test_feature_in_the_graph_is_that_of_numpy(
    feature: tuple[WindowFeatures, InferenceSession], windows: Array
) -> None:
    features, graph = feature
    wanted = features.transform(windows)
    (given_,) = graph.run(None, {"x": windows})
    assert np.isfinite(given_).all()
    scale = np.abs(np.where(np.isnan(windows), 0, windows)).max(initial=0.0)
    np.testing.assert_allclose(given_, wanted, rtol=2e-6, atol=1e-9 * float(scale))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("level", [0.0, 1e6 + 0.0625, -1e30], ids=["zero", "offset", "huge"])
def test_feature_of_a_constant_window_is_the_same_to_the_last_bit(kind: str, level: float) -> None:
    features, graph = described(kind)
    windows = np.full((1, LENGTH, CHANNELS), level, dtype=np.float32)
    np.testing.assert_array_equal(graph.run(None, {"x": windows})[0], features.transform(windows))


def by_name(windows: Array, *kinds: str, lengths: tuple[int, ...] = ()) -> dict[str, Array]:
    features = WindowFeatures(kinds, lengths).fit(windows)
    names = features.names(["a", "b"])
    columns = features.transform(windows).T
    assert len(names) == len(columns) == features.width
    return dict(zip(names, columns, strict=True))


def test_features_are_what_the_books_say() -> None:
    windows = drawn(30)
    exact = windows.astype(np.float64)[:, :, 0]
    kinds = ("range", "rms", "crest", "kurtosis", "difference", "mean")
    found = by_name(windows, *kinds, lengths=(4,))
    rms = np.sqrt((exact**2).mean(axis=1))
    apart = exact - exact.mean(axis=1, keepdims=True)
    for name, wanted in {
        "a range 11": np.ptp(exact, axis=1),
        "a rms 11": rms,
        "a crest 11": np.abs(exact).max(axis=1) / rms,
        "a kurtosis 11": (apart**4).mean(axis=1) / (apart**2).mean(axis=1) ** 2,
        "a difference 4": exact[:, -1] - exact[:, -4],
        "a mean 4": exact[:, -4:].mean(axis=1),
    }.items():
        np.testing.assert_allclose(found[name], wanted, rtol=1e-5, atol=1e-6)


def test_bands_share_out_the_variance_of_the_last_power_of_two() -> None:
    windows = drawn(30)
    bands = by_name(windows, "bands")
    squares = sum(np.square(bands[name], dtype=np.float64) for name in bands if name[0] == "a")
    np.testing.assert_allclose(squares, windows[:, -8:, 0].var(axis=1, dtype=np.float64), rtol=1e-5)


def test_lags_are_single_samples_before_the_last() -> None:
    windows = drawn(30)
    features = WindowFeatures(("last", "lags"), lags=(0, 3, LENGTH - 1, LENGTH)).fit(windows)
    assert features.names(["a", "b"])[2:] == ["a lag 3", "b lag 3", "a lag 10", "b lag 10"]
    taken = windows[:, [-1, -4, 0]].reshape(len(windows), -1)
    np.testing.assert_array_equal(features.transform(windows), taken)
    np.testing.assert_array_equal(
        inside(features, LENGTH, CHANNELS).run(None, {"x": windows})[0], taken
    )


@pytest.mark.parametrize("length", [2, 11, 600])
def test_lags_that_nobody_chose_cover_the_window_with_few_samples(length: int) -> None:
    lags = sparse_lags(length)
    apart = np.diff(lags)
    assert (lags[0], lags[-1]) == (0, length - 1)
    assert (apart[:-1] > 0).all()
    assert (np.diff(apart[:-1]) >= 0).all()
    assert len(lags) <= 35


def test_tone_is_in_its_own_octave_alone() -> None:
    tone = np.sin(2 * np.pi * 3 * np.arange(64) / 64).astype(np.float32)
    windows = np.stack([np.stack([tone, tone], axis=1)] * 2)
    bands = by_name(windows, "bands")
    assert bands["a band 2-3"][0] == pytest.approx(np.sqrt(0.5))
    assert bands["a band 1-1"][0] == pytest.approx(0, abs=1e-6)
    assert bands["a band 8-15"][0] == pytest.approx(0, abs=1e-6)


def test_residual_is_what_the_other_channel_does_not_explain() -> None:
    windows = drawn(200)
    windows[:, :, 1] = 5 * windows[:, :, 0] + 3
    features = WindowFeatures(("residual",)).fit(windows)
    assert np.abs(features.transform(windows)).max() < 1e-5
    windows[0, :, 1] += 10
    assert np.abs(features.transform(windows)[0]).max() > 1


@pytest.fixture(scope="module", params=[(name,) for name in DETECTORS] + [tuple(DETECTORS)])
def monitor(request: pytest.FixtureRequest) -> tuple[Monitor, InferenceSession]:
    rows = np.random.default_rng(1).normal(size=(300, 6)).astype(np.float32)
    folds = [(np.arange(150), np.arange(150, 300))]
    fitted = Monitor(request.param).fit(rows, folds=folds)
    return fitted, inside(fitted, 6)


@given(rows=arrays(np.float32, (3, 6), elements=st.floats(-LARGEST, LARGEST, width=32)))
@settings(max_examples=60)
def test_detector_in_the_graph_scores_as_numpy_does(
    monitor: tuple[Monitor, InferenceSession], rows: Array
) -> None:
    step, graph = monitor
    (given_,) = graph.run(None, {"x": rows})
    assert np.isfinite(given_).all()
    np.testing.assert_allclose(given_, step.transform(rows), rtol=1e-5, atol=1e-6)


def test_detector_tells_what_is_far_from_normal(monitor: tuple[Monitor, InferenceSession]) -> None:
    step, _ = monitor
    far = np.full((1, 6), 30, dtype=np.float32)
    assert step.transform(far)[0, 0] > 1
    assert step.transform(np.zeros((1, 6), dtype=np.float32))[0, 0] < 1


@pytest.mark.parametrize(
    "forest",
    [
        RandomForestRegressor(n_estimators=7, random_state=0),
        ExtraTreesRegressor(n_estimators=7, random_state=0),
        RandomForestClassifier(n_estimators=7, random_state=0),
        ExtraTreesClassifier(n_estimators=7, random_state=0),
    ],
    ids=lambda forest: type(forest).__name__,
)
def test_forest_in_the_graph_decides_as_scikit_learn_does(forest: BaseEstimator) -> None:
    rows = np.random.default_rng(2).normal(size=(3000, 4)).astype(np.float32)
    y = np.digitize(rows[:, 0] + rows[:, 1] ** 2, [0.0, 1.0])
    forest.fit(rows[:500], y[:500])
    answers = inside(forest, 4).run(None, {"x": rows})
    wanted = (
        forest.predict_proba(rows) if hasattr(forest, "predict_proba") else forest.predict(rows)
    )
    np.testing.assert_allclose(answers[-1], wanted.reshape(len(rows), -1), atol=1e-5)


def test_scale_in_the_graph_is_that_of_numpy() -> None:
    rows = (np.random.default_rng(3).normal(size=(100, 3)) * [1, 1e6, 0] + [0, 1e6, 7]).astype("f4")
    scaling = Standardise().fit(rows)
    rows[0] = LARGEST
    np.testing.assert_array_equal(
        inside(scaling, 3).run(None, {"x": rows})[0], scaling.transform(rows)
    )


def test_what_has_no_node_is_refused_when_the_graph_is_written() -> None:
    symbol = Symbol(Nodes(None, None), "x", np.float32)
    with pytest.raises(TypeError, match=r"np\.cos\."):
        np.cos(symbol)
    with pytest.raises(TypeError, match=r"np\.median"):
        np.median(symbol)  # type: ignore[call-overload]  # the wrong type on purpose
    with pytest.raises(TypeError, match="step of 2"):
        symbol[::2]


def test_recipe_offers_every_feature_and_detector() -> None:
    assert set(get_args(Kind)) == set(KINDS)
    assert set(get_args(Detecting)) == set(DETECTORS)
