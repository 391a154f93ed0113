"""What a check looks at, and what it finds."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from trainer.checks.fingerprint import fingerprints
from trainer.recipe.recipe import Recipe
from trainer.recordings.recording import Recording
from trainer.recordings.split import Parts
from trainer.recordings.targets import Truth

_LISTED = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a reader of the figures must know, or that must not be trained on.

    Attributes:
        name: of the check.
        severity: an `error` ends the training unless the recipe allows it.
        evidence: what was found, with figures, columns, files and rows.
        remedy: what to do about it.
        overridden: an error that the recipe allows.
    """

    name: str
    severity: Literal["error", "warning"]
    evidence: str
    remedy: str
    overridden: bool = False

    def __str__(self) -> str:
        """One line for the terminal."""
        allowed = " (allowed by the recipe)" if self.overridden else ""
        return f"{self.name}{allowed}: {self.evidence}; {self.remedy}"


@dataclass(frozen=True)
class Subject:
    """What is checked: the rows, their truth, the recipe, and the windows of both parts."""

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


def listed(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
