"""Cross-validation of one candidate: it is fitted without each fold and measured on the fold.

It runs in a worker process, on one thread.
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

# Metrics of which less is better; the others become a loss by their negative.
LOSSES = {"rmse", "mae", "log_loss"}
Indices = NDArray[np.int64]
Fold = tuple[Indices, Indices]


@dataclass(frozen=True, slots=True)
class Scorer:
    """Measures a fitted pipeline by one metric.

    Attributes:
        metric: name of the metric, as in the recipe's `search.metric`.
        classes: number of classes; 0 for a regression.
        positive: index of the class that `f1` and `average_precision` are about.
    """

    metric: str
    classes: int = 0
    positive: int = 1

    def sign(self) -> float:
        """The factor that makes a loss of the metric: 1 if less is better, else -1."""
        return 1.0 if self.metric in LOSSES else -1.0

    def loss(self, model: Pipeline, X: NDArray[np.float32], y: NDArray[Any]) -> float:
        """The metric of a fitted pipeline, or its negative if more is better.

        `X` are features `[n, features]`, `y` are numbers or class indices `[n]`.
        """
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
        chosen = likely.argmax(axis=1)
        if self.classes == 2:  # noqa: PLR2004  two classes
            # As for the final model, whose threshold is chosen for the best F1 as well; with 0.5 a
            # rare class would hardly ever be predicted, and every candidate look the same.
            score = likely[:, self.positive].astype(np.float64)
            above = score > best_threshold(is_positive, score)
            chosen = np.where(above, self.positive, 1 - self.positive)
        if self.metric == "accuracy":
            return float(accuracy_score(y, chosen))
        if self.metric == "f1":
            return float(f1_score(is_positive, chosen == self.positive, zero_division=0))
        # Classes that the fold does not have are left out: their F1 would be an arbitrary 0.
        present = np.unique(y)
        return float(f1_score(y, chosen, labels=present, average="macro", zero_division=0))


@dataclass(frozen=True, slots=True)
class FoldLosses:
    """The result of a candidate's cross-validation.

    Attributes:
        losses: loss on each fold that the candidate was tried on, in the order of the folds.
        seconds: seconds that the fits and the measuring took.
        size_bytes: pickled size of the last fitted pipeline, bytes; it tells small candidates from
            large ones before any is exported.
        pruned: whether the candidate was given up before the last fold.
        reason: why the candidate could not be fitted; empty if it could.
    """

    losses: tuple[float, ...]
    seconds: float
    size_bytes: int = 0
    pruned: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class CrossValidation:
    """What all candidates of a search are measured on.

    Attributes:
        y: target values of the training windows, `[n]`: numbers, or class indices.
        folds: for each fold the indices to fit on, and the indices held out.
        scorer: measures a fitted pipeline.
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
    """Fit and measure a candidate on each fold, until it falls behind a pruning limit.

    A fit that fails ends it too; the reason is in the result, and nothing is raised.

    Args:
        steps: the unfitted pipeline from features to predictions.
        X: features `[n, features]` of the training windows.
        validation: target values, folds and scorer.
        pruning_limits: the highest allowed mean loss after each fold; empty without pruning.
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
                why = "its loss is not finite"
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
    """Fit a pipeline without convergence warnings: the search compares numbers of rounds itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return steps.fit(X, y)
