"""What a check of the training data reports."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault of the data or the split, as it stands on the terminal and in the report.

    Attributes:
        name: code of the check, such as `target-leak`.
        severity: an `error` ends the training unless the recipe's `checks.allow` names it; a
            `warning` never does.
        evidence: what was found: numbers, columns, files and rows.
        remedy: what the reader can do about it.
        overridden: whether this is an error that the recipe allows.
        signals: names of the signals that it is about; empty if it is about no signal.
        about: `test` for a remark on the held-out part alone: it limits what the metrics show, and
            casts no doubt on data or model.
    """

    name: str
    severity: Literal["error", "warning"]
    evidence: str
    remedy: str
    overridden: bool = False
    signals: tuple[str, ...] = ()
    about: Literal["data", "test"] = "data"

    def __str__(self) -> str:
        """The finding as one line: name, evidence and remedy."""
        allowed = " (allowed by the recipe)" if self.overridden else ""
        allowed += " (test data)" if self.about == "test" else ""
        return f"{self.name}{allowed}: {self.evidence}; {self.remedy}"
