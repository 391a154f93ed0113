"""What a search can try, and on what: families of models, features, folds and the metric."""

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

# Size of one set of features. All sets are in temporary files at once, mapped into each worker.
MAX_FEATURE_BYTES = 2 << 30
# Metrics of one class against the other, which a problem of three classes does not have.
_ABOUT_ONE = {"f1", "average_precision"}
# Metrics that need both of two classes in the held-out part.
_OF_BOTH = {"f1", "average_precision", "macro_f1"}


@dataclass(frozen=True, slots=True)
class Plan:
    """What a search can try.

    Attributes:
        families: names of the families that suit the data, those with the cheapest fits first.
        presets: unfitted transformers of features, by name.
        files: for each preset the path of its computed features, float32 `[n, features]`, `.npy`.
        validation: target values, folds and scorer.
        setting: properties of the data that the search spaces of families depend on.
        notes: families and features that were left out, with the reason.
    """

    families: tuple[str, ...]
    presets: Mapping[str, WindowFeatures]
    files: Mapping[str, Path]
    validation: CrossValidation
    setting: Setting
    notes: tuple[str, ...]

    def first(self) -> list[dict[str, Any]]:
        """What is tried before any are drawn.

        It is each family's default; a line on lags and one on kernels, where a window has any,
        because the first alone follows a dead time, and the second alone a waveform; and further
        parameters of families.
        """
        of, features = self.setting, next(iter(self.presets))
        tried = [(name, features, FAMILIES[name].first(of)) for name in self.families]
        if "linear" in self.families:
            lines = {"lags": FAMILIES["linear"].first(of), "kernels": self._line_on_kernels()}
            tried += [("linear", name, one) for name, one in lines.items() if name in self.presets]
        tried += [
            (name, features, one) for name in self.families for one in FAMILIES[name].further(of)
        ]
        return [{"family": name, "features": preset, **drawn} for name, preset, drawn in tried]

    def _line_on_kernels(self) -> dict[str, Any]:
        """A strong penalty, because there are more features of kernels than windows."""
        if self.setting.numbers:
            return {"linear.kind": "ridge", "linear.alpha": 0.1}
        return {"linear.penalty": "l2", "linear.c": 1e-2}

    def candidate(self, trial: BaseTrial) -> Candidate:
        """Draw the next candidate, or rebuild the one whose parameters are in `trial`."""
        family = FAMILIES[trial.suggest_categorical("family", self.families)]
        preset = trial.suggest_categorical("features", list(self.presets))
        estimator = family.draw(trial, self.setting)
        return Candidate(self.presets[preset], steps(estimator, scaled=family.scaled))


def planned(train: Windowed, truth: Truth, recipe: Recipe, search: Search, folder: Path) -> Plan:
    """Find out what suits the data, and compute the features of all presets once, into `folder`.

    Raises:
        DataError: no family suits the data, or the metric is not defined on any fold.
    """
    y, task = truth.y[train.rows], recipe.target.task
    scorer = Scorer(search.metric_for(task), len(truth.classes), positive_class(truth, recipe))
    if scorer.metric in _ABOUT_ONE and scorer.classes != TWO:
        raise DataError(
            f"search.metric '{scorer.metric}' needs two classes, and there are {scorer.classes}; "
            "use 'macro_f1'"
        )
    parts = tuple(part for part in folds(train, truth, recipe) if can_score(part, y, scorer))
    if not parts:
        raise DataError(
            f"search.metric '{scorer.metric}' is not defined on any fold of the training part: "
            "each lacks a class in one of its two parts; record more of the rare class, or split "
            "otherwise"
        )
    notes = tuple(_too_many(name, len(train)) for name in search.families if _is_too_many(name, y))
    chosen = tuple(name for name in search.families if not _is_too_many(name, y))
    if not chosen:
        raise DataError("search.candidates: " + "; ".join(notes))
    spread = float(y.std()) if task == "regression" else 1.0
    sets, large = _affordable(presets(recipe), train)
    files = {name: _on_disk(one, train, folder / name) for name, one in sets.items()}
    width = np.load(next(iter(files.values())), mmap_mode="r").shape[1]
    setting = Setting(task, recipe.seed, min(len(fitted) for fitted, _ in parts), spread, width)
    notes += large
    return Plan(chosen, sets, files, CrossValidation(y, parts, scorer), setting, notes)


def can_score(part: Fold, y: NDArray[Any], scorer: Scorer) -> bool:
    """Whether a metric is defined on a fold: both parts have windows, and the classes it needs."""
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
        f"search: {name} is left out: it takes at most {FAMILIES[name].most_rows} training "
        f"windows, and there are {rows}"
    )


def _affordable(
    sets: Mapping[str, WindowFeatures], train: Windowed
) -> tuple[dict[str, WindowFeatures], tuple[str, ...]]:
    """The presets that are small enough, the first in any case, and notes on the others."""
    some = train.values[:1]
    sizes = {name: len(train) * clone(one).fit(some).width * 4 for name, one in sets.items()}
    first = next(iter(sets))
    kept = {n: one for n, one in sets.items() if n == first or sizes[n] <= MAX_FEATURE_BYTES}
    said = (
        f"search: {name} features are left out: they would take {sizes[name] / 2**30:.1f} GiB, the "
        f"limit is {MAX_FEATURE_BYTES >> 30}; a longer window.hop makes fewer windows"
        for name in sets
        if name not in kept
    )
    return kept, tuple(said)


def _on_disk(features: WindowFeatures, train: Windowed, path: Path) -> Path:
    """Compute the features of all training windows into a file, which workers map into memory."""
    file = path.with_suffix(".npy")
    with threadpool_limits(limits=1):  # as in the final fit, so that sums round the same way
        np.save(file, clone(features).fit(train.values).transform(train.values))
    return file
