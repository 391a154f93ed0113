"""Features at several positions inside one window, so that a score can be smoothed over time.

A window of 30 samples that is smoothed over 10 contains ten shorter windows of 21 samples. Features
are computed of each of them. So smoothing needs nothing from outside the window, and a gateway
keeps no state for it.
"""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin, clone

from trainer.features.window_features import WindowFeatures, in_blocks

# Neighbouring positions share nearly all their samples; more of them cost time and add little.
MOST_POSITIONS = 16


def positions(smooth: int) -> NDArray[np.int64]:
    """The first sample of each shorter window, in rising order, `[positions]`.

    Args:
        smooth: number of samples that the shorter windows end at. Of more than `MOST_POSITIONS`,
            evenly spaced ones are chosen, and always the last.
    """
    step = -(-smooth // MOST_POSITIONS)
    return np.arange(smooth - 1, -1, -step)[::-1]


class SlidingFeatures(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """The features of the shorter windows that end within the last `smooth` samples of a window.

    Args:
        features: the unfitted transformer of a shorter window.
        smooth: number of samples that the shorter windows end at, 1 to the window's length.

    Attributes:
        features_: the transformer, fitted on the last of the shorter windows.
        samples_: indices of the samples in each shorter window, `[positions, shorter length]`.
        channels_: number of signals in a window.
    """

    def __init__(self, features: WindowFeatures, smooth: int) -> None:
        self.features = features
        self.smooth = smooth

    def fit(self, X: NDArray[np.float32], y: object = None) -> Self:  # noqa: ARG002  sklearn's
        """Fit to windows `[n, length, channels]`; `y` is ignored."""
        _, length, self.channels_ = X.shape
        shorter = length - self.smooth + 1
        self.samples_ = positions(self.smooth)[:, np.newaxis] + np.arange(shorter)
        self.features_ = clone(self.features).fit(X[:, -shorter:])
        return self

    def transform(self, X: NDArray[np.float32]) -> NDArray[np.float32]:
        """Features of windows `[n, length, channels]`: float32 `[n, positions * features]`."""
        blocks = [self.compute(block) for block in in_blocks(X, len(self.samples_))]
        return np.concatenate(blocks) if blocks else np.empty((0, self.width), np.float32)

    @property
    def width(self) -> int:
        """Number of columns: all features of the first position, then those of the next."""
        width: int = len(self.samples_) * self.features_.width
        return width

    def compute(self, X: Any) -> Any:  # noqa: ANN401  an array, or a symbol
        """The features of windows, of an array or of a symbol."""
        each = np.take(X, self.samples_, axis=1)
        shorter = each.reshape(-1, self.samples_.shape[1], self.channels_)
        return self.features_.compute(shorter).reshape(-1, self.width)
