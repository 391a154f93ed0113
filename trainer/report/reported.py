"""What a report is about: what was trained, and what it answered on the test part."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.bundle.manifest import Manifest
from trainer.estimators.fitting import TWO, Answers
from trainer.report.trained import Trained


@dataclass(frozen=True)
class Reported:
    """All that the sections of a report are made from.

    Attributes:
        manifest: whose figures the page repeats.
        trained: recipe, rows, parts and model.
        answers: of the model to the test windows.
        drawn: how the intervals came about, one sentence.
        sizes: bytes of the bundle's other members, by name.
        reproducible: whether the same recipe and data are to give the same bytes, so that nothing
            measured by a clock may be said.
    """

    manifest: Manifest
    trained: Trained
    answers: Answers
    drawn: str
    sizes: Mapping[str, int]
    reproducible: bool

    @cached_property
    def y(self) -> NDArray[Any]:
        """The truth of the test windows, `[n]`."""
        return self.trained.truth.y[self.trained.parts.test.rows]

    @property
    def value(self) -> NDArray[Any]:
        """What the model answered them, `[n]`."""
        return self.answers["value"]

    @property
    def classes(self) -> tuple[str, ...]:
        """Name of each class; empty for a regression."""
        return self.trained.model.classes

    @property
    def is_timed(self) -> bool:
        """Whether the rows have a time axis."""
        return self.trained.recording.timed

    @property
    def is_two_sided(self) -> bool:
        """Whether an answer is an alarm or none."""
        return len(self.classes) == TWO

    @property
    def is_labelled(self) -> bool:
        """Whether the truth is known at all."""
        return self.trained.truth.labelled

    @property
    def positive(self) -> int:
        """Index of the class that an alarm is about."""
        model = self.trained.model
        return model.positive if model.task == "classification" else 1

    @cached_property
    def alarm(self) -> NDArray[np.bool_]:
        """Test windows that raised an alarm, `[n]`; of a two-sided model."""
        return np.asarray(self.value == self.positive)

    @cached_property
    def event(self) -> NDArray[np.bool_]:
        """Test windows that should have, `[n]`; all False where there are no labels."""
        return np.asarray(self.y == self.positive) & self.is_labelled

    @cached_property
    def moments(self) -> NDArray[Any]:
        """When each test window ended, `[n]`; its number where there is no time axis."""
        rows = self.trained.parts.test.rows
        if not self.is_timed:
            return np.arange(len(rows))
        return self.trained.recording.times_ns[rows].astype("datetime64[ns]")

    @cached_property
    def wrong(self) -> NDArray[np.float64]:
        """How wrong each answer is, `[n]`: distance of a number, 0 or 1 of a class."""
        if not self.classes:
            return np.asarray(np.abs(self.value.astype(np.float64) - self.y))
        return np.asarray(self.value != self.y).astype(np.float64)

    def shown_assets(self, most: int) -> dict[str, NDArray[np.int64]]:
        """Test windows of a few assets, by asset: from the one answered worst to the best."""
        asset = self.trained.parts.test.asset
        known = np.unique(asset)
        loss = np.bincount(asset, self.wrong)[known] / np.bincount(asset)[known]
        order = known[np.argsort(-loss, kind="stable")]
        picked = np.unique(np.linspace(0, len(order) - 1, most).round().astype(int))
        names = self.trained.recording.assets
        return {names[one]: np.flatnonzero(asset == one) for one in order[picked]}
