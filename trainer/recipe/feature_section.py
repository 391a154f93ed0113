"""The recipe's sections `[[derived]]`, `[conditions]`, `[features]`: what a window becomes."""

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from models.bundle.manifest import Name
from trainer.features.conditions import MAX_CONDITIONS, ConditionSpec
from trainer.features.expression import MAX_LENGTH, Expression
from trainer.features.kernels import COUNT, DEFAULT_MOST, kernel_mistakes
from trainer.features.window_features import BASIC, WindowFeatures
from trainer.recipe.section import Section

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
    "lags",
    "kernels",
]
MAX_LAGS = 100
MAX_KERNEL_FEATURES = 10_000
# A covariance of k features has k (k + 1) / 2 numbers to estimate, so a detector with many
# features needs many hours of normal data.
_OF_A_DETECTOR = ("mean", "std")


class Derived(Section):
    """A signal that the graph computes from others.

    Attributes:
        name: its name in reports, and in the expressions of derived signals below it.
        expression: arithmetic over signals and numbers: `+ - * / **`, abs, sqrt, log, exp, min,
            max.
        unit: engineering unit, for the report.
    """

    name: Name
    expression: Annotated[str, Field(min_length=1, max_length=MAX_LENGTH)]
    unit: str = ""

    @model_validator(mode="after")
    def _is_arithmetic(self) -> Self:
        Expression(self.expression)
        return self


class ConditionSection(Section):
    """How operating conditions are told apart; every signal is then normalised within each.

    Attributes:
        signals: names of the signals, derived ones among them, that tell the condition.
        clusters: number of conditions, found by k-means on these signals; None takes each
            combination of their values in the training part as a condition.
    """

    signals: Annotated[tuple[Name, ...], Field(min_length=1, max_length=20)]
    clusters: Annotated[int, Field(ge=2, le=MAX_CONDITIONS)] | None = None

    def spec(self, seed: int) -> ConditionSpec:
        """The section as the transformer of the features takes it."""
        return ConditionSpec(self.signals, self.clusters, seed)

    def mistakes(self, signals: Sequence[str], derived: Sequence[Derived]) -> list[str]:
        """Names that are no signals."""
        known = [*signals, *(one.name for one in derived)]
        return [
            f"conditions.signals: '{name}' is no signal; there are {', '.join(known)}"
            for name in self.signals
            if name not in known
        ]


class FeatureSection(Section):
    """Which features are computed of each signal in a window.

    Attributes:
        kinds: the kinds of features. `auto` takes last, mean, std, min, max and slope, or for an
            anomaly target mean and std alone.
        lengths: numbers of samples; the features are computed over so many last samples of the
            window too, beside the whole of it.
        lags: for the kind `lags`, how many samples before the last one each taken sample lies;
            empty takes some over the whole window, further apart the older they are.
        kernels: for the kind `kernels`, most features of all signals together.
        signals: names of the signals, derived ones among them, that features are computed of;
            None takes all. Signals that are not named here are no input of the estimator, but the
            gateway still compares them with the training part and reports their drift.
    """

    kinds: Literal["auto"] | Annotated[tuple[Kind, ...], Field(min_length=1)] = "auto"
    lengths: Annotated[
        tuple[Annotated[int, Field(ge=2, le=65_536)], ...], Field(max_length=10)
    ] = ()
    lags: Annotated[
        tuple[Annotated[int, Field(ge=0, le=65_535)], ...], Field(max_length=MAX_LAGS)
    ] = ()
    kernels: Annotated[int, Field(ge=COUNT, le=MAX_KERNEL_FEATURES)] = DEFAULT_MOST
    signals: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _kernels_have_a_use(self) -> Self:
        if "kernels" in self.model_fields_set and "kernels" not in self.kinds:
            raise ValueError("kernels needs the kind 'kernels'; add it to kinds, or leave it out")
        return self

    @model_validator(mode="after")
    def _lags_have_a_use(self) -> Self:
        if self.lags and "lags" not in self.kinds:
            raise ValueError("lags needs the kind 'lags'; add it to kinds, or leave lags out")
        if twice := sorted({lag for lag in self.lags if self.lags.count(lag) > 1}):
            raise ValueError(f"lags names {twice[0]} more than once; once is enough")
        return self

    def step(
        self,
        task: str,
        signals: Sequence[str],
        derived: Sequence[Derived],
        conditions: ConditionSpec | None = None,
    ) -> WindowFeatures:
        """The transformer that computes the features, not fitted; the task decides on `auto`."""
        auto = _OF_A_DETECTOR if task == "anomaly" else BASIC
        named = derived or self.signals or conditions
        return WindowFeatures(
            kinds=auto if self.kinds == "auto" else self.kinds,
            lengths=self.lengths,
            signals=tuple(signals) if named else (),
            derived=tuple((one.name, one.expression) for one in derived),
            described=self.signals or (),
            lags=self.lags,
            most_kernels=self.kernels,
            conditions=conditions,
        )

    def kernel_mistakes(self, task: str, length: int, signals: int) -> list[str]:
        """Mistakes in kernels for windows of `length` samples of `signals` signals."""
        if "kernels" not in self.kinds:
            return []
        if task == "anomaly":
            reason = (
                "features.kinds: 'kernels' are too many features for a detector, which has to "
                "learn how each goes with each other; use other kinds, or a classification"
            )
            return [reason]
        seen = len(self.signals or ()) or signals
        mistakes = kernel_mistakes(length, seen, self.kernels)
        return [f"features.kinds, 'kernels': {mistake}" for mistake in mistakes]

    def lag_mistakes(self, length: int) -> list[str]:
        """Mistakes in the lags for features of the last `length` samples of a window."""
        beyond = [lag for lag in self.lags if lag >= length]
        return [
            f"features.lags: {lag} is beyond the {length} samples that features see; allowed are 0 "
            f"to {length - 1}, or lengthen window.length"
            for lag in beyond
        ]


def feature_mistakes(
    signals: Sequence[str], derived: Sequence[Derived], features: FeatureSection
) -> list[str]:
    """Mistakes in names: derived signals that exist already, and signals that do not exist."""
    known = [*signals, *(one.name for one in derived)]
    return _derived_mistakes(signals, derived) + [
        f"features.signals: '{name}' is no signal; there are {', '.join(known)}"
        for name in features.signals or ()
        if name not in known
    ]


def _derived_mistakes(signals: Sequence[str], derived: Sequence[Derived]) -> list[str]:
    """Names that are used twice, and names in an expression that are not defined above it."""
    known, found = list(signals), []
    for one in derived:
        if one.name in known:
            found.append(f"derived: '{one.name}' is the name of another signal already")
        found += [
            f"derived: '{one.name}' needs '{name}', which is no signal above it; known are "
            f"{', '.join(known)}"
            for name in sorted(Expression(one.expression).names - {*known})
        ]
        known.append(one.name)
    return found
