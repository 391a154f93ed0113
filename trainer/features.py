"""What is seen in a window: a few figures per channel, the same in NumPy and inside the graph.

Everything is computed in double precision and rounded to float32 once at the end. Sums of float32
values are exact in double precision whatever their order, so NumPy and the graph agree to the last
bit, and a tree decides on both sides of a threshold alike (`converters.py` is the other half).
"""

from typing import Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin

KINDS = ("last", "mean", "std", "min", "max", "slope")
"""Features of each channel, in order; a window of one sample has the sample itself only."""
_BLOCK_VALUES = 4_000_000


class WindowFeatures(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """Fill gaps with the channel's median, then describe each channel.

    Attributes:
        medians_: what a missing value is taken for, float32 `[channels]`.
        length_: samples in a window.
    """

    def fit(self, X: NDArray[np.float32], y: object = None) -> Self:  # noqa: ARG002  sklearn's
        """Learn the medians from windows `[n, length, channels]`; of no value at all, zero."""
        present = ~np.isnan(X).all(axis=(0, 1))
        self.medians_ = np.zeros(X.shape[2], dtype=np.float32)
        self.medians_[present] = np.nanmedian(X[:, -1][:, present], axis=0)
        self.length_ = X.shape[1]
        return self

    def transform(self, X: NDArray[np.float32]) -> NDArray[np.float32]:
        """Describe windows `[n, length, channels]` as float32 `[n, features]`."""
        step = max(1, _BLOCK_VALUES // (X.shape[1] * X.shape[2]))
        blocks = [self._describe(X[at : at + step]) for at in range(0, len(X), step)]
        return np.concatenate(blocks) if blocks else np.empty((0, self.width), np.float32)

    @property
    def width(self) -> int:
        """How many features there are."""
        return len(self.medians_) * (len(KINDS) if self.length_ > 1 else 1)

    def _describe(self, X: NDArray[np.float32]) -> NDArray[np.float32]:
        x = np.where(np.isnan(X), self.medians_, X).astype(np.float64)
        if self.length_ == 1:
            return x[:, 0].astype(np.float32)
        mean = x.sum(axis=1, keepdims=True) / self.length_
        apart = x - mean
        time, spread = time_axis(self.length_)
        described = (
            x[:, -1],
            mean[:, 0],
            np.sqrt((apart * apart).sum(axis=1) / self.length_),
            x.min(axis=1),
            x.max(axis=1),
            (apart * time[:, np.newaxis]).sum(axis=1) / spread,
        )
        return np.concatenate(described, axis=1).astype(np.float32)


def time_axis(length: int) -> tuple[NDArray[np.float64], float]:
    """Sample numbers around zero, and the sum of their squares, for a least-squares slope."""
    time = np.arange(length, dtype=np.float64) - (length - 1) / 2
    return time, float((time * time).sum())
