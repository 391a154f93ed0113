"""The decision threshold of a model of two classes."""

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve


def best_threshold(positive: NDArray[np.bool_], score: NDArray[np.float64]) -> float:
    """The threshold with the best F1 over `[n]` windows; a higher score is positive.

    It lies halfway between two scores that occurred, so that rounding cannot change a decision; it
    is 0.5 if there is no positive.
    """
    if not positive.any():
        return 0.5
    precision, recall, thresholds = precision_recall_curve(positive, score)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    # The last pair of precision and recall has no threshold: it stands for "none is positive".
    best = thresholds[int(np.argmax(f1[:-1]))]
    lower = score[score < best]
    return float(np.float32((best + (lower.max() if len(lower) else 0.0)) / 2))
