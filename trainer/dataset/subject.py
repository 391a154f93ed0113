"""Everything that a training works on: rows, truth, recipe and both parts of the split."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.dataset.fingerprint import fingerprints
from trainer.dataset.splits import Parts
from trainer.dataset.targets import Truth
from trainer.ingest.recording import Recording
from trainer.recipe.document import Recipe


@dataclass(frozen=True)
class Subject:
    """Rows, their truth, the recipe, and the windows of both parts.

    Attributes:
        recording: the recorded rows.
        truth: what the model should answer at each row.
        recipe: the recipe of the training.
        parts: the training windows and the test windows.
    """

    recording: Recording
    truth: Truth
    recipe: Recipe
    parts: Parts

    @cached_property
    def keys(self) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """The hash of each training window, and of each test window."""
        return fingerprints(self.parts.train.values), fingerprints(self.parts.test.values)

    def in_both(self, of_row: NDArray[Any]) -> NDArray[Any]:
        """The values that training and test rows share, of an array with a value for each row."""
        return np.intersect1d(of_row[self.parts.train.rows], of_row[self.parts.test.rows])
