"""Anomaly detection as one score: the largest ratio of a detector's statistic to its limit.

A score of 1 is the alarm limit. Textbook limits assume independent normal samples, which readings
of a plant are not; here a limit is the quantile of a statistic over blocks in time that were held
out of the fit.

A score may be smoothed over time, by the geometric mean. Values a little above the limit add up as
in any mean. But a single reading a thousand times above it raises no alarm for as long as it is in
the window, and one in the training part does not raise the limit for all others.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin

from trainer.estimators.detectors import DETECTORS
from trainer.features.scaling import Standardise

# A score must stay finite in float32, whose largest number is 3.4e38, whatever the readings are.
MAX_SCORE = 1e30
# Above the rounding errors of a statistic that is always zero.
_LEAST_LIMIT = 1e-9
# Before smoothing, a ratio to the limit is clipped to this and to its inverse, so that a single
# position cannot outweigh many others.
_MOST_OF_ONE = 100.0

Folds = Iterable[tuple[NDArray[np.int64], NDArray[np.int64]]]


class Monitor(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """Scores features by the largest ratio of a statistic to its limit.

    Args:
        detectors: names in `trainer.estimators.detectors.DETECTORS`; an alarm of any is an alarm.
        false_alarms: share of held-out normal windows whose score may be above 1.
        seed: seed of detectors that draw.
        positions: number of moments in a window at which the features are given, oldest first;
            the score is smoothed over them. 1 is no smoothing.

    Attributes:
        scaling_: standardises the features.
        fitted_: the fitted detectors, in the order of `detectors`.
        limits_: limit of each statistic, `[statistics]`, float64.
        widening_: the quantile of the combined and smoothed score, by which it is divided; so the
            share of false alarms holds for all detectors together.
    """

    def __init__(
        self,
        detectors: Sequence[str] = ("mahalanobis",),
        false_alarms: float = 0.01,
        seed: int = 0,
        positions: int = 1,
    ) -> None:
        self.detectors = detectors
        self.false_alarms = false_alarms
        self.seed = seed
        self.positions = positions

    def fit(
        self,
        X: NDArray[np.float32],
        y: object = None,  # noqa: ARG002  scikit-learn's signature
        *,
        folds: Folds,
    ) -> Self:
        """Fit the detectors, and find the limits on held-out folds.

        Args:
            X: features of normal windows, `[n, positions * features]`.
            y: ignored.
            folds: for each fold the indices to fit on, and the indices held out.
        """
        held = []
        for fitted, out in folds:
            self._learn(X[fitted])
            held.append(self._statistics(X[out]))
        statistics = np.concatenate(held)
        usual = np.quantile(statistics, 1 - self.false_alarms, axis=0)
        self.limits_ = np.maximum(usual, _LEAST_LIMIT)
        # The largest of several ratios is above 1 more often than each, and a smoothed one less
        # often, so the combined score needs a limit of its own.
        together = self._together(statistics)[:, 0]
        self.widening_ = max(_between(together, 1 - self.false_alarms), _LEAST_LIMIT)
        self._learn(X)
        return self

    def transform(self, X: NDArray[np.float32]) -> NDArray[np.float32]:
        """Score features `[n, positions * features]`: float32 `[n, 1]`, above 1 is abnormal."""
        score: NDArray[np.float32] = self.compute(X)
        return score

    @property
    def width(self) -> int:
        """Number of columns that `transform` returns."""
        return 1

    def compute(self, X: Any) -> Any:  # noqa: ANN401  an array, or a symbol
        """The score, float32 `[n, 1]`, of features: an array, or a symbol."""
        score = self._together(self._statistics(X)) / self.widening_
        return np.minimum(score, MAX_SCORE).astype(np.float32)

    def _learn(self, X: NDArray[np.float32]) -> None:
        """Fit to the last position only: the others occur as the last of earlier windows."""
        now = X[:, -(X.shape[1] // self.positions) :]
        self.scaling_ = Standardise().fit(now)
        z = self.scaling_.transform(now).astype(np.float64)
        self.fitted_ = [DETECTORS[name]().fit(z, self.seed) for name in self.detectors]

    def _statistics(self, X: Any) -> Any:  # noqa: ANN401  an array, or a symbol
        """All statistics at each position, `[n * positions, statistics]`."""
        each = X if self.positions == 1 else X.reshape(-1, self.scaling_.width)
        z = self.scaling_.compute(each).astype(np.float64)
        parts = [one for detector in self.fitted_ for one in detector.statistics(z)]
        return np.concatenate(parts, axis=1)

    def _together(self, statistics: Any) -> Any:  # noqa: ANN401  an array, or a symbol
        """The largest ratio to a limit, smoothed over the positions, `[n, 1]`."""
        worst = (statistics / self.limits_).max(axis=1, keepdims=True)
        if self.positions == 1:
            return worst
        bounded = np.minimum(np.maximum(worst, 1 / _MOST_OF_ONE), _MOST_OF_ONE)
        logs = np.log(bounded).reshape(-1, self.positions)
        return np.exp(logs.sum(axis=1, keepdims=True) / self.positions)


def _between(scores: NDArray[np.float64], quantile: float) -> float:
    """A limit near a quantile, halfway between two scores that occurred, so none is equal to it."""
    ordered = np.unique(scores)
    below = int(np.searchsorted(ordered, np.quantile(scores, quantile), side="right")) - 1
    above = min(below + 1, len(ordered) - 1)
    return float((ordered[below] + ordered[above]) / 2)
