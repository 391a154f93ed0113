"""The recipe's sections `[[derived]]` and `[features]`: what the model is to see in a window."""

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from models.bundle.manifest import Name
from trainer.features.expression import MAX_LENGTH, Expression
from trainer.features.window_features import BASIC, WindowFeatures
from trainer.recipe.data_section import Section

Kind = Literal[
    "last",
    "mean",
    "std",
    "min",
    "max",
    "range",
    "rms",
    "slope",
    "crest",
    "kurtosis",
    "difference",
    "bands",
    "residual",
]
_OF_A_DETECTOR = ("mean", "std")
"""Few, because a covariance of many features needs many normal hours."""


class Derived(Section):
    """A signal that is computed from others, inside the graph.

    Attributes:
        name: in reports; a later one may use it.
        expression: `+ - * / **`, abs, sqrt, log, exp, min, max of signals and numbers.
        unit: for people.
    """

    name: Name
    expression: Annotated[str, Field(min_length=1, max_length=MAX_LENGTH)]
    unit: str = ""

    @model_validator(mode="after")
    def _is_arithmetic(self) -> Self:
        Expression(self.expression)
        return self


class FeatureSection(Section):
    """Figures of each signal in a window.

    Attributes:
        kinds: which; `auto` takes the last sample, mean, deviation, extremes and slope, or mean and
            deviation where the task is to tell what is not normal.
        lengths: figures are also computed over so many last samples, beside the whole window.
        signals: which are looked at, derived ones among them; all if not given. The others are only
            watched: the gateway compares them with the training part, and tells when they drift.
    """

    kinds: Literal["auto"] | Annotated[tuple[Kind, ...], Field(min_length=1)] = "auto"
    lengths: Annotated[
        tuple[Annotated[int, Field(ge=2, le=65_536)], ...], Field(max_length=10)
    ] = ()
    signals: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None

    def step(self, task: str, signals: Sequence[str], derived: Sequence[Derived]) -> WindowFeatures:
        """What computes them, not fitted yet."""
        auto = _OF_A_DETECTOR if task == "anomaly" else BASIC
        return WindowFeatures(
            kinds=auto if self.kinds == "auto" else self.kinds,
            lengths=self.lengths,
            signals=tuple(signals) if derived or self.signals else (),
            derived=tuple((one.name, one.expression) for one in derived),
            described=self.signals or (),
        )


def feature_mistakes(
    signals: Sequence[str], derived: Sequence[Derived], features: FeatureSection
) -> list[str]:
    """Names that are taken, and names that nobody has."""
    known = [*signals, *(one.name for one in derived)]
    return _derived_mistakes(signals, derived) + [
        f"features.signals: '{name}' is no signal; there are {', '.join(known)}"
        for name in features.signals or ()
        if name not in known
    ]


def _derived_mistakes(signals: Sequence[str], derived: Sequence[Derived]) -> list[str]:
    """Names that are taken, and names in an expression that nobody has by then."""
    known, found = list(signals), []
    for one in derived:
        if one.name in known:
            found.append(f"derived: '{one.name}' is a signal already")
        found += [
            f"derived: '{one.name}' needs '{name}', which is no signal above it; there are "
            f"{', '.join(known)}"
            for name in sorted(Expression(one.expression).names - {*known})
        ]
        known.append(one.name)
    return found
