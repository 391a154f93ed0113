"""What is not normal, as one score: each detector against the limit it keeps on normal windows.

A score of 1 is the alarm limit. Textbook limits assume independent normal samples, which readings
of a plant are not; ours are quantiles over blocks in time that were held out.

A score is smoothed over time by the geometric mean: what is a little beyond its limit for long adds
up as it does in any mean, but one reading that is a thousand times beyond it raises no alarm for as
long as it is in sight, and one in the training part does not raise the limit for everything else.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin

from trainer.estimators.detectors import DETECTORS
from trainer.features.scaling import Standardise

MAX_SCORE = 1e30
"""A score stays finite in float32 whatever the readings are."""
_LEAST_LIMIT = 1e-9
"""Rounding errors of a statistic that is always zero stay below this."""
_MOST_OF_ONE = 100.0
"""One of several positions counts as so many times its limit at most, and as that part at least."""

Folds = Iterable[tuple[NDArray[np.int64], NDArray[np.int64]]]


class Monitor(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """The largest ratio of a statistic to its limit.

    Args:
        detectors: of `trainer.estimators.detectors.DETECTORS`; any of them may raise the alarm.
        false_alarms: share of held-out normal windows beyond the limit.
        seed: of detectors that draw.
        positions: how often the features are there, at as many moments, the last of them last.

    Attributes:
        scaling_: of the features.
        fitted_: the detectors.
        limits_: of each statistic, float64.
        widening_: what all together, and smoothed, are divided by to keep to the share.
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
        """Learn what is normal, and the limits from held-out folds.

        Args:
            X: features `[n, positions x features]`.
            y: not looked at.
            folds: what to learn from, and what is held out.
        """
        held = []
        for fitted, out in folds:
            self._learn(X[fitted])
            held.append(self._statistics(X[out]))
        statistics = np.concatenate(held)
        usual = np.quantile(statistics, 1 - self.false_alarms, axis=0)
        self.limits_ = np.maximum(usual, _LEAST_LIMIT)
        # Any may raise the alarm, so all together raise more of them, and smoothed fewer.
        together = self._together(statistics)[:, 0]
        self.widening_ = max(_between(together, 1 - self.false_alarms), _LEAST_LIMIT)
        self._learn(X)
        return self

    def transform(self, X: NDArray[np.float32]) -> NDArray[np.float32]:
        """Score features `[n, positions x features]`: float32 `[n, 1]`, above 1 is abnormal."""
        score: NDArray[np.float32] = self.compute(X)
        return score

    @property
    def width(self) -> int:
        """One column comes out."""
        return 1

    def compute(self, X: Any) -> Any:  # noqa: ANN401  an array, or a symbol
        """The score of numbers or a symbol."""
        score = self._together(self._statistics(X)) / self.widening_
        return np.minimum(score, MAX_SCORE).astype(np.float32)

    def _learn(self, X: NDArray[np.float32]) -> None:
        """Learn from the last position: the others are the last one of windows before."""
        now = X[:, -(X.shape[1] // self.positions) :]
        self.scaling_ = Standardise().fit(now)
        z = self.scaling_.transform(now).astype(np.float64)
        self.fitted_ = [DETECTORS[name]().fit(z, self.seed) for name in self.detectors]

    def _statistics(self, X: Any) -> Any:  # noqa: ANN401  an array, or a symbol
        """All statistics of each position, `[n x positions, statistics]`."""
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
    """A limit between two scores that occurred, so that no score falls on it."""
    ordered = np.unique(scores)
    below = int(np.searchsorted(ordered, np.quantile(scores, quantile), side="right")) - 1
    above = min(below + 1, len(ordered) - 1)
    return float((ordered[below] + ordered[above]) / 2)
