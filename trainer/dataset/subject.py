"""What a training is about, all together: rows, truth, recipe, and both parts."""

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
    """What is learned from and judged: rows, truth, recipe, and the windows of both parts."""

    recording: Recording
    truth: Truth
    recipe: Recipe
    parts: Parts

    @cached_property
    def keys(self) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """A fingerprint of each training window, and of each test window."""
        return fingerprints(self.parts.train.values), fingerprints(self.parts.test.values)

    def in_both(self, of_row: NDArray[Any]) -> NDArray[Any]:
        """What training and test rows have in common, of something that every row has."""
        return np.intersect1d(of_row[self.parts.train.rows], of_row[self.parts.test.rows])
