"""A score smoothed over the last samples of a window: what it is, and what it is good for."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from tests.kit.recordings import pump_folder, recipe, recorded
from tests.kit.wording import naming
from trainer.commands.train import train
from trainer.console import Console
from trainer.dataset.splits import split
from trainer.dataset.targets import truth
from trainer.errors import DataError
from trainer.estimators import fitting
from trainer.estimators.fitting import Model, fit
from trainer.features.sliding import MOST_POSITIONS, SlidingFeatures, positions
from trainer.features.window_features import BASIC, WindowFeatures
from trainer.graph.export import Graph, export
from trainer.recipe.document import read_recipe

pytestmark = pytest.mark.usefixtures("without_pictures")

LENGTH, CHANNELS = 20, 2
LARGEST = float(np.finfo(np.float32).max)
HOSTILE = st.one_of(
    st.floats(-1e6, 1e6, width=32),
    st.sampled_from([0.0, 1e6, 1e6 + 0.0625, 1e-30, -1e30, LARGEST, -LARGEST, np.nan]),
)
Array = NDArray[np.float32]


def remembering(rows: int, seed: int) -> NDArray[np.float64]:
    """Two signals of noise with some memory, as readings of a plant have."""
    values = np.random.default_rng(seed).normal(size=(rows, CHANNELS))
    for row in range(1, rows):
        values[row] += 0.5 * values[row - 1]
    return values


def in_windows(values: NDArray[np.float64]) -> Array:
    windows = sliding_window_view(values, LENGTH, axis=0).transpose(0, 2, 1)
    return windows.astype(np.float32)


def detector(folder: Path, values: NDArray[np.float64], smooth: int, **keys: Any) -> Model:  # noqa: ANN401  keys of a recipe
    """Trained on the first three quarters of the rows, by a recipe."""
    made = recipe(
        folder,
        window={"length": LENGTH},
        target={"task": "anomaly", "smooth": smooth, **keys.pop("target", {})},
        **keys,
    )
    recording = recorded(values)
    known = truth(recording, made)
    return fit(split(recording, known, made, made.window.spec(1000)).train, known, made)


def graph(model: Model) -> Graph:
    return Graph(export(model, (LENGTH, CHANNELS), "smoothed", 1))


def test_every_position_is_described_as_a_window_of_its_own() -> None:
    windows = in_windows(remembering(200, 0))
    sliding = SlidingFeatures(WindowFeatures(BASIC, (4,)), smooth=3).fit(windows)
    alone = WindowFeatures(BASIC, (4,)).fit(windows[:, 2:])
    ends = [alone.transform(windows[:, start : start + LENGTH - 2]) for start in range(3)]
    np.testing.assert_array_equal(sliding.transform(windows), np.concatenate(ends, axis=1))


@pytest.mark.parametrize("smooth", [1, 2, 16, 17, 20, 65_536])
def test_positions_are_evenly_spaced_bounded_and_end_with_the_window(smooth: int) -> None:
    found = positions(smooth)
    assert len(found) <= MOST_POSITIONS
    assert found[-1] == smooth - 1
    assert 0 <= found[0] < smooth / 2 or smooth == 1
    assert len(np.unique(np.diff(found))) <= 1


@pytest.fixture(
    scope="module",
    params=[
        {"smooth": 5},
        {"smooth": LENGTH},
        {"smooth": 18, "target": {"detectors": ["one-class-svm", "pca", "autoencoder"]}},
        {"smooth": 7, "target": {"detectors": ["isolation-forest"]}},
        {
            "smooth": 4,
            "features": {"kinds": ["last", "slope", "bands", "residual"], "lengths": [5]},
            "derived": [{"name": "ratio", "expression": "pressure / flow"}],
        },
    ],
    ids=["mahalanobis", "single samples", "three detectors", "forest", "derived"],
)
def smoothed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Model, Graph]:
    folder = tmp_path_factory.mktemp("smoothed")
    model = detector(folder, remembering(400, 1), **request.param)
    return model, graph(model)


@given(windows=arrays(np.float32, (2, LENGTH, CHANNELS), elements=HOSTILE))
@settings(max_examples=40, deadline=None)
def test_graph_smooths_as_numpy_does(smoothed: tuple[Model, Graph], windows: Array) -> None:
    model, served = smoothed
    wanted, given_ = model.answer(windows), served.run(windows)
    assert np.isfinite(given_["score"]).all()
    np.testing.assert_allclose(given_["score"], wanted["score"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("level", [0.0, np.nan, 1e6 + 0.0625, -1e30], ids=str)
def test_graph_smooths_constant_windows_as_numpy_does(
    smoothed: tuple[Model, Graph], level: float
) -> None:
    model, served = smoothed
    window = np.full((1, LENGTH, CHANNELS), level, dtype=np.float32)
    wanted = model.answer(window)
    np.testing.assert_allclose(served.run(window)["score"], wanted["score"], rtol=1e-6)


def test_score_of_windows_alone_is_that_of_many_together(smoothed: tuple[Model, Graph]) -> None:
    _, served = smoothed
    windows = in_windows(remembering(60, 2))
    alone = [served.run(window[np.newaxis])["score"][0] for window in windows]
    np.testing.assert_allclose(served.run(windows)["score"], alone, rtol=1e-6)


def share_of_false_alarms(model: Model, *, found: float) -> float:
    """Of normal windows, at the limit above which this share of the faulty ones is found."""
    faulty = remembering(4000, 4)
    faulty[:, 0] += 2.5
    limit = np.quantile(model.answer(in_windows(faulty))["score"], 1 - found)
    normal = model.answer(in_windows(remembering(4000, 5)))["score"]
    return float((normal > limit).mean())


def test_smoothing_halves_the_false_alarms_at_equal_detection(tmp_path: Path) -> None:
    normal = remembering(4000, 3)
    kinds = {"features": {"kinds": ["last"]}}
    plain = detector(tmp_path / "plain", normal, 1, **kinds)
    smooth = detector(tmp_path / "smooth", normal, 10, **kinds)
    before = share_of_false_alarms(plain, found=0.9)
    assert before > 0.05
    assert share_of_false_alarms(smooth, found=0.9) < before / 2


def test_smoothed_detector_keeps_its_share_of_false_alarms(tmp_path: Path) -> None:
    model = detector(tmp_path, remembering(8000, 6), 10, target={"false_alarms": 0.05})
    share = float(model.answer(in_windows(remembering(8000, 7)))["value"].mean())
    assert 0.02 < share < 0.1


def test_one_reading_far_off_is_no_alarm_once_smoothed(tmp_path: Path) -> None:
    values = remembering(4000, 8)
    kinds = {"features": {"kinds": ["last"]}}
    window = np.zeros((1, LENGTH, CHANNELS), dtype=np.float32)
    window[0, -1, 0] = 1e6
    lasting = window.copy()
    lasting[0, -10:, 0] = 10
    for smooth, alarms in ((1, [1, 1]), (10, [0, 1])):
        model = detector(tmp_path / str(smooth), values, smooth, **kinds)
        assert model.answer(np.concatenate([window, lasting]))["value"].tolist() == alarms


def test_smoothed_detector_becomes_a_bundle_of_the_same_window(tmp_path: Path) -> None:
    target = {"task": "anomaly", "column": "label", "normal": 0, "smooth": 3}
    path = pump_folder(tmp_path, target=target)
    manifest = train(read_recipe(path), tmp_path / "out", console=Console()).bundle.manifest
    assert manifest.window.length == 4
    assert manifest.metrics.values["recall"] > 0.9


def test_smoothing_that_would_fill_the_memory_is_refused_with_a_hop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting, "MAX_BYTES", 100_000)
    with pytest.raises(DataError, match=naming("10 moments", "window.hop")):
        detector(tmp_path, remembering(2000, 9), 10)
