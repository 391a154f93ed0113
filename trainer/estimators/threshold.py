"""The score above which a two-class model says yes."""

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve


def best_threshold(positive: NDArray[np.bool_], score: NDArray[np.float64]) -> float:
    """The score above which "positive" gives the best F1; between two scores that occurred."""
    if not positive.any():
        return 0.5
    precision, recall, thresholds = precision_recall_curve(positive, score)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    best = thresholds[int(np.argmax(f1[:-1]))]
    lower = score[score < best]
    return float(np.float32((best + (lower.max() if len(lower) else 0.0)) / 2))
