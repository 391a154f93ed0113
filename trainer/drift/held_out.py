"""The training part as a gateway would have seen it: scored by models that never learned from it.

A model's scores of its own training windows are sharper than those of any other, so a gateway
compared with them would seem to drift from the first day.
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
    """Folds that are apart as a gateway's data is from the training part.

    Some assets each, where there are enough of them: it may be another asset. Else blocks of each;
    also without a time axis, as rows that come after each other may still be alike.
    """
    if len(np.unique(train.asset)) < FOLDS:
        return list(blocks(train, -(-recipe.window.length // recipe.window.hop)))
    group = np.unique(train.asset, return_inverse=True)[1]
    return [
        (np.flatnonzero(group % FOLDS != fold), np.flatnonzero(group % FOLDS == fold))
        for fold in range(FOLDS)
    ]


def samples(model: Model, train: Windowed, truth: Truth, recipe: Recipe, parted: Folds) -> Samples:
    """The last sample of each training window, and its score by a model without its fold.

    The score is NaN where the rest is too little to learn from.
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
    """The same estimator, learned from some of the windows."""
    if model.task == "anomaly":
        try:
            return fit(train, truth, recipe)
        except DataError:
            return None
    y: NDArray[Any] = truth.y[train.rows]
    if model.task == "classification" and len(np.unique(y)) < len(model.classes):
        return None
    return replace(model, pipeline=clone(model.pipeline).fit(train.values, y))
