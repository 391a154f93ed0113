"""Intervals that cover the truth as often as they say, where drawing row by row does not."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import (
    average_precision_score,
    f1_score,
    mean_absolute_error,
    precision_score,
    r2_score,
    recall_score,
    roc_auc_score,
    root_mean_squared_error,
)
from sklearn.pipeline import Pipeline

from models.bundle.manifest import Output
from tests.kit.wording import names
from trainer.estimators.fitting import Model
from trainer.evaluation.difference import paired_difference
from trainer.evaluation.intervals import Units, intervals, units
from trainer.evaluation.metrics import WeightedMetrics, measure, trials, weighted_metrics

Series = NDArray[np.float64]
SIMULATIONS = 150
FEW = 40
"""Enough to see that what is drawn row by row misses the truth far too often."""


def mean_of(series: NDArray[Any]) -> WeightedMetrics:
    return lambda weights: {"mae": weights @ series / weights.sum(axis=1)}


def biased(series: NDArray[Any], weights: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    return {"bias": weights @ series / weights.sum(axis=1)}


def row_by_row(count: int) -> Units:
    return Units("rows", np.arange(count), np.array([0, count]))


def one_asset(series: Series, *, timed: bool = True) -> Units:
    asset = np.zeros(len(series), dtype=np.int64)
    return units(asset, {"loss": series}, timed=timed, whole=False)


def wandering(rng: np.random.Generator, count: int, memory: float) -> Series:
    series = rng.normal(size=count + 200)
    for row in range(1, len(series)):
        series[row] += memory * series[row - 1]
    return series[200:]


def coverage(
    draw: Callable[[np.random.Generator], tuple[Series, Units]], simulations: int = SIMULATIONS
) -> float:
    """How often the interval of a mean holds the true mean, which is 0."""
    held = 0
    for seed in range(simulations):
        series, drawn = draw(np.random.default_rng(seed))
        # As a bias, which may have any sign; an error may not.
        signed = partial(biased, series)
        low, high = intervals(signed, drawn, seed=seed)["bias"]
        held += low <= 0 <= high
    return held / simulations


@pytest.fixture
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.evaluation.intervals.RESAMPLES", 300)


@pytest.mark.usefixtures("few_resamples")
@pytest.mark.parametrize("timed", [False, True])
def test_independent_errors_are_covered(timed: bool) -> None:  # noqa: FBT001  a parameter of the test
    def draw(rng: np.random.Generator) -> tuple[Series, Units]:
        series = rng.normal(size=200)
        return series, one_asset(series, timed=timed)

    assert 0.9 <= coverage(draw) <= 0.99


def grouped(rng: np.random.Generator) -> tuple[Series, NDArray[np.int64]]:
    asset = np.repeat(np.arange(10), 20)
    return rng.normal(size=10)[asset] + rng.normal(size=200), asset


@pytest.mark.usefixtures("few_resamples")
def test_errors_that_assets_share_are_covered_by_drawing_assets() -> None:
    def honest(rng: np.random.Generator) -> tuple[Series, Units]:
        series, asset = grouped(rng)
        return series, units(asset, {"loss": series}, timed=True, whole=True)

    def naive(rng: np.random.Generator) -> tuple[Series, Units]:
        return grouped(rng)[0], row_by_row(200)

    assert 0.89 <= coverage(honest) <= 0.99
    assert coverage(naive, FEW) < 0.7


@pytest.mark.usefixtures("few_resamples")
@pytest.mark.parametrize(
    ("count", "memory", "least"),
    [
        pytest.param(800, 0.85, 0.9, id="many times as long as they remember"),
        # A bootstrap held the truth in 85 %, one of shorter blocks in 79 %.
        pytest.param(200, 0.95, 0.9, id="five times as long as they remember"),
    ],
)
def test_errors_that_remember_are_covered_by_blocks(
    count: int, memory: float, least: float
) -> None:
    def honest(rng: np.random.Generator) -> tuple[Series, Units]:
        series = wandering(rng, count, memory)
        return series, one_asset(series)

    def naive(rng: np.random.Generator) -> tuple[Series, Units]:
        return wandering(rng, count, memory), row_by_row(count)

    assert least <= coverage(honest) <= 0.99
    assert coverage(naive, FEW) < 0.6


def test_test_part_that_is_short_beside_its_memory_says_so() -> None:
    rng = np.random.default_rng(0)
    short, long = one_asset(wandering(rng, 200, 0.95)), one_asset(wandering(rng, 2000, 0.5))
    assert names(short.said, "jackknife over 4 blocks", "may be too narrow", "short beside")
    assert "may be too narrow" not in long.said


def test_metric_that_one_block_decides_on_keeps_the_interval_of_a_bootstrap() -> None:
    y = (np.arange(180) // 60 == 1).astype(np.int64)
    score = y * (np.arange(180) % 2).astype(np.float32)
    drawn = units(np.zeros(180, dtype=np.int64), {"y": score}, timed=True, whole=False, least=60)
    assert drawn.count == 3
    low, high = intervals(weighted_metrics(two_class(), answered(score), y), drawn)["f1"]
    assert low < high


def test_burst_of_errors_gives_an_interval_of_its_size() -> None:
    errors = np.where((np.arange(200) >= 60) & (np.arange(200) < 80), 1.0, 0.0)
    for least in (0.0, 0.001):
        series = np.maximum(errors, least)
        low, high = intervals(mean_of(series), one_asset(series))["mae"]
        assert 0 <= low < series.mean() < high < 1


def test_blocks_that_had_to_be_cut_are_said_to_be_short() -> None:
    series = np.random.default_rng(0).normal(size=100)
    drawn = units(np.zeros(100, dtype=np.int64), {"e": series}, timed=True, whole=False, least=60)
    assert names(drawn.said, "3 blocks of 33 windows", "may be too narrow")


def test_blocks_grow_with_the_memory_of_the_series() -> None:
    rng = np.random.default_rng(0)
    lengths = [one_asset(wandering(rng, 2000, phi)).length for phi in (0.0, 0.5, 0.9)]
    assert lengths[0] <= 10
    assert lengths[0] < lengths[1] < lengths[2]


def test_blocks_of_each_asset_differ_however_long_it_remembers() -> None:
    asset = np.repeat(np.arange(4), 60)
    series = np.random.default_rng(0).normal(size=240).cumsum()
    drawn = units(asset, {"loss": series}, timed=True, whole=True)
    assert drawn.kind == "blocks"
    low, high = intervals(partial(biased, series), drawn)["bias"]
    assert low < high


def test_block_is_at_least_as_long_as_the_window() -> None:
    series = np.random.default_rng(0).normal(size=500)
    asset = np.zeros(500, dtype=np.int64)
    assert units(asset, {"loss": series}, timed=True, whole=False, least=30).length == 30


@given(
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=6),
    length=st.integers(1, 12),
    seed=st.integers(0, 99),
)
def test_blocks_stay_within_their_asset(sizes: list[int], length: int, seed: int) -> None:
    asset = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    order = np.argsort(asset, kind="stable")
    start = np.concatenate([[0], np.cumsum(sizes)])
    weights = Units("blocks", order, start, length).draw(np.random.default_rng(seed), 5)
    for index, size in enumerate(sizes):
        drawn = weights[:, asset == index].sum(axis=1)
        block = min(length, size)
        assert (drawn == -(-size // block) * block).all()
    assert (weights >= 0).all()


def test_few_assets_fall_back_on_blocks_in_time() -> None:
    series = np.random.default_rng(0).normal(size=400)
    drawn = units(np.arange(400) % 3, {"loss": series}, timed=True, whole=True)
    assert drawn.kind == "blocks"
    assert units(np.arange(400) % 8, {"loss": series}, timed=True, whole=True).said.endswith(
        "8 assets, whole"
    )


def two_class() -> Model:
    outputs = (
        Output(name="value", dtype="int64", meaning="", classes=("healthy", "clogged")),
        Output(name="score", dtype="float32", meaning="", threshold=0.5),
    )
    return Model("classification", Pipeline([("none", "passthrough")]), outputs)


def answered(score: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    return {"value": (score > 0.5).astype(np.int64), "score": score}


@given(seed=st.integers(0, 200))
def test_weighted_metrics_are_those_of_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    y = np.append(rng.integers(0, 2, 60), [0, 1])
    score = np.round(rng.random(62), 1).astype(np.float32)
    weights = rng.integers(0, 4, 62).astype(float) + (np.arange(62) >= 60)
    found = weighted_metrics(two_class(), answered(score), y)(weights[None])
    said = score > 0.5
    for name, wanted in {
        "f1": f1_score(y, said, sample_weight=weights),
        "macro_f1": f1_score(y, said, average="macro", sample_weight=weights),
        "precision": precision_score(y, said, sample_weight=weights, zero_division=0),
        "recall": recall_score(y, said, sample_weight=weights),
        "roc_auc": roc_auc_score(y, score, sample_weight=weights),
        "average_precision": average_precision_score(y, score, sample_weight=weights),
    }.items():
        assert found[name][0] == pytest.approx(wanted), name


@given(seed=st.integers(0, 200))
def test_weighted_errors_are_those_of_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    y, value = rng.normal(5, 1, 50), rng.normal(5, 1, 50)
    weights = rng.integers(0, 4, 50).astype(np.float64)
    found = weighted_metrics(Model("regression", two_class().pipeline, ()), {"value": value}, y)
    table = found(weights[None])
    assert table["mae"][0] == pytest.approx(mean_absolute_error(y, value, sample_weight=weights))
    wanted = root_mean_squared_error(y, value, sample_weight=weights)
    assert table["rmse"][0] == pytest.approx(wanted)
    assert table["r2"][0] == pytest.approx(r2_score(y, value, sample_weight=weights))
    assert table["bias"][0] == pytest.approx(np.average(value - y, weights=weights))


def test_target_that_never_changes_has_no_r2() -> None:
    model = Model("regression", two_class().pipeline, ())
    assert "r2" not in measure(model, {"value": np.arange(5.0)}, np.full(5, 0.1))


def test_share_that_was_always_right_ends_where_so_few_events_allow() -> None:
    y = (np.arange(400) % 100 >= 90).astype(np.int64)
    score = y.astype(np.float32)
    drawn = units(np.arange(400) // 100, {"right": score}, timed=True, whole=False, least=20)
    found = intervals(
        weighted_metrics(two_class(), answered(score), y), drawn, trials=trials(two_class(), y)
    )
    low, high = found["recall"]
    # Four events of 10 windows, each in one block: 0.025 ** (1 / 4).
    assert (low, high) == (0.3976, 1.0)
    # Twelve blocks of a third of an event's 100 windows: 0.025 ** (1 / 12).
    assert found["accuracy"][0] == pytest.approx(0.7354)


def test_metric_that_most_draws_leave_undefined_has_no_interval() -> None:
    y = np.zeros(100, dtype=np.int64)
    y[50] = 1
    score = np.linspace(0, 1, 100).astype(np.float32)
    found = intervals(weighted_metrics(two_class(), answered(score), y), row_by_row(100))
    assert "roc_auc" not in found
    assert "accuracy" in found


def test_same_seed_gives_the_same_interval() -> None:
    series = np.random.default_rng(0).normal(size=300)
    one, two, other = (intervals(mean_of(series), row_by_row(300), seed=seed) for seed in (1, 1, 2))
    assert one == two != other


def test_work_is_bounded_for_very_many_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.evaluation.intervals._WORK", 3000)
    monkeypatch.setattr("trainer.evaluation.intervals._CHUNK", 1000)
    sizes: list[tuple[int, ...]] = []

    def counted(weights: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        sizes.append(weights.shape)
        return {"mae": weights.mean(axis=1)}

    intervals(counted, row_by_row(300))
    assert sum(rows for rows, _ in sizes) == 200
    assert max(rows * count for rows, count in sizes) <= 1000


@pytest.mark.parametrize(
    ("gain", "verdict"), [(0.2, "better"), (0.0, "not shown to be better"), (-0.2, "worse")]
)
def test_challenger_is_compared_on_the_same_draws(gain: float, verdict: str) -> None:
    rng = np.random.default_rng(0)
    hard = np.abs(rng.normal(scale=5, size=400))
    champion = hard + rng.normal(scale=0.1, size=400)
    challenger = hard - gain + rng.normal(scale=0.1, size=400)
    drawn = row_by_row(400)
    difference = paired_difference("mae", mean_of(champion), mean_of(challenger), drawn)
    assert difference is not None
    assert difference.verdict == verdict
    assert str(difference).startswith(f"{verdict}: mae ")
    # Apart, neither could be told from the other.
    apart = [intervals(mean_of(errors), drawn)["mae"] for errors in (champion, challenger)]
    assert apart[0][0] < apart[1][1]
    assert apart[1][0] < apart[0][1]


def test_metric_that_is_better_when_higher_is_read_so() -> None:
    y = np.tile([0, 1], 200)
    rng = np.random.default_rng(0)
    poor, good = (
        np.clip(y + rng.normal(scale=scale, size=400), 0, 1).astype(np.float32)
        for scale in (2.0, 0.3)
    )
    drawn = row_by_row(400)
    both = [weighted_metrics(two_class(), answered(score), y) for score in (poor, good)]
    difference = paired_difference("f1", both[0], both[1], drawn)
    assert difference is not None
    assert (difference.verdict, difference.value > 0) == ("better", True)
