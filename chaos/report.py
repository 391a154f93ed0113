"""What `make chaos` tells: the table of faults, the fuzz and the soak; JSON and Markdown."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from chaos.fuzz import Fuzzed
from chaos.soak import Soaked
from chaos.trial import Row

HEADERS = (
    "fault",
    "stream",
    "trials",
    "predictions",
    "lost",
    "counted",
    "phantom",
    "repeated",
    "out of order",
    "broker's",
    "p50 s",
    "max s",
    "",
)


@dataclass
class Report:
    """Everything of one run.

    Attributes:
        machine: what it ran on.
        rows: of the faults.
        fuzzed: None where it was not asked for.
        soaked: None where it was not asked for.
    """

    machine: str
    rows: list[Row] = field(default_factory=list)
    fuzzed: Fuzzed | None = None
    soaked: Soaked | None = None

    @property
    def is_good(self) -> bool:
        """Whether every promise was kept."""
        parts = [*self.rows, self.fuzzed, self.soaked]
        return all(part.is_good for part in parts if part is not None)

    @property
    def remarks(self) -> list[str]:
        """One line for everything that a table cannot hold."""
        rows = {(row.fault, what): None for row in self.rows for what in row.wrong}
        lines = [f"{fault}: {what}" for fault, what in rows]
        return lines + [part.line for part in (self.fuzzed, self.soaked) if part is not None]

    def json(self) -> str:
        """Everything measured."""
        document = {
            "machine": self.machine,
            "faults": [row.document() for row in self.rows],
            "fuzz": asdict(self.fuzzed) if self.fuzzed else None,
            "soak": asdict(self.soaked) if self.soaked else None,
        }
        return json.dumps(document, indent=1) + "\n"

    def markdown(self) -> str:
        """The table, the remarks and the machine line."""
        lines = [_line(HEADERS), _line(("---",) * 2 + ("---:",) * 10 + ("---",))]
        lines += [_line(row.cells()) for row in self.rows]
        parts = ["\n".join(lines)] if self.rows else []
        parts += self.remarks
        return "\n\n".join([*parts, f"Machine: {self.machine}."]) + "\n"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
