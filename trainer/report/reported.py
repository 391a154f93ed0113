"""The subject of a report: a view of the trained model and its answers on the test part."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.bundle.correlation import Correlation
from models.bundle.manifest import Manifest
from trainer.dataset.clock import Clock, clock_of
from trainer.estimators.fitting import TWO, Answers
from trainer.evaluation.detection import Detection, detection
from trainer.report.trained import Trained


@dataclass(frozen=True)
class Reported:
    """Everything that the sections of a report are made from.

    Attributes:
        manifest: the manifest, whose metrics the page repeats.
        trained: recipe, rows, split, model and its answers.
        sizes: bytes of the bundle's other members, by name.
        reproducible: whether the same recipe and data must give the same bytes, so that the page
            may not contain measured times.
        correlation: how long answers and signals stay correlated; None if it is not known.
    """

    manifest: Manifest
    trained: Trained
    sizes: Mapping[str, int] = field(default_factory=dict)
    reproducible: bool = False
    correlation: Correlation | None = None

    @property
    def answers(self) -> Answers:
        """The model's answers to the test windows, by output, `[n]` or `[n, classes]`."""
        return self.trained.answers

    @property
    def drawn(self) -> str:
        """How the intervals were computed, in one sentence."""
        return self.manifest.metrics.drawn

    @cached_property
    def y(self) -> NDArray[Any]:
        """The truth of the test windows, `[n]`."""
        return self.trained.truth.y[self.trained.parts.test.rows]

    @property
    def value(self) -> NDArray[Any]:
        """The model's answers to the test windows, `[n]`."""
        return self.answers["value"]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes; empty for a regression."""
        return self.trained.model.classes

    @property
    def is_timed(self) -> bool:
        """Whether the rows have a time axis."""
        return self.trained.recording.timed

    @property
    def is_two_sided(self) -> bool:
        """Whether the model has two classes, so that an answer is an alarm or none."""
        return len(self.classes) == TWO

    @property
    def is_labelled(self) -> bool:
        """Whether the recording has labels."""
        return self.trained.truth.labelled

    @property
    def positive(self) -> int:
        """Index of the class that an alarm stands for."""
        model = self.trained.model
        return model.positive if model.task == "classification" else 1

    @cached_property
    def alarm(self) -> NDArray[np.bool_]:
        """Mask of the test windows with an alarm, `[n]`; for two classes only."""
        return np.asarray(self.value == self.positive)

    @cached_property
    def event(self) -> NDArray[np.bool_]:
        """Mask of the test windows that should have an alarm, `[n]`; all False without labels."""
        return np.asarray(self.y == self.positive) & self.is_labelled

    @cached_property
    def clock(self) -> Clock:
        """What the times of the recording mean."""
        return clock_of(self.trained.recording, self.trained.recipe)

    @cached_property
    def detection(self) -> Detection | None:
        """Alarms and faults, of a model whose answer is an alarm or none; None for others."""
        if not self.is_two_sided:
            return None
        trained = self.trained
        name = "" if self.manifest.task == "anomaly" else self.classes[self.positive]
        return detection(trained, trained.spec, self.alarm, self.event, name=name)

    @cached_property
    def moments(self) -> NDArray[Any]:
        """The time at which each test window ends, `[n]`; its number without a time axis.

        These are dates, or the counts of a counter.
        """
        rows = self.trained.parts.test.rows
        if not self.is_timed:
            return np.arange(len(rows))
        times_ns = self.trained.recording.times_ns[rows]
        if self.clock.kind == "dates":
            return times_ns.astype("datetime64[ns]")
        return np.asarray(self.clock.count(times_ns))

    @cached_property
    def wrong(self) -> NDArray[np.float64]:
        """The error of each answer, `[n]`: the distance of a number, 0 or 1 for a class."""
        if not self.classes:
            return np.asarray(np.abs(self.value.astype(np.float64) - self.y))
        return np.asarray(self.value != self.y).astype(np.float64)

    def shown_assets(self, most: int) -> dict[str, NDArray[np.int64]]:
        """Indices of the test windows of a few assets, the asset with the largest errors first."""
        asset = self.trained.parts.test.asset
        known = np.unique(asset)
        loss = np.bincount(asset, self.wrong)[known] / np.bincount(asset)[known]
        order = known[np.argsort(-loss, kind="stable")]
        picked = np.unique(np.linspace(0, len(order) - 1, most).round().astype(int))
        names = self.trained.recording.assets
        return {names[one]: np.flatnonzero(asset == one) for one in order[picked]}
