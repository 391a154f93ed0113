"""Features of kernels: what the paper says, the same in the graph, and bounded."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from onnxruntime import InferenceSession
from optuna.trial import FixedTrial
from sklearn.pipeline import Pipeline

from benchmarks.made_up.waveforms import recording, trained
from tests.kit.recordings import write_recipe
from trainer.estimators.candidate import presets
from trainer.estimators.crossval import CrossValidation, Scorer
from trainer.estimators.families import Setting
from trainer.features.window_features import WindowFeatures
from trainer.graph.converters import convert
from trainer.recipe.document import Recipe, read_recipe
from trainer.recipe.search_section import DEFAULT_METRIC
from trainer.search.plan import Plan

LENGTH, SIGNALS = 100, 3
Array = NDArray[np.float32]


def drawn(count: int = 30, length: int = LENGTH, signals: int = SIGNALS) -> Array:
    shape = (count, length, signals)
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def fitted(windows: Array, most: int = 2_000) -> WindowFeatures:
    return WindowFeatures(("kernels",), most_kernels=most).fit(windows)


def in_a_graph(features: WindowFeatures, windows: Array) -> Array:
    proto = convert(Pipeline([("step", features)]), "x", windows.shape[1:], "step")
    found: Array = InferenceSession(proto.SerializeToString()).run(None, {"x": windows})[0]
    return found


def literally(signal: NDArray[np.float64], kernel: int, dilation: int) -> NDArray[np.float64]:
    """The convolution of a whole signal with a kernel, sample by sample, without padding."""
    twos = list(combinations(range(9), 3))[kernel]
    taps = np.arange(9) * dilation
    return np.array(
        [
            sum((2.0 if tap in twos else -1.0) * signal[at + taps[tap]] for tap in range(9))
            for at in range(len(signal) - 8 * dilation)
        ]
    )


def test_feature_is_a_share_of_samples_above_a_limit() -> None:
    windows = drawn(200, 40, 1)
    features = fitted(windows, 168)
    found = dict(zip(features.names(["a"]), features.transform(windows).T, strict=True))
    for name in ("a kernel 5 dilation 1 limit 1", "a kernel 82 dilation 4 limit 1"):
        kernel, dilation = int(name.split()[2]), int(name.split()[4])
        valid = np.array([literally(window, kernel, dilation) for window in windows[:, :, 0]])
        shares = found[name].astype(np.float64)
        # These are not padded; some limit, the same for all windows, must give the shares. Values
        # that the rounding to steps has moved across it are few.
        other = [
            float((np.abs((valid > limit).mean(axis=1) - shares) > 1e-6).mean())
            for limit in np.unique(valid)
        ]
        assert min(other) < 0.02


@pytest.mark.parametrize("level", [0.0, 640.0, -3e7], ids=["zero", "offset", "far off"])
def test_graph_counts_just_the_samples_that_numpy_counts(level: float) -> None:
    windows = drawn() + np.float32(level)
    windows[3, 5:20, 1] = np.nan
    windows[4] = level
    windows[5, 7, 2] = 1e30
    features = fitted(windows)
    assert len(features.transform(windows)[0]) == features.width
    np.testing.assert_array_equal(in_a_graph(features, windows), features.transform(windows))


def test_sums_are_whole_numbers_that_float32_holds_in_any_order() -> None:
    windows = drawn()
    windows[5, 7, 2] = 1e30
    windows[6, :, 0] *= 1e-3
    found = [limits for *_, limits in fitted(windows).kernels_.passes]
    assert found
    for limits in found:
        np.testing.assert_array_equal(limits, np.rint(limits))
        assert np.abs(limits).max() < 1 << 24


def test_level_of_a_signal_makes_no_difference() -> None:
    windows = (np.round(drawn() * 64) / 64).astype(np.float32)
    features = fitted(windows)
    np.testing.assert_array_equal(features.transform(windows + 32), features.transform(windows))


def test_missing_sample_is_the_median() -> None:
    windows = drawn()
    features = fitted(windows)
    gap, full = windows.copy(), windows.copy()
    gap[:, 40:60, 0] = np.nan
    full[:, 40:60, 0] = features.medians_[0]
    np.testing.assert_array_equal(features.transform(gap), features.transform(full))


@pytest.mark.parametrize("most", [252, 1_000, 2_000])
def test_features_are_as_many_as_fit_the_limit(most: int) -> None:
    features = fitted(drawn(), most)
    assert most - 84 * SIGNALS < features.width <= most
    assert len({*features.names(["a", "b", "c"])}) == features.width


def test_shares_are_spread_between_none_and_all() -> None:
    windows = drawn(200)
    shares = fitted(windows).transform(windows)
    assert (shares.min(), shares.max()) >= (0.0, 0.5)
    means = shares.mean(axis=0)
    assert np.quantile(means, [0.1, 0.5, 0.9]) == pytest.approx([0.1, 0.5, 0.9], abs=0.05)


def long_recipe(folder: Path, length: int, **sections: object) -> Recipe:
    path = write_recipe(folder, window={"length": length}, **sections)
    return read_recipe(path)


def test_search_has_kernels_where_windows_are_long(tmp_path: Path) -> None:
    assert "kernels" in presets(long_recipe(tmp_path, 32))
    assert "kernels" not in presets(long_recipe(tmp_path, 31))
    assert "kernels" not in presets(long_recipe(tmp_path, 9_000))


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_search_tries_a_line_on_kernels_after_every_family(tmp_path: Path, task: str) -> None:
    recipe = long_recipe(tmp_path, 64, target={"task": task, "column": "label"})
    scorer = Scorer(DEFAULT_METRIC[task], 2, 1)
    validation = CrossValidation(np.zeros(100), (), scorer)
    families = ("linear", "boosting")
    plan = Plan(families, presets(recipe), {}, validation, Setting(task, 0, 100), ())
    first = [(one["family"], one["features"]) for one in plan.first()]
    lines = [("linear", "lags"), ("linear", "kernels")]
    assert first == [("linear", "plain"), ("boosting", "plain"), *lines]
    line = plan.candidate(FixedTrial(plan.first()[-1]))
    assert "kernels" in line.features.kinds


def test_kernels_tell_waveforms_that_statistics_cannot(tmp_path: Path) -> None:
    path = tmp_path / "vibration.csv"
    recording(path, 1, machines=8)
    statistics = trained(path, 1, {"kinds": ["std", "range", "crest", "kurtosis", "bands"]})
    kernels = trained(path, 1, {"kinds": ["kernels"], "kernels": 500})
    assert statistics.accuracy < 0.7
    assert kernels.accuracy > 0.9
