"""A candidate: the features and the estimator to fit; and the default without a search."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.pipeline import Pipeline

from trainer.features.kernels import DEFAULT_MOST, kernel_mistakes
from trainer.features.scaling import Standardise
from trainer.features.window_features import BASIC, KINDS, WindowFeatures
from trainer.recipe.document import Recipe
from trainer.recipe.feature_section import FeatureSection

LONG = 32
"""Samples of a window from which on a search tries kernels too."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An unfitted model for a classification or a regression.

    Attributes:
        features: the transformer from windows `[n, length, channels]` to features.
        steps: the pipeline from features `[n, features]` to predictions; its last step is
            `estimator`.
    """

    features: WindowFeatures
    steps: Pipeline


def default(features: WindowFeatures, task: str, seed: int) -> Candidate:
    """The candidate without a search: gradient boosting on histograms, for either task."""
    kinds = {
        "classification": HistGradientBoostingClassifier,
        "regression": HistGradientBoostingRegressor,
    }
    estimator = kinds[task](early_stopping=False, random_state=seed)
    return Candidate(features, steps(estimator, scaled=False))


def steps(estimator: Any, *, scaled: bool) -> Pipeline:  # noqa: ANN401  scikit-learn is untyped
    """A pipeline that ends in `estimator`; `scaled` standardises first, for distances."""
    before = [("scaling", Standardise())] if scaled else []
    return Pipeline([*before, ("estimator", estimator)])


def presets(recipe: Recipe) -> Mapping[str, WindowFeatures]:
    """Sets of features by name, the recipe's own first.

    It is the only one where the recipe's `[features]` chooses kinds or lengths, and where a window
    is a single sample, which has no shorter lengths.
    """
    own = recipe.described
    if recipe.features != FeatureSection(signals=recipe.features.signals):
        return {"given": own}
    length = recipe.window.length
    if length == 1:
        return {"plain": own}
    rich = [kind for kind in KINDS if kind not in {"lags", "kernels"}]
    count = len(recipe.features.signals or (*recipe.signals, *recipe.derived))
    is_long = length >= LONG and not kernel_mistakes(length, count, DEFAULT_MOST)
    return {
        "plain": own,
        "lags": varied(own, ("lags",)),
        "multiscale": varied(own, BASIC, (length // 2, length // 6)),
        "rich": varied(own, rich, (length // 3,)),
        **({"kernels": varied(own, (*BASIC, "kernels"))} if is_long else {}),
    }


def varied(
    own: WindowFeatures, kinds: Sequence[str], lengths: Sequence[int] = ()
) -> WindowFeatures:
    """The recipe's features with other kinds and lengths, of the same signals."""
    features: WindowFeatures = clone(own)
    features.set_params(kinds=tuple(kinds), lengths=tuple(lengths))
    return features
