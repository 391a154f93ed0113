"""The training part as a gateway would see it: scored by models that were not fitted on it.

A model's scores of its own training windows are sharper than those of any other window, so new
data compared with them would seem to drift from the first day.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from threadpoolctl import threadpool_limits

from trainer.dataset.splits import FOLDS, blocks
from trainer.dataset.targets import Truth
from trainer.dataset.windows import Windowed
from trainer.drift.reference import Samples
from trainer.errors import DataError
from trainer.estimators.fitting import Model, fit
from trainer.recipe.document import Recipe

Folds = Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]]


def folds(train: Windowed, recipe: Recipe) -> Folds:
    """Folds that differ as the data of a gateway differs from the training part.

    Where there are enough assets, a fold is some assets as a whole, because a gateway may serve
    another asset. Otherwise it is blocks of each asset; without a time axis too, because rows that
    follow each other may be alike. Each fold has the indices to fit on, and those held out.
    """
    if len(np.unique(train.asset)) < FOLDS:
        return list(blocks(train, -(-recipe.window.length // recipe.window.hop)))
    group = np.unique(train.asset, return_inverse=True)[1]
    return [
        (np.flatnonzero(group % FOLDS != fold), np.flatnonzero(group % FOLDS == fold))
        for fold in range(FOLDS)
    ]


def held_out_samples(
    model: Model, train: Windowed, truth: Truth, recipe: Recipe, parted: Folds
) -> Samples:
    """The last sample of each training window, and its score by a model without its fold.

    A score is NaN where too little is left to fit a model on.
    """
    scores = np.full(len(train), np.nan)
    with threadpool_limits(limits=1):
        for fitted, out in parted:
            other = _refitted(model, train.take(fitted), truth, recipe)
            if other is not None:
                answers = other.answer(train.values[out])
                scores[out] = answers.get("score", answers["value"])
    return Samples(train.asset, train.values[:, -1], scores)


def _refitted(model: Model, train: Windowed, truth: Truth, recipe: Recipe) -> Model | None:
    """The same estimator fitted on some of the windows; None where they are too few."""
    if model.task == "anomaly":
        try:
            return fit(train, truth, recipe)
        except DataError:
            return None
    y: NDArray[Any] = truth.y[train.rows]
    if model.task == "classification" and len(np.unique(y)) < len(model.classes):
        return None
    return replace(model, pipeline=clone(model.pipeline).fit(train.values, y))
