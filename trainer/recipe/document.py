"""The recipe: one TOML file that holds every decision about a model.

    [bundle]     which stream the bundle is for, and its version
    [data]       the recorded files, and where time and asset are in them
    [[signals]]  the model's inputs: column, unit, valid range, what to do when one is missing
    [[derived]]  signals that the graph computes from others
    [conditions] operating conditions, within which the signals are normalised
    [window]     how many samples the model sees at once
    [features]   what is computed of each signal in a window
    [[labels]]   labels by rules, where no column of the files has them
    [target]     what the model predicts
    [split]      which rows are held out of the training, to measure the model on
    [checks]     which errors of the checks do not end the training
    [search]     which kinds of models are tried, and for how long
    [budget]     what serving the model may cost
    [drift]      when a gateway reports that the data has changed

The recipe is checked as a whole before a row of data is read, and all its mistakes are reported at
once.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, ValidationInfo, model_validator

from models.bundle.manifest import (
    Channel,
    Finite,
    Name,
)
from trainer.features.sliding import positions
from trainer.features.window_features import WindowFeatures
from trainer.recipe.data_section import Label, Signal, Source, anchored, quality_mistakes
from trainer.recipe.drift_section import DriftSection
from trainer.recipe.feature_section import (
    ConditionSection,
    Derived,
    FeatureSection,
    feature_mistakes,
)
from trainer.recipe.label_section import Rules, label_mistakes, one_column
from trainer.recipe.optimise_section import Optimise
from trainer.recipe.search_section import Detecting, Search, search_mistakes
from trainer.recipe.section import Section
from trainer.recipe.split_section import Checks, Split, split_mistakes
from trainer.recipe.time_section import TimeUnit
from trainer.recipe.toml_file import read_toml
from trainer.recipe.window_section import MAX_WINDOW_VALUES, Window, input_mistakes

Explained = Literal["alarm", "always", "never"]
"""Which predictions carry their reasons: those that begin an alarm, all, or none."""


class Identity(Section):
    """Which stream the bundle belongs to.

    Attributes:
        stream: name of the stream; gateways serve one bundle of a stream at a time.
        name: the model's name for people; the stream's name where it is empty.
        version: semantic version, MAJOR.MINOR.PATCH, for people; gateways order bundles by seq.
        golden: windows of the golden vectors, which travel to every gateway: `made-up` from the
            ranges and moments of the training data, or `real` ones of the recorded data.
    """

    stream: Name
    name: Annotated[str, Field(max_length=200, description="default: the stream")] = ""
    version: Annotated[str, Field(pattern=r"^[0-9]{1,9}\.[0-9]{1,9}\.[0-9]{1,9}$")] = "1.0.0"
    golden: Literal["made-up", "real"] = "made-up"


class Classification(Section):
    """The model predicts one of several classes.

    Attributes:
        column: the column with the labels.
        classes: the labels, in the order of the class indices; or `{ label = "name" }`, where
            several labels may have one name. Empty takes the labels found in the data, sorted.
        ignore: labels that stand for no class, such as the 0 of pauses between two states; their
            rows have no label.
        positive: name of the class whose probability is the `score` of a model of two classes;
            None takes the last class.
    """

    task: Literal["classification"]
    column: Annotated[str, BeforeValidator(one_column)]
    classes: tuple[Label, ...] | dict[Label, str] = ()
    ignore: Annotated[tuple[Label, ...], Field(max_length=1000)] = ()
    positive: str | None = None

    @property
    def names(self) -> dict[str, str]:
        """Class name by label, in the order of the class indices; empty if the data decides."""
        if isinstance(self.classes, dict):
            return self.classes
        return {label: label for label in self.classes}

    @model_validator(mode="after")
    def _classes_fit(self) -> Self:
        names = list(self.names.values())
        is_list = not isinstance(self.classes, dict)
        if (is_list and len({*names}) != len(self.classes)) or len({*names}) == 1:
            raise ValueError(f"at least two classes, all different, are needed, found {names}")
        if both := [label for label in self.ignore if label in self.names]:
            raise ValueError(f"'{both[0]}' is in classes and in ignore; take it out of one of them")
        if names and self.positive is not None and self.positive not in names:
            raise ValueError(f"positive is '{self.positive}', allowed are the classes {names}")
        return self


def _tables(value: Any, info: ValidationInfo) -> Any:  # noqa: ANN401  any TOML value
    """Make paths of tables relative to the recipe's folder."""
    if isinstance(value, dict) and value and all(isinstance(path, str) for path in value.values()):
        return {file: anchored(path, info) for file, path in value.items()}
    if value is None or isinstance(value, str):
        return value and anchored(value, info)
    raise ValueError('give a path, or { "DATA FILE" = "PATH" }')


