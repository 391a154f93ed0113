"""The recipe's section `[search]`: which candidates are tried, for how long, judged by what."""

from typing import Annotated, Literal, Self, get_args

from pydantic import Field, model_validator

from models.bundle.manifest import Finite
from trainer.recipe.data_section import Section

FamilyName = Literal[
    "linear", "boosting", "extra-trees", "forest", "neighbours", "svm", "mlp"
]  # in the order of what a fit costs
OfNumbers = Literal["rmse", "mae"]
OfClasses = Literal["macro_f1", "f1", "average_precision", "log_loss", "accuracy"]
Metric = OfNumbers | OfClasses
Preference = Literal["best", "small", "fast"]
DEFAULT_METRIC: dict[str, Metric] = {"regression": "rmse", "classification": "macro_f1"}
ALLOWED: dict[str, tuple[str, ...]] = {
    "regression": get_args(OfNumbers),
    "classification": get_args(OfClasses),
}


SHARES = {"macro_f1", "f1", "average_precision", "accuracy"}
"""Metrics that lie between 0 and 1."""


class Search(Section):
    """How the best model is looked for; without this section the default model is fitted.

    Attributes:
        trials: how many candidates are tried; with the same number the winner is the same.
        seconds: how long candidates are tried, the earlier runs that it continues included.
        candidates: families of models, or all that suit the data.
        metric: of held-out folds; `rmse` for numbers and `macro_f1` for classes if not given.
        jobs: processes at once; 0 is one a core.
        prefer: measure the candidates that are left in the end as graphs, bytes and latency, and
            take the best, or of those that are as good the smallest or the fastest.
        tolerance: how much worse than the best is as good, in units of the metric; a standard error
            of the best if not given.
    """

    trials: Annotated[int, Field(ge=1, le=10_000)] | None = None
    seconds: Annotated[Finite, Field(gt=0, le=604_800)] | None = None
    candidates: Literal["auto"] | Annotated[tuple[FamilyName, ...], Field(min_length=1)] = "auto"
    metric: Metric | None = None
    jobs: Annotated[int, Field(ge=0, le=1024)] = 0
    prefer: Preference | None = None
    tolerance: Annotated[Finite, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _has_an_end(self) -> Self:
        if self.trials is None and self.seconds is None:
            raise ValueError("give trials, seconds or both: a search needs an end")
        return self

    @model_validator(mode="after")
    def _tolerance_has_a_use(self) -> Self:
        if self.tolerance is not None and self.prefer not in ("small", "fast"):
            raise ValueError("tolerance goes with prefer = 'small' or 'fast'; leave it out")
        return self

    @property
    def families(self) -> tuple[FamilyName, ...]:
        """Those that are asked for, the cheapest first."""
        if self.candidates == "auto":
            return get_args(FamilyName)
        return tuple(name for name in get_args(FamilyName) if name in self.candidates)

    def metric_for(self, task: str) -> Metric:
        """The metric of a task."""
        return self.metric or DEFAULT_METRIC[task]


def search_mistakes(search: Search | None, task: str) -> list[str]:
    """What does not fit the task."""
    if search is None:
        return []
    allowed = ALLOWED.get(task)
    if allowed is None:
        return [f"search: there is none for task '{task}'; leave the section out"]
    if search.metric is not None and search.metric not in allowed:
        choices = ", ".join(allowed)
        return [f"search.metric: found '{search.metric}', allowed for '{task}' are {choices}"]
    metric, tolerance = search.metric_for(task), search.tolerance
    if tolerance is not None and tolerance >= 1 and metric in SHARES:
        return [f"search.tolerance: found {tolerance:g}, allowed for {metric} is 0 to less than 1"]
    return []
