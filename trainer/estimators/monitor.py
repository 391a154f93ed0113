"""What is not normal, as one score: each detector against the limit it keeps on normal windows.

A score of 1 is the alarm limit. Textbook limits assume independent normal samples, which readings
of a plant are not; ours are quantiles over blocks in time that were held out.
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

Folds = Iterable[tuple[NDArray[np.int64], NDArray[np.int64]]]


class Monitor(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """The largest ratio of a statistic to its limit.

    Args:
        detectors: of `trainer.estimators.detectors.DETECTORS`; any of them may raise the alarm.
        false_alarms: share of held-out normal windows beyond the limit.
        seed: of detectors that draw.

    Attributes:
        scaling_: of the features.
        fitted_: the detectors.
        limits_: of each statistic, float64.
    """

    def __init__(
        self,
        detectors: Sequence[str] = ("mahalanobis",),
        false_alarms: float = 0.01,
        seed: int = 0,
    ) -> None:
        self.detectors = detectors
        self.false_alarms = false_alarms
        self.seed = seed

    def fit(
        self,
        X: NDArray[np.float32],
        y: object = None,  # noqa: ARG002  scikit-learn's signature
        *,
        folds: Folds,
    ) -> Self:
        """Learn what is normal from features `[n, features]`, the limits from held-out folds."""
        held = []
        for fitted, out in folds:
            self._learn(X[fitted])
            held.append(self._statistics(X[out]))
        statistics = np.concatenate(held)
        usual = np.quantile(statistics, 1 - self.false_alarms, axis=0)
        limits = np.maximum(usual, _LEAST_LIMIT)
        # Any may raise the alarm, so all together raise more of them: widen to the share.
        worst = (statistics / limits).max(axis=1)
        self.limits_ = limits * max(_between(worst, 1 - self.false_alarms), _LEAST_LIMIT)
        self._learn(X)
        return self

    def transform(self, X: NDArray[np.float32]) -> NDArray[np.float32]:
        """Score features `[n, features]`: float32 `[n, 1]`, above 1 is abnormal."""
        score: NDArray[np.float32] = self.compute(X)
        return score

    @property
    def width(self) -> int:
        """One column comes out."""
        return 1

    def compute(self, X: Any) -> Any:  # noqa: ANN401  an array, or a symbol
        """The score of numbers or a symbol."""
        ratios = self._statistics(X) / self.limits_
        return np.minimum(ratios.max(axis=1, keepdims=True), MAX_SCORE).astype(np.float32)

    def _learn(self, X: NDArray[np.float32]) -> None:
        self.scaling_ = Standardise().fit(X)
        z = self.scaling_.transform(X).astype(np.float64)
        self.fitted_ = [DETECTORS[name]().fit(z, self.seed) for name in self.detectors]

    def _statistics(self, X: Any) -> Any:  # noqa: ANN401  an array, or a symbol
        """All statistics of each row, `[n, statistics]`."""
        z = self.scaling_.compute(X).astype(np.float64)
        parts = [one for detector in self.fitted_ for one in detector.statistics(z)]
        return np.concatenate(parts, axis=1)


def _between(scores: NDArray[np.float64], quantile: float) -> float:
    """A limit between two scores that occurred, so that no score falls on it."""
    ordered = np.unique(scores)
    below = int(np.searchsorted(ordered, np.quantile(scores, quantile), side="right")) - 1
    above = min(below + 1, len(ordered) - 1)
    return float((ordered[below] + ordered[above]) / 2)
