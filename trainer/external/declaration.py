"""The description of an external graph: a recipe without the training.

    task         classification, regression or anomaly
    [bundle]     which stream the bundle is for, and its version
    [input]      the layout of the graph's input
    [[signals]]  the model's inputs, in order
    [window]     how many samples the model sees at once
    [[outputs]]  which tensor of the graph is which output of the bundle
    [data]       recorded rows for the golden vectors, if there are any
    [metrics]    metrics that others have measured
    [budget]     what serving the model may cost

As in a recipe, all mistakes are reported at once, each with its key.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from models.bundle.manifest import Channel, Finite, Output, Task
from trainer.dataset.targets import MAX_CLASSES, NORMAL_AND_NOT
from trainer.recipe.data_section import Label, Signal, Source
from trainer.recipe.document import Budget, Explained, Identity
from trainer.recipe.section import Section
from trainer.recipe.toml_file import read_toml
from trainer.recipe.window_section import Window, input_mistakes

Layout = Literal["nlc", "ncl", "flat"]
TWO = 2


class GraphInput(Section):
    """The graph's input for a window of `length` samples of `channels` signals.

    Attributes:
        name: name of the input tensor; None where the graph has a single input.
        layout: `nlc` is `[batch, length, channels]`, `ncl` is `[batch, channels, length]` as in
            PyTorch's convolutions, and `flat` is `[batch, length * channels]`, sample after sample.
            None where only one is possible: a window of one sample in a `flat` input.
    """

    name: str | None = None
    layout: Layout | None = None


class Tensor(Section):
    """One output tensor of the graph, as an output of the bundle.

    Attributes:
        name: the output of the bundle: `value`, `score` or `probabilities`.
        tensor: name of the tensor in the graph; None where it is called as the output.
        meaning: one line for people.
        unit: engineering unit of a regression's value.
        classes: names of the classes by index, or `{ label = "name" }` where the graph returns
            labels of its own.
        threshold: the score, or the second of two probabilities, above which the value is 1; None
            takes the graph's value, or the most probable class.
        direction: the side of the threshold on which the value is 1. A score that is abnormal
            `below` its threshold is published with its sign turned, and so is the threshold,
            since a higher score of a bundle always means more abnormal.
        apply: function that turns logits into probabilities (`softmax`) or a score (`sigmoid`);
            None if the tensor is one already.
    """

    name: Literal["value", "score", "probabilities"]
    tensor: str | None = None
    meaning: Annotated[str, Field(min_length=1, max_length=1000)]
    unit: str = ""
    classes: Annotated[tuple[Label, ...] | dict[Label, str], Field(max_length=MAX_CLASSES)] = ()
    threshold: Finite | None = None
    direction: Literal["above", "below"] = "above"
    apply: Literal["softmax", "sigmoid"] | None = None

    @property
    def source(self) -> str:
        """The tensor's name in the graph."""
        return self.tensor or self.name

    @property
    def is_turned(self) -> bool:
        """Whether the bundle's score is the tensor with its sign turned."""
        return self.direction == "below"

    @model_validator(mode="after")
    def _keys_fit_the_name(self) -> Self:
        if self.threshold is not None and self.name == "value":
            raise ValueError("threshold is for a score or for probabilities, not for the value")
        if self.direction == "below" and (self.name != "score" or self.threshold is None):
            raise ValueError("direction = 'below' is for a score with a threshold")
        if self.direction == "below" and self.apply is not None:
            raise ValueError(
                "direction = 'below' is for a score as it is, not for a logit with apply; declare "
                "the other class as the second"
            )
        fitting = {"probabilities": "softmax", "score": "sigmoid"}.get(self.name)
        if self.apply is not None and self.apply != fitting:
            raise ValueError(
                f"apply is 'softmax' for probabilities and 'sigmoid' for a score, found "
                f"'{self.apply}' for {self.name}"
            )
        return self


class ClaimedMetrics(Section):
    """Metrics that were measured elsewhere; the bundle states that millhand did not measure them.

    Attributes:
        split: how the rows were split into training and test part, one line for people.
        test_rows: number of rows that the metrics were measured on; 0 if it is not known.
        values: value of each metric by name.
    """

    split: Annotated[str, Field(min_length=1, max_length=1000)]
    test_rows: Annotated[int, Field(ge=0)] = 0
    values: Annotated[dict[str, Finite], Field(max_length=1000)]


