"""Linear models for regression, fitted and written as a graph in double precision.

Lags of a signal are nearly the same from one to the next. A linear model of such features has large
weights of opposite signs, whose sum in float32 would lose more digits than the parity check allows.
scikit-learn keeps the precision of its input, and features are float32, so they are widened here.
"""

import warnings
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.cross_decomposition import PLSRegression
from sklearn.linear_model import Ridge


class Line(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """A weighted sum of the features and a constant; what is fitted decides on the weights.

    Attributes:
        weights_: weight of each feature, float64 `[features, 1]`.
        shift_: the constant.
    """

    weights_: NDArray[np.float64]
    shift_: float

    def predict(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """The prediction `[n]` for features `[n, features]`."""
        found: NDArray[np.float64] = self.compute(X)[:, 0]
        return found

    def compute(self, X: Any) -> Any:  # noqa: ANN401  an array, or a symbol
        """The prediction `[n, 1]` for features `[n, features]`: an array, or a symbol."""
        return X.astype(np.float64) @ self.weights_ + self.shift_

    def _keep(self, weights: NDArray[np.float64], shift: Any) -> Self:  # noqa: ANN401  a number, or an array of one
        self.weights_ = np.ascontiguousarray(np.reshape(weights, (-1, 1)))
        self.shift_ = float(np.ravel(shift)[0])
        return self


class RidgeLine(Line):
    """Ridge regression: least squares with a penalty on the squared weights.

    Source: A. E. Hoerl, R. W. Kennard: Ridge regression. Technometrics 12(1), 1970, 55-67.

    Args:
        alpha: the penalty, against the sum of the squared errors over the rows; or with `per_row`
            against their mean, so that it means the same for any number of rows.
        per_row: which of both.
    """

    def __init__(self, alpha: float = 1.0, *, per_row: bool = False) -> None:
        self.alpha = alpha
        self.per_row = per_row

    def fit(self, X: NDArray[np.float32], y: NDArray[np.float64]) -> Self:
        """Fit to standardised features `[n, features]` and target values `[n]`."""
        alpha = self.alpha * (len(X) if self.per_row else 1)
        found = Ridge(alpha=alpha).fit(X.astype(np.float64), y.astype(np.float64))
        return self._keep(found.coef_, found.intercept_)


class LatentLine(Line):
    """Partial least squares: a line along the few directions that vary with the target.

    Source: S. Wold, M. Sjöström, L. Eriksson: PLS-regression, a basic tool of chemometrics.
    Chemometrics and Intelligent Laboratory Systems 58(2), 2001, 109-130.

    Args:
        components: number of directions; fewer if there are fewer features or rows.
    """

    def __init__(self, components: int = 2) -> None:
        self.components = components

    def fit(self, X: NDArray[np.float32], y: NDArray[np.float64]) -> Self:
        """Fit to standardised features `[n, features]` and target values `[n]`."""
        count = max(1, min(self.components, X.shape[1], len(X) - 1))
        with warnings.catch_warnings():
            # Nothing of the target may be left for the last directions; they then weigh nothing.
            warnings.filterwarnings("ignore", ".*residual is constant", UserWarning)
            found = PLSRegression(n_components=count, scale=False).fit(X.astype(np.float64), y)
        return self._keep(found.coef_, found.intercept_)
