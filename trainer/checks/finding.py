"""What a check finds."""

from dataclasses import dataclass
from typing import Literal


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
