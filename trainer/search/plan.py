"""What a search can try, and on what: families, features, folds and the scorer."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.trial import BaseTrial
from sklearn.base import clone
from threadpoolctl import threadpool_limits

from trainer.dataset.splits import folds
from trainer.dataset.targets import Truth
from trainer.dataset.windows import Windowed
from trainer.errors import DataError
from trainer.estimators.candidate import Candidate, presets, steps
from trainer.estimators.crossval import CrossValidation, Fold, Scorer
from trainer.estimators.families import FAMILIES, Setting
from trainer.estimators.fitting import TWO, positive_class
from trainer.features.window_features import WindowFeatures
from trainer.recipe.document import Recipe
from trainer.recipe.search_section import Search

MAX_FEATURE_BYTES = 2 << 30
"""Of one set; all are in temporary files at once."""
_ABOUT_ONE = {"f1", "average_precision"}
_OF_BOTH = {"f1", "average_precision", "macro_f1"}


@dataclass(frozen=True, slots=True)
class Plan:
    """What can be tried.

    Attributes:
        families: that suit the data, the cheapest first.
        presets: unfitted features by name.
        features: what they give, float32 `[n, features]`, on disk.
        validation: truth, folds and scorer.
        setting: what estimators are made for.
        notes: families that were left out, and why.
    """

    families: tuple[str, ...]
    presets: Mapping[str, WindowFeatures]
    features: Mapping[str, NDArray[np.float32]]
    validation: CrossValidation
    setting: Setting
    notes: tuple[str, ...]

    def first(self) -> list[dict[str, Any]]:
        """The default parameters of each family."""
        features = next(iter(self.presets))
        return [
            {"family": name, "features": features, **FAMILIES[name].first(self.setting)}
            for name in self.families
        ]

    def candidate(self, trial: BaseTrial) -> Candidate:
        """Draw a candidate, or make it anew from what was drawn."""
        family = FAMILIES[trial.suggest_categorical("family", self.families)]
        preset = trial.suggest_categorical("features", list(self.presets))
        estimator = family.draw(trial, self.setting)
        return Candidate(self.presets[preset], steps(estimator, scaled=family.scaled))


def planned(train: Windowed, truth: Truth, recipe: Recipe, search: Search, folder: Path) -> Plan:
    """Compute all features once, into `folder`, and see what suits the data.

    Raises:
        DataError: no family suits it, or no fold can be judged.
    """
    y, task = truth.y[train.rows], recipe.target.task
    scorer = Scorer(search.metric_for(task), len(truth.classes), positive_class(truth, recipe))
    if scorer.metric in _ABOUT_ONE and scorer.classes != TWO:
        raise DataError(
            f"search.metric '{scorer.metric}' is about one of two classes, and there are "
            f"{scorer.classes}; use 'macro_f1'"
        )
    parts = tuple(part for part in folds(train, truth, recipe) if _can_score(part, y, scorer))
    if not parts:
        raise DataError(
            f"no fold of the training part can be judged by '{scorer.metric}': each lacks a class, "
            "on one side or the other; more of the rare class is needed, or another split"
        )
    notes = tuple(_too_many(name, len(train)) for name in search.families if _is_too_many(name, y))
    chosen = tuple(name for name in search.families if not _is_too_many(name, y))
    if not chosen:
        raise DataError("search.candidates: " + "; ".join(notes))
    spread = float(y.std()) if task == "regression" else 1.0
    setting = Setting(task, recipe.seed, min(len(fitted) for fitted, _ in parts), spread)
    sets, large = _affordable(presets(recipe), train)
    computed = {name: _on_disk(one, train, folder / name) for name, one in sets.items()}
    notes += large
    return Plan(chosen, sets, computed, CrossValidation(y, parts, scorer), setting, notes)


def _can_score(part: Fold, y: NDArray[Any], scorer: Scorer) -> bool:
    fitted, held = part
    if not len(fitted) or not len(held):
        return False
    if not scorer.classes:
        return True
    both = scorer.metric in _OF_BOTH and scorer.classes == TWO
    return len(np.unique(y[fitted])) == scorer.classes and (
        not both or len(np.unique(y[held])) == TWO
    )


def _is_too_many(name: str, y: NDArray[Any]) -> bool:
    most = FAMILIES[name].most_rows
    return most is not None and len(y) > most


def _too_many(name: str, rows: int) -> str:
    return (
        f"search: {name} is left out: {rows} training windows, it takes at most "
        f"{FAMILIES[name].most_rows}"
    )


def _affordable(
    sets: Mapping[str, WindowFeatures], train: Windowed
) -> tuple[dict[str, WindowFeatures], tuple[str, ...]]:
    """Sets of features that are small enough, the first in any case; and which are not."""
    some = train.values[:1]
    sizes = {name: len(train) * clone(one).fit(some).width * 4 for name, one in sets.items()}
    first = next(iter(sets))
    kept = {n: one for n, one in sets.items() if n == first or sizes[n] <= MAX_FEATURE_BYTES}
    said = (
        f"search: {name} features are left out: they would take {sizes[name] / 2**30:.1f} GiB, at "
        f"most {MAX_FEATURE_BYTES >> 30} are used; a longer window.hop makes fewer windows"
        for name in sets
        if name not in kept
    )
    return kept, tuple(said)


def _on_disk(features: WindowFeatures, train: Windowed, path: Path) -> NDArray[np.float32]:
    """Features of all training windows, mapped into memory, so that workers share them."""
    file = path.with_suffix(".npy")
    with threadpool_limits(limits=1):  # as the final fit has it
        np.save(file, clone(features).fit(train.values).transform(train.values))
    computed: NDArray[np.float32] = np.load(file, mmap_mode="r")
    return computed
