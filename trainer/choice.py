"""What is to be fitted: features, and the steps after them; the default without a search."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.pipeline import Pipeline

from trainer.features import BASIC, KINDS, WindowFeatures
from trainer.scaling import Standardise


@dataclass(frozen=True, slots=True)
class Choice:
    """An unfitted model of a classification or a regression.

    Attributes:
        features: what is seen in a window.
        steps: from features to an estimate, `estimator` the last.
    """

    features: WindowFeatures
    steps: Pipeline


def default(task: str, seed: int) -> Choice:
    """Gradient boosting on plain features."""
    kinds = {
        "classification": HistGradientBoostingClassifier,
        "regression": HistGradientBoostingRegressor,
    }
    estimator = kinds[task](early_stopping=False, random_state=seed)
    return Choice(WindowFeatures(), steps(estimator, scaled=False))


def steps(estimator: Any, *, scaled: bool) -> Pipeline:  # noqa: ANN401  scikit-learn is untyped
    """An estimator, behind features of one scale where it measures distances."""
    before = [("scaling", Standardise())] if scaled else []
    return Pipeline([*before, ("estimator", estimator)])


def presets(length: int) -> Mapping[str, WindowFeatures]:
    """Sets of features for windows of `length` samples, by name; the first is the default's."""
    found = {"plain": WindowFeatures()}
    if length > 1:
        found["multiscale"] = WindowFeatures(BASIC, (length // 2, length // 6))
        found["rich"] = WindowFeatures(KINDS, (length // 3,))
    return found
