"""A detector of what is not normal: PCA with two statistics, as plants have used for decades.

T2 (Hotelling) says how far a window lies from the middle within the plane of normal variation, Q
(squared prediction error) how far off that plane. Each is measured against the limit it keeps on
normal windows; the score is the larger ratio, and 1 is the alarm limit.

J. F. MacGregor, T. Kourti: Statistical process control of multivariate processes. Control
Engineering Practice 3(3), 1995, 403-414. Their limits assume independent normal samples, which
readings of a plant are not; ours are quantiles over blocks in time that were held out.
"""

from collections.abc import Iterable
from typing import Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin

MAX_SCORE = 1e30
"""A score stays finite in float32 whatever the readings are."""
_LEAST_LIMIT = 1e-9
"""Rounding errors of a statistic that is always zero stay below this."""


class PcaMonitor(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """T2 and Q against limits that hold `false_alarms` of normal windows to be abnormal.

    Args:
        variance: share of the normal variation that the plane explains.
        false_alarms: share of held-out normal windows beyond the limit.

    Attributes:
        mean_, scale_: of each feature, float64.
        axes_: principal axes of the scaled features, float64 `[features, components]`.
        variances_: of the components, float64 `[components]`.
        limits_: of T2 and Q.
    """

    def __init__(self, variance: float = 0.9, false_alarms: float = 0.01) -> None:
        self.variance = variance
        self.false_alarms = false_alarms

    def fit(
        self,
        X: NDArray[np.float32],
        y: object = None,  # noqa: ARG002  scikit-learn's signature
        *,
        folds: Iterable[tuple[NDArray[np.int64], NDArray[np.int64]]],
    ) -> Self:
        """Learn what is normal from features `[n, features]`, the limits from held-out folds."""
        held = []
        for fitted, out in folds:
            self._learn(X[fitted].astype(np.float64))
            held.append(self._statistics(X[out].astype(np.float64)))
        statistics = np.concatenate(held, axis=1)
        usual = np.quantile(statistics, 1 - self.false_alarms, axis=1)
        limits = np.maximum(usual, _LEAST_LIMIT)
        # Either may raise the alarm, so both together raise more of them: widen to the share.
        worst = (statistics / limits[:, np.newaxis]).max(axis=0)
        self.limits_ = limits * max(_between(worst, 1 - self.false_alarms), _LEAST_LIMIT)
        self._learn(X.astype(np.float64))
        return self

    def transform(self, X: NDArray[np.float32]) -> NDArray[np.float32]:
        """Score features `[n, features]`: float32 `[n, 1]`, above 1 is abnormal."""
        ratios = self._statistics(X.astype(np.float64)) / self.limits_[:, np.newaxis]
        score: NDArray[np.float32] = np.minimum(ratios.max(axis=0), MAX_SCORE).astype(np.float32)
        return score[:, np.newaxis]

    def _learn(self, X: NDArray[np.float64]) -> None:
        self.mean_ = X.mean(axis=0)
        deviation = X.std(axis=0)
        steady = deviation <= np.abs(self.mean_) * np.finfo(np.float32).eps
        self.scale_ = np.where(steady, 1.0, deviation)
        z = (X - self.mean_) / self.scale_
        variances, axes = np.linalg.eigh(z.T @ z / len(z))
        variances, axes = np.maximum(variances[::-1], 0.0), axes[:, ::-1]
        explained = np.cumsum(variances) / max(float(variances.sum()), _LEAST_LIMIT)
        kept = min(int(np.searchsorted(explained, self.variance)) + 1, len(variances))
        self.axes_ = np.ascontiguousarray(axes[:, :kept])
        self.variances_ = np.maximum(variances[:kept], _LEAST_LIMIT)

    def _statistics(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """T2 and Q of each row, `[2, n]`."""
        z = (X - self.mean_) / self.scale_
        along = z @ self.axes_
        off = z - along @ self.axes_.T
        return np.stack([(along * along / self.variances_).sum(axis=1), (off * off).sum(axis=1)])


def _between(scores: NDArray[np.float64], quantile: float) -> float:
    """A limit between two scores that occurred, so that no score falls on it."""
    ordered = np.unique(scores)
    below = int(np.searchsorted(ordered, np.quantile(scores, quantile), side="right")) - 1
    above = min(below + 1, len(ordered) - 1)
    return float((ordered[below] + ordered[above]) / 2)
