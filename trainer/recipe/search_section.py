"""The recipe's section `[search]`: which candidates are tried, for how long, by which metric."""

from typing import Annotated, Literal, Self, get_args

from pydantic import Field, model_validator

from models.bundle.manifest import Finite
from trainer.recipe.section import Section

# In the order of what a fit costs.
FamilyName = Literal["linear", "boosting", "extra-trees", "forest", "neighbours", "svm", "mlp"]
# From the simplest to the one with the most to fit.
Detecting = Literal["mahalanobis", "pca", "isolation-forest", "one-class-svm", "autoencoder"]
OfNumbers = Literal["rmse", "mae"]
OfClasses = Literal["macro_f1", "f1", "average_precision", "log_loss", "accuracy"]
Metric = OfNumbers | OfClasses
Preference = Literal["best", "small", "fast"]
DEFAULT_METRIC: dict[str, Metric] = {"regression": "rmse", "classification": "macro_f1"}
ALLOWED: dict[str, tuple[str, ...]] = {
    "regression": get_args(OfNumbers),
    "classification": get_args(OfClasses),
}

# Metrics that lie between 0 and 1.
SHARES = {"macro_f1", "f1", "average_precision", "accuracy"}


class Search(Section):
    """How candidates are searched; without this section one default model is fitted.

    Attributes:
        trials: number of candidates; with the same number the same model wins. None has no limit.
        seconds: seconds that candidates are tried for, over all runs of the same search together.
            None has no limit.
        candidates: families of models to try, or detectors for an anomaly; `auto` takes all that
            suit the data.
        metric: the metric on held-out folds that ranks the candidates; None takes `rmse` for a
            regression and `macro_f1` for a classification.
        jobs: number of worker processes; 0 takes one for each core.
        prefer: None takes the candidate with the best metric. Otherwise the best candidates are
            exported and their graphs measured: `best` takes the best metric all the same, `small`
            and `fast` take the smallest or fastest graph among those that are about as good.
        tolerance: how much worse than the best metric still is about as good, in units of the
            metric. None takes one standard error of the best, the one-standard-error rule of
            Breiman et al. (1984).
    """

    trials: Annotated[int, Field(ge=1, le=10_000)] | None = None
    seconds: Annotated[Finite, Field(gt=0, le=604_800)] | None = None
    candidates: (
        Literal["auto"] | Annotated[tuple[FamilyName | Detecting, ...], Field(min_length=1)]
    ) = "auto"
    metric: Metric | None = None
    jobs: Annotated[int, Field(ge=0, le=1024)] = 0
    prefer: Preference | None = None
    tolerance: Annotated[Finite, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _has_an_end(self) -> Self:
        if self.trials is None and self.seconds is None:
            raise ValueError("a search needs an end; give trials, seconds or both")
        return self

    @model_validator(mode="after")
    def _tolerance_has_a_use(self) -> Self:
        if self.tolerance is not None and self.prefer not in ("small", "fast"):
            raise ValueError(
                "tolerance needs prefer = 'small' or 'fast'; give it, or leave both out"
            )
        return self

    @property
    def families(self) -> tuple[FamilyName, ...]:
        """The families to try, those with the cheapest fits first."""
        if self.candidates == "auto":
            return get_args(FamilyName)
        return tuple(name for name in get_args(FamilyName) if name in self.candidates)

    @property
    def detectors(self) -> tuple[Detecting, ...]:
        """The detectors to try, the simplest first."""
        if self.candidates == "auto":
            return get_args(Detecting)
        return tuple(name for name in get_args(Detecting) if name in self.candidates)

    def metric_for(self, task: str) -> Metric:
        """The metric that ranks candidates for a task: the recipe's, or the task's default."""
        return self.metric or DEFAULT_METRIC[task]


def search_mistakes(search: Search | None, task: str, column: str | None) -> list[str]:
    """Mistakes of the section for a task, whose labels are in `column`, if there are any."""
    if search is None:
        return []
    named = get_args(Detecting) if task == "anomaly" else get_args(FamilyName)
    strange = set() if search.candidates == "auto" else {*search.candidates} - {*named}
    found = [
        f"search.candidates: found '{name}', allowed for '{task}' are {', '.join(named)}"
        for name in sorted(strange)
    ]
    if task == "anomaly":
        return found + _mistakes_of_detectors(search, column)
    allowed = ALLOWED[task]
    if search.metric is not None and search.metric not in allowed:
        choices = ", ".join(allowed)
        return [
            *found,
            f"search.metric: found '{search.metric}', allowed for '{task}' are {choices}",
        ]
    metric, tolerance = search.metric_for(task), search.tolerance
    if tolerance is not None and tolerance >= 1 and metric in SHARES:
        found.append(
            f"search.tolerance: found {tolerance:g}, allowed for {metric} is 0 to less than 1"
        )
    return found


def _mistakes_of_detectors(search: Search, column: str | None) -> list[str]:
    found = [
        f"search.{key}: detectors are compared by the share of faults that they find; leave it out"
        for key in ("metric", "prefer")
        if getattr(search, key) is not None
    ]
    if column is None:
        found.append(
            "search: for task 'anomaly' detectors are compared by labelled faults; give "
            "target.column, or leave the section out and choose target.detectors"
        )
    return found
