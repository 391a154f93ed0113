"""The decision threshold of a model of two classes.

A threshold is 0.5 unless another one is shown to be better. The threshold with the best F1 of a
weak model is so low that nearly everything is called positive (Lipton, Elkan and Naryanaswamy 2014,
"Optimal thresholding of classifiers to maximize F1 measure"), and where F1 is flat around its
maximum the place of that maximum is chance. So a threshold that was chosen on all folds but one is
tried on that one, and what it gains must exceed its standard error, over 0.5 and over an alarm in
every window alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve

DEFAULT = 0.5
_FEWEST_FOLDS = 2
Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Threshold:
    """A threshold, and why it was taken.

    Attributes:
        value: a score above it is positive.
        candidate: the threshold with the best F1 over all held-out windows; NaN if none was tried.
        gain: F1 with chosen thresholds minus F1 with 0.5, or minus that of an alarm in every window
            if that is larger, on folds that the thresholds were not chosen on; NaN if none was
            tried.
        error: standard error of the gain over the folds.
    """

    value: float = DEFAULT
    candidate: float = np.nan
    gain: float = np.nan
    error: float = np.nan

    def __str__(self) -> str:
        """Where the threshold is from, in one sentence."""
        if np.isnan(self.gain):
            return f"{self.value:g}, because no other one could be tried on held-out folds"
        measured = f"on folds it was not chosen on, F1 changes by {self.gain:+.3f}"
        error = f"with a standard error of {self.error:.3f}"
        if self.value == DEFAULT:
            return (
                f"{self.value:g}; another one, {self.candidate:.3g}, was tried and is not shown to "
                f"be better: {measured}, {error}"
            )
        return f"{self.value:.3g}, chosen by F1 instead of {DEFAULT:g}: {measured}, {error}"


def choose(
    positive: NDArray[np.bool_], score: NDArray[np.float64], fold: NDArray[np.int64]
) -> Threshold:
    """The threshold with the best F1 if that is shown to be better than 0.5, else 0.5.

    The standard error is that of a jackknife over the folds.

    Args:
        positive: mask of the windows of the positive class, `[n]`.
        score: probability of that class by a model that was fitted without the window, `[n]`.
        fold: number of the fold that each window was held out in, `[n]`.
    """
    folds = np.unique(fold)
    if len(folds) < _FEWEST_FOLDS or not positive.any() or positive.all():
        return Threshold()
    above = np.zeros(len(score), dtype=np.bool_)
    for one in folds:
        held = fold == one
        above[held] = score[held] > best_threshold(positive[~held], score[~held])
    every = np.ones(len(score), dtype=np.bool_)
    chosen, plain, always = (
        np.array([_counts(said[fold == one], positive[fold == one]) for one in folds])
        for said in (above, score > DEFAULT, every)
    )
    other = max((plain, always), key=lambda counts: _f1(counts.sum(axis=0)))
    gain, error = _jackknife(chosen, other)
    candidate = best_threshold(positive, score)
    taken = candidate if gain > error else DEFAULT
    return Threshold(taken, candidate, gain, error)


def best_threshold(positive: NDArray[np.bool_], score: NDArray[np.float64]) -> float:
    """The threshold with the best F1 over `[n]` windows; a higher score is positive.

    It lies halfway between two scores that occurred, so that rounding cannot change a decision; it
    is 0.5 if there is no positive.
    """
    if not positive.any():
        return DEFAULT
    precision, recall, thresholds = precision_recall_curve(positive, score)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    # The last pair of precision and recall has no threshold: it stands for "none is positive".
    best = thresholds[int(np.argmax(f1[:-1]))]
    lower = score[score < best]
    return float(np.float32((best + (lower.max() if len(lower) else 0.0)) / 2))


def _counts(said: NDArray[np.bool_], true: NDArray[np.bool_]) -> Sequence[int]:
    """Right alarms, alarms and events."""
    return [int((said & true).sum()), int(said.sum()), int(true.sum())]


def _f1(counts: NDArray[Any]) -> float:
    right, alarms, events = counts
    return float(2 * right / max(alarms + events, 1))


def _jackknife(chosen: Counts, other: Counts) -> tuple[float, float]:
    """The difference of two F1 over all folds, and its standard error by leaving each fold out."""
    gain = _f1(chosen.sum(axis=0)) - _f1(other.sum(axis=0))
    without = np.array(
        [
            _f1(chosen.sum(axis=0) - chosen[one]) - _f1(other.sum(axis=0) - other[one])
            for one in range(len(chosen))
        ]
    )
    spread = ((without - without.mean()) ** 2).sum() * (len(without) - 1) / len(without)
    return gain, float(np.sqrt(spread))
