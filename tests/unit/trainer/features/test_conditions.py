"""Operating conditions: signals are told apart from what is usual in their regime."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from benchmarks.made_up.six_regimes import measured
from models.bundle.manifest import Output
from tests.kit.recordings import recipe
from trainer.errors import DataError, RecipeError
from trainer.estimators.candidate import steps
from trainer.estimators.fitting import Model
from trainer.estimators.lines import RidgeLine
from trainer.features.conditions import ConditionSpec
from trainer.features.window_features import WindowFeatures
from trainer.graph.export import Graph, export

LENGTH = 5
Array = NDArray[np.float32]


def regimes(count: int, *, seed: int = 0) -> tuple[Array, Array]:
    """Windows of load, pressure and flow; and the load of each sample, 1, 2 or 3.

    Pressure is 100 times the load, and flow 1000 less that, both with noise that grows with it.
    """
    drawn = np.random.default_rng(seed)
    load = drawn.integers(1, 4, size=(count, LENGTH)).astype(np.float32)
    noise = drawn.normal(size=(count, LENGTH, 2)).astype(np.float32) * load[..., np.newaxis]
    pressure, flow = 100 * load + noise[..., 0], 1000 - 100 * load + noise[..., 1]
    return np.stack([load, pressure, flow], axis=2), load


def described(kinds: tuple[str, ...], **spec: object) -> WindowFeatures:
    condition = ConditionSpec(("load",), **spec)  # type: ignore[arg-type]  # as each test says
    return WindowFeatures(kinds, signals=("load", "pressure", "flow"), conditions=condition)


def in_a_graph(features: WindowFeatures, windows: Array) -> tuple[Array, Array]:
    """What a line on the features answers, in the graph and in NumPy."""
    x = features.transform(windows)
    line = steps(RidgeLine(1.0), scaled=True).fit(x, x.sum(axis=1))
    output = Output(name="value", dtype="float32", meaning="estimate")
    model = Model("regression", Pipeline([("f", features), *line.steps]), (output,))
    graph = Graph(export(model, (LENGTH, 3), "test", 1))
    return graph.run(windows)["value"], model.answer(windows)["value"]


@pytest.mark.parametrize("spec", [{}, {"clusters": 3}], ids=["by-value", "clustered"])
def test_signal_is_in_deviations_from_its_own_regime(spec: dict[str, object]) -> None:
    windows, load = regimes(900)
    seen = described(("last",), **spec).fit(windows).transform(windows)
    last = load[:, -1]
    np.testing.assert_array_equal(seen[:, 0], last)
    for value in (1, 2, 3):
        within = seen[last == value][:, 1:]
        np.testing.assert_allclose(within.mean(axis=0), 0, atol=1e-5)
        np.testing.assert_allclose(within.std(axis=0), 1, atol=1e-5)


@pytest.mark.parametrize("spec", [{}, {"clusters": 3}], ids=["by-value", "clustered"])
@pytest.mark.parametrize("kinds", [("mean", "slope"), ("lags",), ("residual", "last")], ids=str)
def test_conditions_are_inside_the_graph(kinds: tuple[str, ...], spec: dict[str, object]) -> None:
    windows, _ = regimes(300)
    features = described(kinds, **spec).fit(windows)
    other, _ = regimes(100, seed=1)
    other[::3, 1, 0], other[::5, :, 1], other[::7, 2, 0] = np.nan, np.nan, 2.5
    answer, wanted = in_a_graph(features, other)
    np.testing.assert_allclose(answer, wanted, rtol=1e-5, atol=1e-5)


def test_gap_is_what_is_usual_in_the_regime() -> None:
    windows, load = regimes(900)
    features = described(("last",)).fit(windows)
    windows[:, -1, 1] = np.nan
    filled = features.transform(windows)[:, 1]
    assert {*load[:, -1].tolist()} == {1, 2, 3}
    np.testing.assert_allclose(filled, 0, atol=0.1)


def test_signal_that_is_steady_within_a_regime_stays_finite() -> None:
    windows, load = regimes(300)
    windows[:, :, 2] = 7 * load
    seen = described(("last",)).fit(windows).transform(windows)
    np.testing.assert_array_equal(seen[:, 2], 0)


def test_fitted_twice_is_the_same_to_the_last_bit() -> None:
    windows, _ = regimes(300)
    once = described(("mean",), clusters=3).fit(windows)
    again = clone(once).fit(windows)
    np.testing.assert_array_equal(once.transform(windows), again.transform(windows))


def test_too_many_combinations_of_values_are_refused_with_what_to_give() -> None:
    windows, _ = regimes(300)
    windows[:, :, 0] = np.arange(300)[:, np.newaxis]
    with pytest.raises(DataError, match=r"300 combinations.*conditions\.clusters"):
        described(("last",)).fit(windows)
    with pytest.raises(DataError, match=r"is 4.*3 combinations"):
        described(("last",), clusters=4).fit(regimes(50)[0])


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"signals": ["load"]}, "'load' is no signal"),
        ({"signals": []}, "conditions.signals"),
        ({"signals": ["flow"], "clusters": 1}, "conditions.clusters: found 1"),
        ({"signals": ["flow"], "clusters": 51}, "conditions.clusters: found 51"),
    ],
    ids=["unknown", "none", "one-cluster", "many-clusters"],
)
def test_mistake_in_the_section_is_told(
    tmp_path: Path, section: dict[str, object], said: str
) -> None:
    with pytest.raises(RecipeError) as caught:
        recipe(tmp_path, conditions=section)
    assert said in str(caught.value)


def test_remaining_life_of_a_made_up_fleet_is_told_better_with_conditions() -> None:
    assert measured(0, machines=20).ratio < 0.7
