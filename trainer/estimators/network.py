"""A neural network for regression that learns on the scale of its target."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.neural_network import MLPRegressor


class Network(MLPRegressor):  # type: ignore[misc]  # sklearn is untyped
    """An MLPRegressor that learns the target at mean 0 and deviation 1.

    The last layer undoes both, so a target in pascal is learned as well as one in bar. The fitted
    weights are kept in double precision, because a large mean would cost digits in float32.
    """

    def fit(self, X: NDArray[np.float32], y: NDArray[np.float64]) -> Self:
        """Fit to standardised features `[n, features]` and target values `[n]`."""
        mean, spread = float(y.mean()), float(y.std()) or 1.0
        super().fit(X, (y - mean) / spread)
        layers: tuple[list[Any], list[Any]] = (self.coefs_, self.intercepts_)
        for weights in layers:
            weights[:] = [one.astype(np.float64) for one in weights]
            weights[-1] = weights[-1] * spread
        layers[1][-1] = layers[1][-1] + mean
        return self

    def compute(self, X: Any) -> Any:  # noqa: ANN401  an array, or a symbol
        """The prediction `[n, 1]` for features `[n, features]`: an array, or a symbol."""
        x = X.astype(np.float64)
        *hidden, last = zip(self.coefs_, self.intercepts_, strict=True)
        for weights, shift in hidden:
            x = np.maximum(x @ weights + shift, 0.0)
        return x @ last[0] + last[1]
