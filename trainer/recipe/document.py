"""The recipe: one TOML file that says all there is to decide about a model.

    [bundle]    which stream, which version
    [data]      which files, and what time and asset are in them
    [[signals]] the model's inputs: column, unit, range, what to do when missing
    [window]    how many samples the model sees at once
    [target]    what it is to answer
    [split]     which rows it never sees in training, so that its figures are honest
    [checks]    which findings do not end the training
    [search]    which kinds of models are tried, and for how long
    [budget]    what serving it may cost
    [drift]     how a gateway notices that the data has changed

It is checked whole before a row is read; all mistakes are told at once.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, ValidationInfo, model_validator

from models.bundle.manifest import (
    MAX_DUE_VALUES,
    MAX_GAP_PERIODS,
    Channel,
    Finite,
    Name,
    WindowSpec,
)
from trainer.features.sliding import positions
from trainer.features.window_features import WindowFeatures
from trainer.recipe.data_section import MAX_S, Label, Section, Signal, Source, TimeUnit, anchored
from trainer.recipe.drift_section import DriftSection
from trainer.recipe.feature_section import Derived, FeatureSection, feature_mistakes
from trainer.recipe.search_section import Search, search_mistakes
from trainer.recipe.split_section import Checks, Split, split_mistakes
from trainer.recipe.toml_file import read_toml

MAX_WINDOW_VALUES = 100_000
"""Samples times signals; about a hundred windows must fit into the bundle's golden vectors."""


class Identity(Section):
    """Which stream the bundle belongs to, and what people call it."""

    stream: Name
    name: Annotated[str, Field(max_length=200, description="default: the stream")] = ""
    version: Annotated[str, Field(pattern=r"^[0-9]{1,9}\.[0-9]{1,9}\.[0-9]{1,9}$")] = "1.0.0"


class Window(Section):
    """How samples become windows; `period_s` is measured in the data if not given."""

    length: Annotated[int, Field(ge=1, le=65_536)] = 1
    hop: Annotated[int, Field(ge=1, le=65_536)] = 1
    period_s: Annotated[Finite, Field(gt=0, le=MAX_S)] | None = None
    max_gap_s: Annotated[Finite, Field(gt=0, le=MAX_S)] | None = None
    trigger: Literal["all_fresh", "every_reading", "period"] = "all_fresh"

    @model_validator(mode="after")
    def _grid_is_bounded(self) -> Self:
        if self.trigger != "period":
            return self
        period_ms, max_gap_ms = _ms(self.period_s), _ms(self.max_gap_s)
        if period_ms is None or max_gap_ms is None:
            raise ValueError("trigger 'period' needs period_s and max_gap_s")
        if not period_ms <= max_gap_ms <= MAX_GAP_PERIODS * period_ms:
            raise ValueError(
                f"with trigger 'period' max_gap_s is 1 to {MAX_GAP_PERIODS} times period_s, found "
                f"{self.max_gap_s:g} and {self.period_s:g}"
            )
        return self

    def spec(self, period_ms: float | None) -> WindowSpec:
        """What the manifest says of it, with the period that was measured."""
        return WindowSpec(
            length=self.length,
            hop=self.hop,
            sample_period_ms=period_ms if self.period_s is None else _exact_ms(self.period_s),
            max_gap_ms=_ms(self.max_gap_s),
            trigger=self.trigger,
        )


class Classification(Section):
    """Which of some classes.

    Attributes:
        column: of the labels.
        classes: the labels in order, or `{ label = "name" }`, where several may have one name;
            those found, sorted, if not given.
        positive: the name of the class that a two-class model is about; the last if not given.
    """

    task: Literal["classification"]
    column: str
    classes: tuple[Label, ...] | dict[Label, str] = ()
    positive: str | None = None

    @property
    def names(self) -> dict[str, str]:
        """Name by label, in the order of the model's classes; empty if the data decides."""
        if isinstance(self.classes, dict):
            return self.classes
        return {label: label for label in self.classes}

    @model_validator(mode="after")
    def _classes_fit(self) -> Self:
        names = list(self.names.values())
        is_list = not isinstance(self.classes, dict)
        if (is_list and len({*names}) != len(self.classes)) or len({*names}) == 1:
            raise ValueError(f"classes must be at least two different ones, found {names}")
        if names and self.positive is not None and self.positive not in names:
            raise ValueError(f"positive is '{self.positive}', the classes are {names}")
        return self


