"""How long the values of a time series stay correlated: the length of blocks that are permuted.

This is the automatic choice by Politis and White (2004), corrected by Patton, Politis and White
(2009), for the circular block bootstrap. Intervals have longer blocks, see
`trainer.evaluation.intervals`.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MAX_ROWS = 200_000
_CRITICAL = 2.0
_MIN_ROWS = 10


def memory(series: NDArray[Any], asset: NDArray[np.int64]) -> int:
    """The block length, in rows, that suits a bootstrap of the mean of a series best.

    Args:
        series: values in time order within each asset, the assets one after another, `[n]`.
        asset: index of the asset of each value, `[n]`.
    """
    x, of = series[:_MAX_ROWS].astype(np.float64), asset[:_MAX_ROWS]
    count = len(x)
    if count < _MIN_ROWS or np.ptp(x) == 0:
        return 1
    x = x - x.mean()
    quiet = max(5, math.ceil(math.sqrt(math.log10(count))))
    last = min(count - 1, math.ceil(math.sqrt(count)) + quiet)
    covariance = np.array(
        [(x[: count - k] * x[k:])[of[: count - k] == of[k:]].sum() / count for k in range(last + 1)]
    )
    bandwidth = min(2 * _reach(covariance / covariance[0], count, quiet), last)
    lag = np.arange(1, bandwidth + 1)
    weight = np.minimum(1, 2 * (1 - lag / bandwidth))  # the flat-top lag window
    slope = 2 * float((weight * lag * covariance[1 : bandwidth + 1]).sum())
    spectrum = float(covariance[0] + 2 * (weight * covariance[1 : bandwidth + 1]).sum())
    longest = math.ceil(min(3 * math.sqrt(count), count / 3))
    if spectrum <= 0:
        return longest
    best = (1.5 * slope**2 / spectrum**2 * len(series)) ** (1 / 3)
    return int(min(max(1, math.ceil(best)), longest))


def _reach(correlation: NDArray[np.float64], count: int, quiet: int) -> int:
    """The lag that is followed by `quiet` lags in a row without significance; at least 1."""
    loud = np.abs(correlation[1:]) >= _CRITICAL * math.sqrt(math.log10(count) / count)
    for lag in range(len(loud) - quiet + 1):
        if not loud[lag : lag + quiet].any():
            return max(1, lag)
    return max(1, int(np.flatnonzero(loud)[-1]) + 1)
