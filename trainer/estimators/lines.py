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

_STEADY = 1e-4
"""Penalty with which lags that are nearly the same can be told apart."""


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


class TrimmedLine(Line):
    """Ridge regression on lags, without the lags at either end of each signal that do not pay.

    A signal acts after a dead time, and no longer than its memory. Weights of the lags before and
    after are noise, and where the level of a signal moves on they add up. The outermost lag of some
    signal is left out again and again, the one whose loss costs least; of all these sets of lags
    two are fitted by ridge regression, those with the best criteria of Akaike, which keeps more
    lags, and of Schwarz, which keeps fewer. The weights are the mean of both.

    Sources: H. Akaike: A new look at the statistical model identification. IEEE Transactions on
    Automatic Control 19(6), 1974, 716-723. G. Schwarz: Estimating the dimension of a model. Annals
    of Statistics 6(2), 1978, 461-464.

    Args:
        signals: number of signals; the features are lag after lag, each of all signals in order.
        alpha: the penalty of the ridge regression, against the mean of the squared errors.
    """

    def __init__(self, signals: int = 1, alpha: float = 1e-2) -> None:
        self.signals = signals
        self.alpha = alpha

    def fit(self, X: NDArray[np.float32], y: NDArray[np.float64]) -> Self:
        """Fit to standardised features `[n, lags * signals]` and target values `[n]`."""
        x, t = X.astype(np.float64), y.astype(np.float64)
        weights, shift = np.zeros(x.shape[1]), 0.0
        both = _paying(x - x.mean(axis=0), t - t.mean(), self.signals, (2.0, float(np.log(len(x)))))
        for kept in both:
            found = Ridge(alpha=self.alpha * len(x)).fit(x[:, kept], t)
            weights[kept] += found.coef_ / len(both)
            shift += float(found.intercept_) / len(both)
        return self._keep(weights, shift)


def _paying(
    x: NDArray[np.float64], t: NDArray[np.float64], signals: int, costs: tuple[float, ...]
) -> list[NDArray[np.bool_]]:
    """Mask of the features to keep, for each cost of a weight, of centred features and target.

    Leaving out feature j raises the penalised error by w_j squared over the j-th diagonal element
    of the inverse, and the inverse without it follows by one outer product.
    """
    rows, width = x.shape
    inverse = np.linalg.inv(x.T @ x / rows + _STEADY * np.eye(width))
    across = x.T @ t / rows
    weights = inverse @ across
    error = float(t @ t) / rows - float(across @ weights)
    first, last = np.arange(signals), width - signals + np.arange(signals)
    kept = np.ones(width, dtype=np.bool_)
    best, chosen = [np.inf] * len(costs), [kept.copy() for _ in costs]
    for count in range(width, 0, -1):
        fits = rows * np.log(max(error, np.finfo(float).tiny))
        for at, cost in enumerate(costs):
            if fits + cost * count < best[at]:
                best[at], chosen[at] = fits + cost * count, kept.copy()
        open_ = first <= last
        ends = np.concatenate([first[open_], last[open_]])
        rises = weights[ends] ** 2 / inverse[ends, ends]
        out = int(ends[rises.argmin()])
        error += float(rises.min())
        column = inverse[:, out] / inverse[out, out]
        weights = weights - column * weights[out]
        inverse = inverse - np.outer(column, inverse[out])
        kept[out] = False
        signal = out % signals
        if out == first[signal]:
            first[signal] += signals
        else:
            last[signal] -= signals
    return chosen


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
