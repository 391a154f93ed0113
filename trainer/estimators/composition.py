"""What a fitted model is made of, in words: estimator, hyper-parameters, features and threshold.

The default of the trainer has to be as plain to read as what a recipe names. Only what shapes the
answers is listed; seeds, threads and the like are not.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from trainer.estimators.fitting import Model
from trainer.estimators.monitor import Monitor
from trainer.features.sliding import SlidingFeatures
from trainer.recipe.document import Anomaly, Recipe

_WORDS: Final[Mapping[str, str]] = {
    "HistGradientBoostingClassifier": "gradient boosting on histograms",
    "HistGradientBoostingRegressor": "gradient boosting on histograms",
    "LatentLine": "partial least squares",
    "LogisticRegression": "logistic regression",
    "RidgeLine": "ridge regression",
}
_TAILS: Final = frozenset(
    (
        *(
            "categorical_features",
            "verbose",
            "n_jobs",
            "random_state",
            "warm_start",
            "copy_X",
            "cache_size",
            "oob_score",
        ),
        # What an estimator does only where it stops early, which none of ours does.
        *("early_stopping", "n_iter_no_change", "validation_fraction", "tol", "scoring"),
    )
)
"""Parameters that say how an estimator is computed, not what it is."""


def composition(model: Model, recipe: Recipe) -> dict[str, str]:
    """What the model is made of, by what it is called: `estimator`, `features` and others.

    Args:
        model: the fitted model.
        recipe: the recipe of the training.
    """
    last = model.pipeline.steps[-1][1]
    found = {"estimator": _estimator(last)}
    if settings := ", ".join(_settings(last)):
        found["hyper-parameters"] = settings
    found["features"] = _features(model)
    if threshold := _threshold(model, recipe):
        found["threshold"] = threshold
    return found


def _estimator(last: Any) -> str:  # noqa: ANN401  scikit-learn is untyped
    if isinstance(last, Monitor):
        return f"detector {' and '.join(last.detectors)}, fitted on normal windows"
    name = type(last).__name__
    return f"{_WORDS[name]} ({name})" if name in _WORDS else name


def _settings(last: Any) -> Iterator[str]:  # noqa: ANN401  scikit-learn is untyped
    if isinstance(last, Monitor):
        yield f"false_alarms {last.false_alarms:g}"
        if last.positions > 1:
            yield f"the score is averaged over {last.positions} moments of the window"
        return
    for name, value in sorted(last.get_params().items()):
        # scikit-learn marks parameters that are no longer used by this word as their value.
        if value is None or value == "deprecated" or name.rsplit("__", 1)[-1] in _TAILS:
            continue
        said = type(value).__name__ if hasattr(value, "get_params") else value
        yield f"{name} {said:g}" if isinstance(said, float) else f"{name} {said}"


def _features(model: Model) -> str:
    steps = dict(model.pipeline.steps)
    features = steps["features"]
    inner = features.features_ if isinstance(features, SlidingFeatures) else features
    if inner.length_ == 1:
        kinds = "the sample itself"
    else:
        lengths = [inner.length_, *(n for n in inner.lengths if 1 < n < inner.length_)]
        samples = " and ".join(map(str, sorted(lengths, reverse=True)))
        kinds = f"{', '.join(inner.kinds)} over the last {samples} samples"
    regimes = ", normalised by operating condition" if inner.conditions is not None else ""
    scaled = ", standardised" if "scaling" in steps or "monitor" in steps else ""
    count = len(inner.medians_)
    return (
        f"{kinds}, of {count} signal{'s' if count > 1 else ''}: {inner.width} in all"
        f"{regimes}{scaled}"
    )


def _threshold(model: Model, recipe: Recipe) -> str:
    if isinstance(recipe.target, Anomaly):
        share = 1 - recipe.target.false_alarms
        return (
            f"1 is the limit, the {share:.4g} quantile of the scores of normal blocks in time that "
            "were held out of the fit (target.false_alarms)"
        )
    if model.decision is not None:
        return str(model.decision)
    return "none, the most probable class is the answer" if model.classes else ""
