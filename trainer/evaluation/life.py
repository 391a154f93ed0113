"""Figures of remaining useful life that a plant asks for, beside those of all rows.

A run has hundreds of rows and ends once. Rows long before the end are many, and where the truth has
a cap they are easy; a plant asks how far off the answer was at the last row that was known of each
machine, which is also what published results on C-MAPSS are about (Saxena et al. 2008). Besides,
the errors of whole runs are averaged, so that a long run counts no more than a short one.
"""

import numpy as np
from numpy.typing import NDArray

from trainer.dataset.subject import Subject
from trainer.estimators.fitting import Answers
from trainer.evaluation.metrics import WeightedMetrics, Weights
from trainer.recipe.document import Regression

MAE_AT_LAST, RMSE_AT_LAST, MAE_BY_RUN = "mae_at_last", "rmse_at_last", "mae_by_run"


def life(subject: Subject, answers: Answers) -> WeightedMetrics:
    """The figures as a function of weights; none where the target is no remaining life.

    Args:
        subject: the recording, its truth and both parts of the split.
        answers: the model's answers to the test windows.
    """
    test = subject.parts.test
    if remaining_of(subject) is None:
        return lambda _: {}
    error = np.abs(answers["value"].astype(np.float64) - subject.truth.y[test.rows])
    last = last_of_runs(subject)
    of_run = np.bincount(test.asset)[test.asset].astype(np.float64)
    columns = np.column_stack([error, error**2, np.ones(len(error))]) * last[:, None]
    whole = np.column_stack([error, np.ones(len(error))]) / of_run[:, None]

    def of(weights: Weights) -> dict[str, NDArray[np.float64]]:
        absolute, squared, ends = (weights @ columns).T
        summed, runs = (weights @ whole).T
        with np.errstate(divide="ignore", invalid="ignore"):
            return {
                MAE_AT_LAST: absolute / ends,
                RMSE_AT_LAST: np.sqrt(squared / ends),
                MAE_BY_RUN: summed / runs,
            }

    return of


def remaining_of(subject: Subject) -> Regression | None:
    """The target if it is the remaining life."""
    target = subject.recipe.target
    is_life = isinstance(target, Regression) and target.remaining is not None
    return target if isinstance(target, Regression) and is_life else None


def last_of_runs(subject: Subject) -> NDArray[np.bool_]:
    """Mask of the last test window of each run, `[n]`."""
    test = subject.parts.test
    order = np.lexsort((subject.recording.times_ns[test.rows], test.asset))
    found = np.zeros(len(test), dtype=np.bool_)
    found[order[np.flatnonzero(np.diff(test.asset[order], append=-1))]] = True
    return found


def at_last(subject: Subject) -> str:
    """Which rows the figures at the last row are about, in words."""
    last, y = last_of_runs(subject), subject.truth.y[subject.parts.test.rows]
    runs, low, high = int(last.sum()), float(y[last].min()), float(y[last].max())
    return (
        f"at the last known row of {runs} run{'' if runs == 1 else 's'}, where the true remaining "
        f"life is {low:g}{'' if low == high else f' to {high:g}'}"
    )


def cap(subject: Subject, target: Regression) -> str | None:
    """What the cap of the truth does to the figures, in words; None without a cap."""
    if target.cap is None:
        return None
    capped = float((subject.truth.y[subject.parts.test.rows] >= target.cap).mean())
    unit = f" {target.unit}" if target.unit else ""
    return (
        f"longer lives count as {target.cap:g}{unit} (target.cap), so the model does not answer "
        f"more; {capped:.0%} of the test windows are there, where an answer is easy"
    )
