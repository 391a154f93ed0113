"""The integrated autocorrelation time: how far apart values of a series are news to each other.

The time is one plus twice the sum of the autocorrelations. As many of them are summed as are needed
for five times the sum so far (A. Sokal: Monte Carlo methods in statistical mechanics, 1997, section
3), since a series of noise above something slow would else seem to forget at once. The greatest sum
on the way counts, so that a cycle, whose later correlations are negative, is not taken for noise.
The sum of a short series is too small, since its own mean is subtracted from it; that is corrected
to first order (U. Wolff: Monte Carlo errors with less errors, 2004, section 3.3).
"""

import math
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft

from models.bundle.correlation import ENOUGH

MAX_VALUES: Final = 100_000
"""Most values that are looked at at once; of a longer series the first ones, or every so many."""
_TIMES: Final = 5
_MIN_VALUES: Final = 10

Floats = NDArray[np.float64]
Runs = NDArray[np.int64]


class Estimate(NamedTuple):
    """A correlation time.

    Attributes:
        steps: the time, in steps of the series; at least 1.
        is_bound: whether the series is too short to tell, so that the time is at least this.
    """

    steps: float
    is_bound: bool

    @property
    def window(self) -> int:
        """The steps over which correlations are summed: what is further apart is not alike."""
        return math.ceil(_TIMES * self.steps)


def correlation_time(series: NDArray[Any], run: Runs, most: int = MAX_VALUES) -> Estimate:
    """The integrated autocorrelation time of a series that may consist of several runs.

    A first-order autoregressive process with the coefficient c has (1 + c) / (1 - c) steps. Only
    values of the same run are compared, and all of them with the mean of the whole series: what
    differs between runs lasts as long as they do.

    Args:
        series: values in order of time within each run, the runs one after another, `[n]`;
            NaN where there is none.
        run: number of the run of each value, `[n]`.
        most: number of values that are looked at at once.
    """
    found = _estimate(series[:most].astype(np.float64), run[:most])
    stride = -(-len(series) // most)
    if not found.is_bound or stride <= 1:
        return found
    thin = _estimate(series[::stride].astype(np.float64), run[::stride])
    return Estimate(max(found.steps, thin.steps * stride), thin.is_bound)


def _estimate(x: Floats, run: Runs) -> Estimate:
    known = np.isfinite(x)
    count = int(known.sum())
    if count < _MIN_VALUES:
        return Estimate(1.0, is_bound=True)
    x = np.where(known, x - x[known].mean(), 0.0)
    if not x.any() or np.ptp(x[known]) <= np.finfo(np.float32).eps * np.abs(x[known]).max():
        return Estimate(1.0, is_bound=False)
    correlation = _correlations(x, known, run)
    sums = np.maximum.accumulate(np.maximum(1.0, 2 * np.cumsum(correlation) - 1))
    (enough,) = np.nonzero(np.arange(len(sums)) >= _TIMES * sums)
    if len(enough):
        last = int(enough[0])
        steps = float(sums[last]) / max(1 - (2 * last + 1) / count, 1 / _TIMES)
        if count >= ENOUGH * steps:
            return Estimate(steps, is_bound=False)
    return Estimate(max(1.0, min(float(sums[-1]), count / ENOUGH)), is_bound=True)


def _correlations(x: Floats, known: NDArray[np.bool_], run: Runs) -> Floats:
    """Autocorrelations up to half of the longest run, from lag 0 on."""
    starts = np.flatnonzero(np.diff(run, prepend=run[0] - 1))
    ends = np.append(starts[1:], len(run))
    lags = int((ends - starts).max()) // 2 + 1
    products, pairs = np.zeros(lags), np.zeros(lags)
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        own = min(lags, end - start)
        products[:own] += _shifted(x[start:end])[:own]
        pairs[:own] += np.rint(_shifted(known[start:end].astype(np.float64)))[:own]
    mean = products / np.maximum(pairs, 1)
    correlation: Floats = mean / mean[0]
    return correlation


def _shifted(x: Floats) -> Floats:
    """Sums of the products of a series with itself, shifted by 0, 1, ... steps, `[n]`."""
    size = next_fast_len(2 * len(x), real=True)
    power = np.abs(rfft(x, size)) ** 2
    sums: Floats = irfft(power, size)[: len(x)]
    return sums