def _tables(value: Any, info: ValidationInfo) -> Any:  # noqa: ANN401  any TOML value
    """Paths of tables, relative to the recipe's folder."""
    if isinstance(value, dict) and value and all(isinstance(path, str) for path in value.values()):
        return {file: anchored(path, info) for file, path in value.items()}
    if value is None or isinstance(value, str):
        return value and anchored(value, info)
    raise ValueError('give a file, or { "DATA FILE" = "FILE" }')


class Regression(Section):
    """A number.

    Attributes:
        column: of the numbers to learn, or
        remaining: time until the asset's last row, in this unit (run to failure), at most `cap`.
        left: how long assets that had not failed at their last row still had there, in the same
            unit: a table of `asset` and `left`; or, by the name of a data file, a table of one
            number a line, in the order of that file's assets.
        unit: engineering unit of the answer.
    """

    task: Literal["regression"]
    column: str | None = None
    remaining: TimeUnit | None = None
    cap: Annotated[Finite, Field(gt=0)] | None = None
    left: Annotated[str | dict[str, str] | None, BeforeValidator(_tables)] = None
    unit: str = ""

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if (self.column is None) == (self.remaining is None):
            raise ValueError("give column, or remaining for the time until the last row: just one")
        if self.cap is not None and self.remaining is None:
            raise ValueError("cap is for remaining; a column is learned as it is")
        if self.left is not None and self.remaining is None:
            raise ValueError("left is for remaining; a column is learned as it is")
        return self


Detecting = Literal["pca", "mahalanobis", "isolation-forest", "one-class-svm", "autoencoder"]


class Anomaly(Section):
    """Whether this is normal, learned from normal rows only.

    Attributes:
        column: of labels, if there are any: only rows that say `normal` are trained on, and the
            others measure what is found.
        normal: the label of a normal row.
        false_alarms: share of normal windows that may raise an alarm.
        detectors: any of which may raise it.
        smooth: samples at the end of the window over which the score is smoothed.
    """

    task: Literal["anomaly"]
    column: str | None = None
    normal: Label = "0"
    false_alarms: Annotated[Finite, Field(gt=0, le=0.5)] = 0.01
    detectors: Annotated[tuple[Detecting, ...], Field(min_length=1)] = ("mahalanobis",)
    smooth: Annotated[int, Field(ge=1, le=65_536)] = 1

    def mistakes(self, length: int, signals: int) -> Iterator[str]:
        """What does not fit into windows of so many samples of so many signals."""
        shorter, moments = length - self.smooth + 1, len(positions(self.smooth))
        values = moments * shorter * signals
        if shorter < 1:
            yield (
                f"target.smooth is {self.smooth}, but a window has {length} samples; it is over "
                f"the last ones of them, 1 to {length}"
            )
        elif self.smooth > 1 and values > MAX_WINDOW_VALUES:
            yield (
                f"target.smooth: {moments} moments with {shorter} samples each are {values} values "
                f"a window, allowed are {MAX_WINDOW_VALUES}; shorten window.length"
            )


Target = Annotated[Classification | Regression | Anomaly, Field(discriminator="task")]


class Budget(Section):
    """What serving may cost on one thread; a model that costs more is not written."""

    latency_ms: Annotated[Finite, Field(gt=0)] = 20.0
    model_mb: Annotated[Finite, Field(gt=0, le=512)] = 32.0


