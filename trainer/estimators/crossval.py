"""One candidate on the folds: fitted on each, judged on what the fold holds out.

It runs in a worker process, on one thread, and knows nothing of the search it is part of.
"""

import pickle
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, average_precision_score, f1_score, log_loss
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from trainer.estimators.threshold import best_threshold

LOSSES = {"rmse", "mae", "log_loss"}
"""Metrics of which less is better."""
Indices = NDArray[np.int64]
Fold = tuple[Indices, Indices]


@dataclass(frozen=True, slots=True)
class Scorer:
    """What is measured.

    Attributes:
        metric: of `search.metric`.
        classes: how many there are; 0 of numbers.
        positive: the class that `f1` and `average_precision` are about.
    """

    metric: str
    classes: int = 0
    positive: int = 1

    def sign(self) -> float:
        """Times a metric, it is a loss."""
        return 1.0 if self.metric in LOSSES else -1.0

    def loss(self, model: Pipeline, X: NDArray[np.float32], y: NDArray[Any]) -> float:
        """The metric of a fitted model, less is better."""
        if not self.classes:
            error = model.predict(X) - y
            value = np.abs(error).mean() if self.metric == "mae" else np.sqrt((error**2).mean())
        else:
            value = self._of_classes(model.predict_proba(X), y)
        return self.sign() * float(value)

    def _of_classes(self, likely: NDArray[np.float64], y: NDArray[np.int64]) -> float:
        if self.metric == "log_loss":
            return float(log_loss(y, likely, labels=range(self.classes)))
        is_positive = y == self.positive
        if self.metric == "average_precision":
            return float(average_precision_score(is_positive, likely[:, self.positive]))
        told = likely.argmax(axis=1)
        if self.classes == 2:  # noqa: PLR2004  the threshold is chosen afterwards, for all alike
            score = likely[:, self.positive].astype(np.float64)
            above = score > best_threshold(is_positive, score)
            told = np.where(above, self.positive, 1 - self.positive)
        if self.metric == "accuracy":
            return float(accuracy_score(y, told))
        if self.metric == "f1":
            return float(f1_score(is_positive, told == self.positive, zero_division=0))
        present = np.unique(y)
        return float(f1_score(y, told, labels=present, average="macro", zero_division=0))


@dataclass(frozen=True, slots=True)
class FoldLosses:
    """What came of a candidate.

    Attributes:
        losses: of each fold it was tried on.
        seconds: that its fits took.
        size_bytes: of the last fitted estimator, pickled: for telling small from large before
            any is a graph.
        pruned: whether it was given up before the last fold.
        reason: why it could not be fitted, if so.
    """

    losses: tuple[float, ...]
    seconds: float
    size_bytes: int = 0
    pruned: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class CrossValidation:
    """What all candidates of a search are tried on.

    Attributes:
        y: the truth, `[n]`.
        folds: indices to fit on, and held out.
        scorer: what is measured.
    """

    y: NDArray[Any]
    folds: tuple[Fold, ...]
    scorer: Scorer


def cross_validate(
    steps: Pipeline,
    X: NDArray[np.float32],
    validation: CrossValidation,
    pruning_limits: Sequence[float] = (),
) -> FoldLosses:
    """Try a candidate on the folds, and give it up where it falls behind.

    Args:
        steps: the candidate, unfitted.
        X: features `[n, features]`.
        validation: truth, folds and scorer.
        pruning_limits: the mean loss after each fold that a candidate must keep; empty without
            pruning.
    """
    y, folds, scorer = validation.y, validation.folds, validation.scorer
    losses: list[float] = []
    start = time.perf_counter()
    with threadpool_limits(limits=1):
        for number, (fitted, held) in enumerate(folds):
            try:
                model = fitted_quietly(clone(steps), X[fitted], y[fitted])
                losses.append(scorer.loss(model, X[held], y[held]))
            except (ValueError, ArithmeticError, MemoryError) as exc:
                why = str(exc).strip().split("\n")[0] or type(exc).__name__
                return FoldLosses(tuple(losses), time.perf_counter() - start, reason=why)
            if not np.isfinite(losses[-1]):
                why = "its figures are not finite"
                return FoldLosses(tuple(losses), time.perf_counter() - start, reason=why)
            if (
                number < len(folds) - 1
                and pruning_limits
                and np.mean(losses) > pruning_limits[number]
            ):
                return FoldLosses(tuple(losses), time.perf_counter() - start, pruned=True)
    size_bytes = len(pickle.dumps(model))
    return FoldLosses(tuple(losses), time.perf_counter() - start, size_bytes)


def fitted_quietly(steps: Pipeline, X: NDArray[np.float32], y: NDArray[Any]) -> Pipeline:
    """Fit; that more rounds might be better is for the search to find, not for the reader."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return steps.fit(X, y)