class Regression(Section):
    """The model predicts a number.

    Attributes:
        column: the column with the numbers to predict; None where `remaining` is given.
        remaining: unit of the remaining useful life (RUL): the model predicts the time until the
            asset's last row, at which it failed. None where `column` is given.
        cap: longest RUL that the model learns, in the unit of `remaining`; longer ones become
            this. None has no limit. Heimes (2008) introduced the cap, because long before a
            failure nothing in the signals tells how far away it is.
        left: for assets that had not failed at their last row, the RUL they had there, in the
            unit of `remaining`: the path of a table of `asset` and `left`; or, by the name of a
            data file, paths of tables with one number a line, in the order of the file's assets.
        unit: engineering unit of the prediction.
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
            raise ValueError("give either column, or remaining for the time until the last row")
        if self.cap is not None and self.remaining is None:
            raise ValueError("cap needs remaining; the numbers of a column are learned as they are")
        if self.left is not None and self.remaining is None:
            raise ValueError(
                "left needs remaining; the numbers of a column are learned as they are"
            )
        return self


class Anomaly(Section):
    """The model predicts whether a window is normal, and learns from normal rows only.

    Attributes:
        column: the column with labels, if the data has one: rows without the label `normal` are
            not trained on, and measure how many anomalies are found. None takes all rows as
            normal.
        normal: the label of a normal row.
        false_alarms: share of normal windows, 0 to 0.5, that may raise an alarm.
        detectors: the detectors; an alarm of any of them is an alarm.
        smooth: number of last samples of the window over which the score is averaged.
    """

    task: Literal["anomaly"]
    column: Annotated[str | None, BeforeValidator(one_column)] = None
    normal: Label = "0"
    false_alarms: Annotated[Finite, Field(gt=0, le=0.5)] = 0.01
    detectors: Annotated[tuple[Detecting, ...], Field(min_length=1)] = ("mahalanobis",)
    smooth: Annotated[int, Field(ge=1, le=65_536)] = 1

    def mistakes(self, length: int, signals: int) -> Iterator[str]:
        """Mistakes of this section for windows of `length` samples of `signals` signals."""
        shorter, moments = length - self.smooth + 1, len(positions(self.smooth))
        values = moments * shorter * signals
        if shorter < 1:
            yield (
                f"target.smooth is {self.smooth}, but a window has {length} samples; allowed are "
                f"1 to {length}"
            )
        elif self.smooth > 1 and values > MAX_WINDOW_VALUES:
            yield (
                f"target.smooth: {moments} windows of {shorter} samples within each window hold "
                f"{values} values, allowed are {MAX_WINDOW_VALUES}; shorten window.length"
            )


Target = Annotated[Classification | Regression | Anomaly, Field(discriminator="task")]


class Budget(Section):
    """What serving may cost on one thread; a model that costs more is not written.

    Attributes:
        latency_ms: 99th percentile of the time for one window, milliseconds.
        model_mb: size of the ONNX graph, megabytes of 10**6 bytes.
        memory_mb: peak of the memory for loading the bundle and answering `batch` windows at a
            time, beside the program, megabytes of 10**6 bytes; None: it is only measured.
        batch: number of windows that gateways answer at a time, their `limits.max_batch`.
    """

    latency_ms: Annotated[Finite, Field(gt=0)] = 20.0
    model_mb: Annotated[Finite, Field(gt=0, le=2000)] = 32.0
    memory_mb: Annotated[Finite, Field(gt=0, le=65_536)] | None = None
    batch: Annotated[int, Field(ge=1, le=65_536)] = 256


class Recipe(Section):
    """Everything that makes one model from recorded files; the sections are explained above."""

    seed: Annotated[
        int, Field(ge=0, lt=2**32, description="seed of every random choice in the training")
    ] = 0
    explain: Annotated[
        Explained, Field(description="which predictions name the signals that they are due to")
    ] = "alarm"
    bundle: Identity
    data: Source
    signals: Annotated[tuple[Signal, ...], Field(min_length=1, max_length=4096)]
    derived: Annotated[tuple[Derived, ...], Field(max_length=100)] = ()
    conditions: ConditionSection | None = None
    window: Window = Window()
    features: FeatureSection = FeatureSection()
    labels: Rules = ()
    target: Target
    split: Split
    checks: Checks = Checks()
    search: Search | None = None
    optimise: Optimise = Optimise()
    budget: Budget = Budget()
    drift: DriftSection = DriftSection()

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        wanted = self.lengths
        each = (self.of_length(length) for length in (wanted[0], wanted[-1]))
        mistakes = [*self._length_mistakes(), *(one for own in each for one in own.mistakes)]
        if mistakes:
            raise ValueError("; ".join(dict.fromkeys(mistakes)))
        return self

    @property
    def lengths(self) -> tuple[int, ...]:
        """The lengths of windows to compare, rising; one where there is no choice."""
        return self.window.wanted(len(self.signals))

    def of_length(self, length: int) -> Self:
        """The recipe with one length of windows, and nothing to choose."""
        return self.model_copy(update={"window": self.window.of_length(length)})

    @property
    def channels(self) -> tuple[Channel, ...]:
        """The model's inputs as the manifest describes them."""
        return tuple(signal.channel() for signal in self.signals)

    @property
    def described(self) -> WindowFeatures:
        """The transformer that computes the features of a window, not fitted yet."""
        names = [signal.name for signal in self.signals]
        regimes = None if self.conditions is None else self.conditions.spec(self.seed)
        return self.features.step(self.target.task, names, self.derived, regimes)

    @property
    def mistakes(self) -> list[str]:
        """Mistakes that show only where sections are taken together, for one length of windows."""
        names = [signal.name for signal in self.signals]
        return [
            *self._signal_mistakes(),
            *feature_mistakes(names, self.derived, self.features),
            *self.features.lag_mistakes(self._seen_length),
            *self.features.kernel_mistakes(
                self.target.task, self._seen_length, len(names) + len(self.derived)
            ),
            *(self.conditions.mistakes(names, self.derived) if self.conditions else ()),
            *self._target_mistakes(),
            *label_mistakes(
                self.labels,
                self.label_column,
                is_number=isinstance(self.target, Regression),
                data=self.data,
            ),
            *self._split_mistakes(),
            *search_mistakes(self.search, self.target.task, self.label_column),
            *self.optimise.mistakes(self.target.task, self.search),
        ]

    @property
    def label_column(self) -> str | None:
        """The column with labels or target values; None if the data has none."""
        return self.target.column

    @property
    def _seen_length(self) -> int:
        """Number of samples that features see; a detector with smoothing sees shorter windows."""
        smooth = self.target.smooth if isinstance(self.target, Anomaly) else 1
        return max(1, self.window.length - smooth + 1)

    def _length_mistakes(self) -> Iterator[str]:
        if self.window.lengths is not None and isinstance(self.target, Anomaly):
            yield (
                "window.lengths: lengths are compared for a classification or a regression; for a "
                "detector give one length"
            )

    def _signal_mistakes(self) -> list[str]:
        found = input_mistakes([signal.name for signal in self.signals], self.window, self.data)
        found += [
            f"signals: '{signal.name}' reads the target's column '{self.label_column}'"
            for signal in self.signals
            if signal.source == self.label_column
        ]
        found += quality_mistakes(self.data, self.signals)
        if self.window.trigger == "period" and self.data.time is None:
            found.append("window.trigger is 'period', which needs data.time; give it")
        return found

    def _target_mistakes(self) -> list[str]:
        if isinstance(self.target, Anomaly):
            return [*self.target.mistakes(self.window.length, len(self.signals))]
        has_table = isinstance(self.target, Regression) and self.target.left is not None
        if has_table and not self.data.names_assets:
            return ["target.left needs names of assets; give data.asset_column, asset_from or run"]
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
        RecipeError: the recipe has mistakes; the message has a line for each.
    """
    return read_toml(path, Recipe)
