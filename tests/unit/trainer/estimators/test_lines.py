"""Lines on lags: the lags that a signal does not act by weigh nothing."""

import numpy as np
import pytest
from numpy.typing import NDArray

from trainer.estimators.lines import RidgeLine, TrimmedLine

LAGS, SIGNALS, ROWS = 20, 2, 600


def lagged(seed: int) -> NDArray[np.float32]:
    """Lag after lag, each of both signals, `[rows, lags * signals]`."""
    drawn = np.random.default_rng(seed).normal(size=(ROWS + LAGS - 1, SIGNALS))
    lags = [drawn[LAGS - 1 - lag : LAGS - 1 - lag + ROWS] for lag in range(LAGS)]
    return np.concatenate(lags, axis=1).astype(np.float32)


def answer(x: NDArray[np.float32]) -> NDArray[np.float64]:
    """A number that follows the first signal 6 to 8 samples later, and the second 2 samples."""
    by_lag = x.astype(np.float64).reshape(len(x), LAGS, SIGNALS)
    found: NDArray[np.float64] = 10 + by_lag[:, 6:9, 0].sum(axis=1) - 2 * by_lag[:, 2, 1]
    return found


def test_lags_before_the_dead_time_and_after_the_memory_weigh_nothing() -> None:
    x = lagged(1)
    y = answer(x) + np.random.default_rng(2).normal(scale=0.5, size=ROWS)
    weights = TrimmedLine(SIGNALS).fit(x, y).weights_.reshape(LAGS, SIGNALS)
    acting = np.zeros((LAGS, SIGNALS), dtype=np.bool_)
    acting[6:9, 0], acting[2, 1] = True, True
    assert (np.abs(weights[acting]) > 0.8).all()
    assert (weights[~acting] == 0).mean() > 0.7


def test_fewer_lags_go_on_better_where_levels_have_moved() -> None:
    x, later = lagged(1), lagged(3) + np.float32(5)
    y = answer(x) + np.random.default_rng(2).normal(scale=1.0, size=ROWS)
    errors = [
        np.abs(line.fit(x, y).predict(later) - answer(later)).mean()
        for line in (TrimmedLine(SIGNALS), RidgeLine(1e-2, per_row=True))
    ]
    assert errors[0] < 0.8 * errors[1]


@pytest.mark.parametrize("width", [1, 2], ids=["one-feature", "one-lag-of-each"])
def test_single_lags_are_a_plain_line(width: int) -> None:
    x = lagged(1)[:, :width]
    y = 3.0 * x[:, 0].astype(np.float64) + 1
    found = TrimmedLine(width).fit(x, y)
    assert found.predict(x) == pytest.approx(y, abs=0.2)
