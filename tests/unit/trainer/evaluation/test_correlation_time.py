"""A correlation time is what the made-up process has, or a bound where the series is too short."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import lfilter

from trainer.evaluation.correlation_time import correlation_time


def process(coefficient: float, count: int, seed: int) -> NDArray[np.float64]:
    """A first-order autoregressive process of variance 1 that began long ago."""
    drawn = np.random.default_rng(seed).standard_normal(count + 20_000)
    gain = np.sqrt(1 - coefficient**2)
    found: NDArray[np.float64] = lfilter([gain], [1, -coefficient], drawn)[20_000:]
    return found


def one_run(count: int) -> NDArray[np.int64]:
    return np.zeros(count, dtype=np.int64)


@pytest.mark.parametrize("coefficient", [0.0, 0.5, 0.9, 0.99])
def test_time_of_a_process_is_that_of_its_coefficient(coefficient: float) -> None:
    wanted = (1 + coefficient) / (1 - coefficient)
    found = [
        correlation_time(process(coefficient, 50_000, seed), one_run(50_000)) for seed in range(7)
    ]
    assert not any(one.is_bound for one in found)
    assert np.median([one.steps for one in found]) == pytest.approx(wanted, rel=0.15)


def test_recording_of_ten_times_the_time_only_gives_a_bound() -> None:
    found = [correlation_time(process(0.99, 2_000, seed), one_run(2_000)) for seed in range(20)]
    assert sum(one.is_bound for one in found) >= 18
    assert all(one.steps <= 199 for one in found)


def test_runs_are_told_apart() -> None:
    """A level that differs from run to run lasts longer than a run: that is not seen to end."""
    run = np.repeat(np.arange(40), 500)
    x = process(0.9, 20_000, 1)
    assert correlation_time(x, run).steps == pytest.approx(19, rel=0.25)
    levels = np.random.default_rng(2).normal(0, 2, 40)
    assert correlation_time(x + levels[run], run).is_bound


def test_values_of_another_run_are_no_neighbours() -> None:
    """Rows of noise, each of which begins the next run as a copy."""
    noise = np.random.default_rng(3).standard_normal(5_000)
    twice = np.repeat(noise, 2)
    assert correlation_time(twice, one_run(10_000)).steps == pytest.approx(2, rel=0.1)
    assert correlation_time(twice, (np.arange(10_000) + 1) // 2).steps == pytest.approx(1, rel=0.1)


def test_slow_part_under_noise_is_found() -> None:
    noise = np.random.default_rng(4).standard_normal(50_000)
    found = correlation_time(0.9 * noise + 0.5 * process(0.995, 50_000, 5), one_run(50_000))
    assert found.steps > 50


def test_cycle_is_not_taken_for_noise() -> None:
    found = correlation_time(np.sin(np.arange(20_000) * 2 * np.pi / 500), one_run(20_000))
    assert found.steps == pytest.approx(160, rel=0.15)


def test_trend_has_no_time() -> None:
    found = correlation_time(np.arange(20_000.0), one_run(20_000))
    assert found.is_bound
    assert found.steps == pytest.approx(1000)


def test_gaps_are_left_out() -> None:
    x = process(0.9, 50_000, 6)
    x[np.random.default_rng(7).random(50_000) < 0.2] = np.nan
    assert correlation_time(x, one_run(50_000)).steps == pytest.approx(19, rel=0.2)


@pytest.mark.parametrize(
    ("series", "is_bound"),
    [
        pytest.param(np.full(1000, 4.5), False, id="constant"),
        pytest.param(np.full(1000, np.nan), True, id="no value"),
        pytest.param(np.empty(0), True, id="no row"),
        pytest.param(np.array([1.0, 2.0, 1.0]), True, id="three rows"),
    ],
)
def test_series_that_says_nothing(series: NDArray[np.float64], *, is_bound: bool) -> None:
    assert correlation_time(series, one_run(len(series))) == (1.0, is_bound)


def test_long_series_is_thinned_where_its_beginning_is_too_short() -> None:
    x = process(0.999, 200_000, 8)
    begun = correlation_time(x[:10_000], one_run(10_000))
    whole = correlation_time(x, one_run(200_000), 10_000)
    assert begun.is_bound
    assert not whole.is_bound
    assert whole.steps == pytest.approx(1999, rel=0.5)
