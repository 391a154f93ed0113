"""The board: a table of all pumps, the latest events and the counts.

`render` makes a picture of the current state, for a terminal or for an SVG file. Where there is no
terminal, `line` gives the state in one line.
"""

import io
import math
import re
from collections import Counter, deque
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from demo.plant.simulation import ASSETS, HEALTHY, Reading
from demo.promises.ledger import Answer, Ledger

MAX_EVENTS = 7
PICTURE_WIDTH = 130


@dataclass(frozen=True, slots=True)
class _Column:
    """A column: its two lines of header, its width, and its rank: low ranks are shown first."""

    header: str
    below: str
    width: int
    rank: int
    justify: Literal["left", "right"] = "right"


_COLUMNS = (
    _Column("pump", "", 13, 0, "left"),
    _Column("flow", "m3/h", 6, 6),
    _Column("pressure", "bar", 8, 8),
    _Column("current", "A", 7, 10),
    _Column("bearing", "degC", 7, 9),
    _Column("vibration", "mm/s", 9, 5),
    _Column("plant", "truly", 12, 7, "left"),
    _Column("model", "predicts", 12, 1, "left"),
    _Column("score", "", 5, 11),
    _Column("quality", "", 9, 2),
    _Column("version", "", 7, 3),
    _Column("latency", "ms", 7, 4),
)
_SIGNALS = {
    "flow": "flow",
    "pressure": "pressure",
    "current": "current",
    "bearing": "bearing_temperature",
    "vibration": "vibration",
}
_QUALITY_STYLES = {"GOOD": "green", "UNCERTAIN": "yellow", "BAD": "bold red"}


class Board:
    """The content of the table.

    Args:
        title: line above the table.
        ledger: ledger whose counts are shown below the table.

    Attributes:
        pinned: line that stays below the counts; empty: none.
    """

    def __init__(self, title: str, ledger: Ledger) -> None:
        self._title = title
        self._ledger = ledger
        self.pinned = ""
        self._readings: dict[str, Reading] = {}
        self._answers: dict[str, Answer] = {}
        self._versions: list[str] = []  # in the order in which they came
        self._events: deque[tuple[float, str]] = deque(maxlen=MAX_EVENTS)

    def sensed(self, reading: Reading) -> None:
        """Show a reading as the newest of its pump."""
        self._readings[reading.asset] = reading

    def predicted(self, answer: Answer) -> None:
        """Show a prediction as the newest of its pump."""
        self._answers[answer.asset] = answer
        if answer.version not in self._versions:
            self._versions.append(answer.version)

    def happened(self, elapsed_s: float, event: str) -> None:
        """Show an event below the table, where the newest few stay."""
        self._events.append((elapsed_s, event))

    @property
    def variety(self) -> int:
        """How much the table shows: the number of different labels and qualities.

        A table in which all pumps have the newest version counts more than any before it.
        """
        answers = self._answers.values()
        latest = self._versions[-1:] if len(self._versions) > 1 else []
        is_swapped = bool(self.pinned) and all([answer.version] == latest for answer in answers)
        shown = {answer.label for answer in answers} | {answer.quality for answer in answers}
        silent = any(
            math.isnan(value)
            for reading in self._readings.values()
            for value in reading.signals.values()
        )
        return len(shown) + silent + (100 if is_swapped else 0)

    def line(self) -> str:
        """Return the current state in one line."""
        labels = Counter(answer.label for answer in self._answers.values())
        versions = sorted({answer.version for answer in self._answers.values()})
        return (
            f"{self._counts()}; {', '.join(f'{n} {label}' for label, n in sorted(labels.items()))}"
            f"; model {', '.join(versions) or 'none yet'}"
        )

    def render(self, width: int = PICTURE_WIDTH) -> RenderableType:
        """Return a picture of the current state, with the columns that fit into a width."""
        columns = _fitting(width - 4)
        table = Table(expand=True, pad_edge=False, box=None, header_style="bold")
        for column in columns:
            header = f"{column.header}\n[dim]{column.below}[/dim]"
            table.add_column(header, justify=column.justify, min_width=column.width, no_wrap=True)
        for asset in ASSETS:
            cells = self._cells(asset)
            table.add_row(*(cells.get(column.header, "") for column in columns))
        events = Text("\n").join(
            Text(f"{elapsed_s:6.1f} s  {event}") for elapsed_s, event in self._events
        )
        counts = Text("\n").join(Text(line, "bold") for line in (self._counts(), self.pinned))
        return Panel(
            Group(table, "", events, "", counts),
            title=self._title,
            border_style="blue",
            width=min(width, PICTURE_WIDTH),
        )

    def _cells(self, asset: str) -> dict[str, Text]:
        cells = {"pump": Text(asset)}
        reading, answer = self._readings.get(asset), self._answers.get(asset)
        if reading:
            cells |= {name: _value(reading.signals[key]) for name, key in _SIGNALS.items()}
            cells["plant"] = _condition(reading.condition)
        if answer:
            cells |= {
                "model": _condition(answer.label),
                "score": Text("" if answer.score is None else f"{answer.score:.2f}"),
                "quality": Text(answer.quality, _QUALITY_STYLES.get(answer.quality, "")),
                "version": Text(answer.version),
                "latency": Text(f"{answer.latency_ms:.2f}"),
            }
        return cells

    def _counts(self) -> str:
        ledger = self._ledger
        return (
            f"{ledger.sent} sent, {ledger.answered} predictions, {ledger.lost} lost, "
            f"{ledger.repeated} repeated, {ledger.broken['reordered']} out of order"
        )


def export_svg(picture: RenderableType, path: Path) -> None:
    """Write a picture as SVG that loads nothing from the network."""
    console = Console(record=True, width=PICTURE_WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(picture)
    drawn = console.export_svg(title="make demo", unique_id="demo")
    # rich refers to fonts on the web; without them a viewer takes its own monospace font.
    path.write_text(re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL), encoding="utf-8")


def _fitting(width: int) -> list[_Column]:
    """Return the columns of the lowest ranks that fit beside each other, in their order."""
    chosen: set[str] = set()
    for column in sorted(_COLUMNS, key=lambda column: column.rank):
        width -= column.width + 2
        if width < 0:
            break
        chosen.add(column.header)
    return [column for column in _COLUMNS if column.header in chosen]


def _value(value: float) -> Text:
    return Text(f"{value:.1f}") if math.isfinite(value) else Text("silent", "bold red")


def _condition(condition: str) -> Text:
    words = condition.replace("_", " ")
    return Text(words, "green" if condition == HEALTHY else "bold yellow")
