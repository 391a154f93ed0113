"""Features on one scale, for estimators that measure distances."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin

_FARTHEST = 1e4
"""Deviations: beyond, a reading is far off whatever it is, and its square must not overflow."""


class Standardise(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """Mean zero and deviation one, in double precision, rounded to float32 once.

    A feature that never changed in training is centred only. Values farther than 10,000 deviations
    count as that far.

    Attributes:
        mean_, scale_: of each feature, float64.
    """

    def fit(self, X: NDArray[np.float32], y: object = None) -> Self:  # noqa: ARG002  sklearn's
        """Learn the scale of features `[n, features]`."""
        exact = X.astype(np.float64)
        self.mean_ = exact.mean(axis=0)
        deviation = exact.std(axis=0)
        steady = deviation <= np.abs(self.mean_) * np.finfo(np.float32).eps
        self.scale_ = np.where(steady, 1.0, deviation)
        return self

    def transform(self, X: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scale features: float32 `[n, features]`."""
        scaled: NDArray[np.float32] = self.compute(X)
        return scaled

    @property
    def width(self) -> int:
        """How many columns come out."""
        return len(self.mean_)

    def compute(self, X: Any) -> Any:  # noqa: ANN401  an array, or a symbol
        """The same of numbers or a symbol."""
        z = (X.astype(np.float64) - self.mean_) / self.scale_
        return np.minimum(np.maximum(z, -_FARTHEST), _FARTHEST).astype(np.float32)