class Recipe(Section):
    """One model, from recorded files to a bundle."""

    seed: Annotated[int, Field(ge=0, lt=2**32, description="of every random choice")] = 0
    bundle: Identity
    data: Source
    signals: Annotated[tuple[Signal, ...], Field(min_length=1, max_length=4096)]
    derived: Annotated[tuple[Derived, ...], Field(max_length=100)] = ()
    window: Window = Window()
    features: FeatureSection = FeatureSection()
    target: Target
    split: Split
    checks: Checks = Checks()
    search: Search | None = None
    budget: Budget = Budget()
    drift: DriftSection = DriftSection()

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        names = [signal.name for signal in self.signals]
        mistakes = [
            *self._signal_mistakes(),
            *feature_mistakes(names, self.derived, self.features),
            *self._target_mistakes(),
            *self._split_mistakes(),
            *search_mistakes(self.search, self.target.task),
        ]
        if mistakes:
            raise ValueError("; ".join(mistakes))
        return self

    @property
    def channels(self) -> tuple[Channel, ...]:
        """The model's inputs as the manifest names them."""
        return tuple(signal.channel() for signal in self.signals)

    @property
    def described(self) -> WindowFeatures:
        """What computes the features, not fitted yet."""
        names = [signal.name for signal in self.signals]
        return self.features.step(self.target.task, names, self.derived)

    @property
    def label_column(self) -> str | None:
        """The column with the truth, if the data has one."""
        return self.target.column

    def _signal_mistakes(self) -> list[str]:
        names = [signal.name for signal in self.signals]
        found = [f"signals: two are named '{n}'" for n in sorted({*names}) if names.count(n) > 1]
        found += [
            f"signals: '{name}' would lie inside '{outer}'; a dot in a name is a level"
            for name in names
            for outer in names
            if name.startswith(f"{outer}.")
        ]
        if self.label_column is not None:
            found += [
                f"signals: '{signal.name}' reads the target's column '{self.label_column}'"
                for signal in self.signals
                if signal.source == self.label_column
            ]
        if (values := self.window.length * len(self.signals)) > MAX_WINDOW_VALUES:
            found.append(
                f"window.length: {values} values a window, allowed are {MAX_WINDOW_VALUES}"
            )
        if (due := values * self.window.spec(None).max_due) > MAX_DUE_VALUES:
            found.append(
                f"window.max_gap_s: after such a pause {due} values are due at once, allowed are "
                f"{MAX_DUE_VALUES}; lower it, or raise hop"
            )
        if self.window.trigger == "period" and self.data.time is None:
            found.append("window.trigger is 'period', which needs data.time")
        if self.window.length > 1 and self.data.time is None:
            found.append(
                f"window.length is {self.window.length}, but data.time is not given: rows without "
                "a time axis stand alone, length must be 1"
            )
        return found

    def _target_mistakes(self) -> list[str]:
        if isinstance(self.target, Anomaly):
            return [*self.target.mistakes(self.window.length, len(self.signals))]
        has_table = isinstance(self.target, Regression) and self.target.left is not None
        if has_table and not self.data.names_assets:
            return ["target.left is of assets, which data.asset_column or asset_from must name"]
        return []

    def _split_mistakes(self) -> list[str]:
        return split_mistakes(
            self.split,
            timed=self.data.time is not None,
            named=self.data.names_assets,
            classes=self.target.task == "classification",
            remaining=isinstance(self.target, Regression) and self.target.remaining is not None,
        )


def read_recipe(path: Path) -> Recipe:
    """Read and check a recipe; see `read_toml`.

    Raises:
        RecipeError: every mistake found, a line each.
    """
    return read_toml(path, Recipe)


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else max(1, round(seconds * 1000))


def _exact_ms(seconds: float) -> float:
    """Fractions of a millisecond included, without what the multiplication adds: 1.1 stays 1.1."""
    return float(f"{seconds * 1000:.12g}")
