"""Intervals from a few dozen groups or blocks in time, by leaving out one at a time.

With so few groups the resamples of a bootstrap are too alike: over five assets an interval that
says 95 % holds the truth in 84 %, and one over four blocks of a series that remembers for long in
70 to 91 %. The jackknife over whole groups with the quantiles of Student's t is reliable there
(MacKinnon, Nielsen and Webb 2023, "Fast and reliable jackknife and bootstrap methods for cluster-
robust inference"), with the effective number of groups where these differ in size (Carter, Schnepel
and Steigerwald 2017). It is computed where a metric is more nearly normal: errors as logarithms,
shares by the arcsine of their square root (Efron and Tibshirani 1993, chapter 12, on transformed
intervals).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from trainer.evaluation.metrics import WeightedMetrics, Weights

_TAIL = 0.025
_ERRORS = frozenset({"mae", "rmse", "log_loss", "mae_at_last", "rmse_at_last", "mae_by_run"})
_UNBOUNDED = frozenset({"bias"})
_ALIKE = 4.0
"""Times by which an error may change without one of the units, for a scale of ratios."""
Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Scale:
    """A scale on which a metric is more nearly normal, and the way back."""

    to: Callable[[Any], Any]
    back: Callable[[Any], Any]


_PLAIN = _Scale(np.asarray, np.asarray)
_ERROR = _Scale(np.asarray, lambda value: np.maximum(value, 0.0))
_LOG = _Scale(np.log, np.exp)
_REST = _Scale(lambda value: np.log(1 - value), lambda value: 1 - np.exp(value))
_SHARE = _Scale(
    lambda value: np.arcsin(np.sqrt(np.clip(value, 0, 1))),
    lambda value: np.sin(np.clip(value, 0, np.pi / 2)) ** 2,
)


def jackknifed(metrics: WeightedMetrics, alone: Weights) -> dict[str, tuple[float, float]]:
    """The 95 % interval of each metric that is defined without any one of the groups.

    Args:
        metrics: the metrics as a function of the weights of windows.
        alone: for each group 1 for its windows and 0 for the others, `[groups, n]`.
    """
    whole = metrics(np.ones((1, alone.shape[1])))
    without = [metrics(1 - one[None]) for one in alone]
    size = alone.sum(axis=1)
    freedom = max(1.0, float(size.sum() ** 2 / (size**2).sum()) - 1)
    found = {}
    for name, value in whole.items():
        left = np.array([one[name][0] for one in without])
        if np.isfinite(left).all() and np.isfinite(value[0]):
            scale = _scale(name, float(value[0]), left)
            found[name] = _interval(float(value[0]), left, scale, freedom)
    return found


def _interval(value: float, left: Numbers, scale: _Scale, freedom: float) -> tuple[float, float]:
    middle, count = scale.to(value), len(left)
    error = np.sqrt(((scale.to(left) - middle) ** 2).sum() * (count - 1) / count)
    reach = -stdtrit(freedom, _TAIL) * error
    ends = sorted((float(scale.back(middle - reach)), float(scale.back(middle + reach))))
    return float(f"{ends[0]:.4g}"), float(f"{ends[1]:.4g}")


def _scale(name: str, value: float, left: Numbers) -> _Scale:
    """The scale of a metric by its name.

    The plain one where it is not defined there, or where one unit decides on the metric: on a scale
    of ratios the interval would reach over many powers of ten.
    """
    least, most = min(value, left.min()), max(value, left.max())
    if name in _ERRORS:
        return _LOG if 0 < most < _ALIKE * least else _ERROR
    if name == "r2" or name.startswith("skill"):
        return _REST if 0 < 1 - least < _ALIKE * (1 - most) else _PLAIN
    return _PLAIN if name in _UNBOUNDED else _SHARE