class Declaration(Section):
    """The description of an external model; the sections are explained above."""

    task: Task
    explain: Annotated[
        Explained, Field(description="which predictions name the signals that they are due to")
    ] = "alarm"
    bundle: Identity
    input: GraphInput = GraphInput()
    signals: Annotated[tuple[Signal, ...], Field(min_length=1, max_length=4096)]
    window: Window = Window()
    outputs: Annotated[tuple[Tensor, ...], Field(min_length=1, max_length=3)]
    data: Source | None = None
    metrics: ClaimedMetrics | None = None
    budget: Budget = Budget()

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        names = [signal.name for signal in self.signals]
        mistakes = input_mistakes(names, self.window, self.data) + self._output_mistakes()
        if mistakes:
            raise ValueError("; ".join(mistakes))
        return self

    @property
    def channels(self) -> tuple[Channel, ...]:
        """The model's inputs as the manifest describes them."""
        return tuple(signal.channel() for signal in self.signals)

    @property
    def labels(self) -> dict[str, str]:
        """Class name by the graph's label for it, in the order of the class indices."""
        given = next((one.classes for one in self.outputs if one.classes), ())
        if not given and self.task == "anomaly":
            given = NORMAL_AND_NOT
        return given if isinstance(given, dict) else {label: label for label in given}

    @property
    def has_own_labels(self) -> bool:
        """Whether the description gives the graph's labels beside the names of the classes."""
        return any(isinstance(one.classes, dict) for one in self.outputs)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names by index; empty for a regression."""
        return tuple(self.labels.values())

    @property
    def threshold(self) -> float | None:
        """The score of the bundle above which the value is 1; None without one."""
        for one in self.outputs:
            if one.threshold is not None:
                return -one.threshold if one.is_turned else one.threshold
        return None

    def tensor(self, name: str) -> Tensor | None:
        """The tensor that is declared as the output `name`; None if there is none."""
        return next((one for one in self.outputs if one.name == name), None)

    def promised(self) -> tuple[Output, ...]:
        """The outputs as the manifest describes them, those that are added to the graph too."""
        value, score, shares = map(self.tensor, ("value", "score", "probabilities"))
        limit, classes = self.threshold, self.classes
        above = "1 where the score is above its threshold"
        derived = above if limit is not None else "index of the most probable class"
        outputs = [
            Output(
                name="value",
                dtype="float32" if self.task == "regression" else "int64",
                meaning=value.meaning if value else derived,
                unit=value.unit if value else "",
                classes=classes,
            )
        ]
        if score or shares:
            about = "the winning class" if limit is None else f"'{classes[1]}'"
            meaning = score.meaning if score else f"probability of {about}"
            if score and score.is_turned:
                meaning += " (sign turned: the higher, the more abnormal)"
            unit = score.unit if score else ""
            outputs.append(
                Output(name="score", dtype="float32", meaning=meaning, unit=unit, threshold=limit)
            )
        if shares:
            shown = Output(
                name="probabilities", dtype="float32", meaning=shares.meaning, classes=classes
            )
            outputs.append(shown)
        return tuple(outputs)

    def _output_mistakes(self) -> list[str]:
        names = [one.name for one in self.outputs]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            return [f"outputs: {' and '.join(repeated)} must be declared once only"]
        if self.task == "regression":
            return self._regression_mistakes()
        return [*self._class_mistakes(), *self._decision_mistakes()]

    def _regression_mistakes(self) -> list[str]:
        found = []
        if self.tensor("value") is None:
            found.append("outputs: a regression needs one with name = 'value'")
        if self.tensor("probabilities") is not None:
            found.append("outputs: a regression has no probabilities")
        if self.classes or self.threshold is not None:
            found.append("outputs: classes and threshold are not for a regression")
        return found

    def _class_mistakes(self) -> list[str]:
        classes = self.classes
        if sum(bool(one.classes) for one in self.outputs) > 1:
            return ["outputs: give classes at one output only; they hold for all outputs"]
        if len(classes) < TWO or len({*classes}) < len(classes):
            return [
                f"outputs: at least two classes, all different, are needed, found {list(classes)}"
            ]
        if self.task == "anomaly" and len(classes) > TWO:
            return [
                (
                    "outputs: an anomaly model has two classes, normal and abnormal; found "
                    f"{list(classes)}"
                )
            ]
        if self.task == "anomaly" and self.tensor("probabilities") is not None:
            return ["outputs: an anomaly model has no probabilities; declare a score"]
        return []

    def _decision_mistakes(self) -> list[str]:
        found = []
        if sum(one.threshold is not None for one in self.outputs) > 1:
            found.append("outputs: give threshold at one output only")
        if self.threshold is not None and len(self.classes) != TWO:
            found.append("outputs: a threshold needs exactly two classes")
        decides = self.tensor("probabilities") is not None or self.threshold is not None
        if self.tensor("value") is None and not decides:
            found.append(
                "outputs: no output gives the class; declare a value, probabilities, or a score "
                "with a threshold"
            )
        return found


def read_declaration(path: Path) -> Declaration:
    """Read and check a description; see `read_toml`.

    Raises:
        RecipeError: the description has mistakes; the message has a line for each.
    """
    return read_toml(path, Declaration)
