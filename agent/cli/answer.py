"""What one of the questions of `millhand-agent check` has shown."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Answer:
    """One line of the command's output.

    Attributes:
        kind: `ok`; `warn` for what works and will be regretted, or could not be tried; `FAIL` for
            what keeps the agent from working.
        text: what was found, and what to do about it.
    """

    kind: Literal["ok", "warn", "FAIL"]
    text: str
