"""What is seen at several positions inside one window, so that a score can be smoothed over time.

A window of 30 samples that is smoothed over 10 has ten shorter windows of 21 samples in it. Each is
described as a window of its own, and nothing outside the window is needed: no state on a gateway.
"""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin, clone

from trainer.features.window_features import WindowFeatures, in_blocks

MOST_POSITIONS = 16
"""Neighbouring positions share nearly all of their samples; more would cost and say little."""


def positions(smooth: int) -> NDArray[np.int64]:
    """Where the shorter windows begin, the last of them last; every k-th where there are many.

    Args:
        smooth: samples over which they end.
    """
    step = -(-smooth // MOST_POSITIONS)
    return np.arange(smooth - 1, -1, -step)[::-1]


class SlidingFeatures(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """The features of the shorter windows that end within the last `smooth` samples.

    Args:
        features: what describes each of them, not fitted.
        smooth: samples, from 1 to the window's length.

    Attributes:
        features_: fitted on the last of the shorter windows.
        samples_: which samples each of them has, `[positions, shorter length]`.
        channels_: signals in a window.
    """

    def __init__(self, features: WindowFeatures, smooth: int) -> None:
        self.features = features
        self.smooth = smooth

    def fit(self, X: NDArray[np.float32], y: object = None) -> Self:  # noqa: ARG002  sklearn's
        """Learn from windows `[n, length, channels]`."""
        _, length, self.channels_ = X.shape
        shorter = length - self.smooth + 1
        self.samples_ = positions(self.smooth)[:, np.newaxis] + np.arange(shorter)
        self.features_ = clone(self.features).fit(X[:, -shorter:])
        return self

    def transform(self, X: NDArray[np.float32]) -> NDArray[np.float32]:
        """Describe windows `[n, length, channels]` as float32 `[n, positions x features]`."""
        blocks = [self.compute(block) for block in in_blocks(X, len(self.samples_))]
        return np.concatenate(blocks) if blocks else np.empty((0, self.width), np.float32)

    @property
    def width(self) -> int:
        """How many columns come out: all features of the first position, then of the next."""
        width: int = len(self.samples_) * self.features_.width
        return width

    def compute(self, X: Any) -> Any:  # noqa: ANN401  an array, or a symbol
        """The same of numbers or a symbol."""
        each = np.take(X, self.samples_, axis=1)
        shorter = each.reshape(-1, self.samples_.shape[1], self.channels_)
        return self.features_.compute(shorter).reshape(-1, self.width)
