"""Standardised features, for estimators that measure distances."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin

# In deviations. A value beyond is far from normal in any case, and its square must not overflow.
_FARTHEST = 1e4


class Standardise(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """Scales features to mean 0 and deviation 1, in double precision, rounded to float32 once.

    Like scikit-learn's StandardScaler, but a feature that was constant in the training part is
    only centred, and values are clipped to 10,000 deviations.

    Attributes:
        mean_: mean of each feature, float64 `[features]`.
        scale_: deviation of each feature, float64 `[features]`; 1 for a constant one.
    """

    def fit(self, X: NDArray[np.float32], y: object = None) -> Self:  # noqa: ARG002  sklearn's
        """Measure mean and deviation of features `[n, features]`; `y` is ignored."""
        exact = X.astype(np.float64)
        self.mean_ = exact.mean(axis=0)
        deviation = exact.std(axis=0)
        # Rounding of float32 alone gives a constant feature a deviation of about this.
        steady = deviation <= np.abs(self.mean_) * np.finfo(np.float32).eps
        self.scale_ = np.where(steady, 1.0, deviation)
        return self

    def transform(self, X: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scale features `[n, features]`: float32 of the same shape."""
        scaled: NDArray[np.float32] = self.compute(X)
        return scaled

    @property
    def width(self) -> int:
        """Number of columns that `transform` returns."""
        return len(self.mean_)

    def compute(self, X: Any) -> Any:  # noqa: ANN401  an array, or a symbol
        """The scaled features, of an array or of a symbol."""
        z = (X.astype(np.float64) - self.mean_) / self.scale_
        return np.minimum(np.maximum(z, -_FARTHEST), _FARTHEST).astype(np.float32)
