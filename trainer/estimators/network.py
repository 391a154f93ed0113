"""A neural network of numbers that learns on the target's own scale."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.neural_network import MLPRegressor


class Network(MLPRegressor):  # type: ignore[misc]  # sklearn is untyped
    """Learns the target at mean zero and deviation one; the last layer then undoes both.

    Its weights are kept in double precision, so that an offset costs no digits.
    """

    def fit(self, X: NDArray[np.float32], y: NDArray[np.float64]) -> Self:
        """Learn from features `[n, features]` of one scale."""
        mean, spread = float(y.mean()), float(y.std()) or 1.0
        super().fit(X, (y - mean) / spread)
        layers: tuple[list[Any], list[Any]] = (self.coefs_, self.intercepts_)
        for weights in layers:
            weights[:] = [one.astype(np.float64) for one in weights]
            weights[-1] = weights[-1] * spread
        layers[1][-1] = layers[1][-1] + mean
        return self

    def compute(self, X: Any) -> Any:  # noqa: ANN401  an array, or a symbol
        """The estimate `[n, 1]` of numbers or a symbol."""
        x = X.astype(np.float64)
        *hidden, last = zip(self.coefs_, self.intercepts_, strict=True)
        for weights, shift in hidden:
            x = np.maximum(x @ weights + shift, 0.0)
        return x @ last[0] + last[1]
