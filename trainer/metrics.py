"""Figures of a model on windows it never saw."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    f1_score,
    mean_absolute_error,
    precision_score,
    r2_score,
    recall_score,
    roc_auc_score,
    root_mean_squared_error,
)

from trainer.estimators import TWO, Answers, Model


def measure(
    model: Model, answers: Answers, y: NDArray[Any], *, labelled: bool = True
) -> dict[str, float]:
    """The task's usual figures; one that is not defined on these windows is left out.

    Args:
        model: what answered.
        answers: its answers to the test windows.
        y: the truth, `[n]`.
        labelled: whether it is known; without it a detector has its share of alarms only.
    """
    if model.task == "regression":
        figures = _regression(answers, y)
    elif model.task == "anomaly":
        figures = _anomaly(answers, y) if labelled else {"alarm_share": answers["value"].mean()}
    else:
        figures = _classification(model, answers, y)
    return {name: float(f"{value:.6g}") for name, value in figures.items()}


def _regression(answers: Answers, y: NDArray[Any]) -> dict[str, float]:
    value = answers["value"]
    figures = {
        "mae": mean_absolute_error(y, value),
        "rmse": root_mean_squared_error(y, value),
        "bias": float(np.mean(value - y)),
    }
    return figures | ({"r2": r2_score(y, value)} if np.ptp(y) > 0 else {})


def _classification(model: Model, answers: Answers, y: NDArray[Any]) -> dict[str, float]:
    value = answers["value"]
    figures = {
        "accuracy": accuracy_score(y, value),
        "macro_f1": f1_score(y, value, average="macro", zero_division=0),
    }
    if len(model.classes) > TWO:
        return figures
    positive = y == model.positive
    return figures | _two_sided(value == model.positive, positive, answers["score"])


def _anomaly(answers: Answers, y: NDArray[Any]) -> dict[str, float]:
    alarm, abnormal = answers["value"] == 1, y == 1
    figures = {"alarm_share": float(alarm.mean())}
    if not abnormal.all():
        figures["false_alarm_rate"] = float(alarm[~abnormal].mean())
    if not abnormal.any():
        return figures
    figures["missed_alarm_rate"] = float((~alarm[abnormal]).mean())
    return figures | _two_sided(alarm, abnormal, answers["score"])


def _two_sided(
    said: NDArray[np.bool_], true: NDArray[np.bool_], score: NDArray[np.float32]
) -> dict[str, float]:
    figures = {name: figure(true, said, zero_division=0) for name, figure in _OF_POSITIVES.items()}
    if true.any() and not true.all():
        figures["roc_auc"] = roc_auc_score(true, score)
        figures["average_precision"] = average_precision_score(true, score)
    return figures


_OF_POSITIVES: dict[str, Callable[..., float]] = {
    "f1": f1_score,
    "precision": precision_score,
    "recall": recall_score,
}
