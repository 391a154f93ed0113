"""The report of `make chaos` on faults, fuzz and soak, as JSON and as Markdown."""

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
    """The results of one run.

    Attributes:
        machine: the line about the machine and the versions.
        rows: rows of the table, one for each fault and stream.
        fuzzed: result of the fuzz, None where it was not run.
        soaked: result of the soak, None where it was not run.
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
        """The lines below the table: what went wrong, the fuzz and the soak."""
        rows = {(row.fault, what): None for row in self.rows for what in row.wrong}
        lines = [f"{fault}: {what}" for fault, what in rows]
        return lines + [part.line for part in (self.fuzzed, self.soaked) if part is not None]

    def json(self) -> str:
        """All results as JSON."""
        document = {
            "machine": self.machine,
            "faults": [row.document() for row in self.rows],
            "fuzz": asdict(self.fuzzed) if self.fuzzed else None,
            "soak": asdict(self.soaked) if self.soaked else None,
        }
        return json.dumps(document, indent=1) + "\n"

    def markdown(self) -> str:
        """The table, the lines below it, and the line about the machine."""
        lines = [_line(HEADERS), _line(("---",) * 2 + ("---:",) * 10 + ("---",))]
        lines += [_line(row.cells()) for row in self.rows]
        parts = ["\n".join(lines)] if self.rows else []
        parts += self.remarks
        return "\n\n".join([*parts, f"Machine: {self.machine}."]) + "\n"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
