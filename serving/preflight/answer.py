"""What one of the questions of `check` has shown, as `millhand-agent` and others print it."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Answer:
    """One line of the command's output.

    Attributes:
        kind: `ok`; `warn` for what works and will be regretted, or could not be tried; `FAIL` for
            what keeps the program from working.
        text: what was found, and what to do about it.
    """

    kind: Literal["ok", "warn", "FAIL"]
    text: str
