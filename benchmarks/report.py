"""Measurements become tables: medians, their spread, and ratios within the run.

A ratio is taken between neighbours, two contenders in the same round, and the median of those is
shown: whatever else the machine does then hits both sides alike.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from statistics import median

from benchmarks.contenders import LIMIT, PLAIN
from benchmarks.suite import FIXED_RATE, Measurement


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under one headline."""

    title: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """Return the table as Markdown."""
        rule = ("---",) + ("---:",) * (len(self.headers) - 1)
        lines = (f"| {' | '.join(row)} |" for row in (self.headers, rule, *self.rows))
        return "\n".join([f"**{self.title}**", "", *lines])


@dataclass(frozen=True, slots=True)
class _Column:
    """One figure of an experiment, or its ratio to that of another contender."""

    header: str
    figure: str
    scale: float = 1.0
    relative_to: str | None = None


@dataclass(frozen=True, slots=True)
class _View:
    """What is shown of one experiment."""

    experiment: str
    title: str
    columns: tuple[_Column, ...]


_VIEWS = (
    _View(
        "throughput",
        "Throughput, as fast as answers come",
        (
            _Column("messages/s", "rate"),
            _Column("x limit", "rate", relative_to=LIMIT),
            _Column("x plain", "rate", relative_to=PLAIN),
            _Column("unanswered", "unanswered"),
        ),
    ),
    _View(
        "latency",
        f"Latency at {FIXED_RATE:,} messages a second",
        (
            _Column("p50 ms", "p50_us", 1e-3),
            _Column("x limit", "p50_us", relative_to=LIMIT),
            _Column("p99 ms", "p99_us", 1e-3),
            _Column("x limit", "p99_us", relative_to=LIMIT),
            _Column("p99.9 ms", "p999_us", 1e-3),
            _Column("answers/s", "rate"),
        ),
    ),
    _View("memory", "Memory at full load", (_Column("PSS MB", "pss_bytes", 1e-6),)),
    _View("start", "From start to first answer, offline", (_Column("s", "first_answer_s"),)),
)


class Report:
    """All measurements of one run.

    Args:
        machine: the machine line.
        measurements: in the order they were taken.
    """

    def __init__(self, machine: str, measurements: Sequence[Measurement]) -> None:
        self._machine = machine
        self._measurements = measurements

    def json(self) -> str:
        """Return everything measured, one object a step."""
        taken = [asdict(measurement) for measurement in self._measurements]
        return json.dumps({"machine": self._machine, "measurements": taken}, indent=1) + "\n"

    def markdown(self) -> str:
        """Return the tables and the machine line."""
        tables = [table.markdown() for table in self.tables()]
        return "\n\n".join([*tables, f"Machine: {self._machine}."]) + "\n"

    def tables(self) -> list[Table]:
        """Return one table an experiment that was run; a cell is the median (least-most)."""
        tables = [self._table(view) for view in _VIEWS]
        return [table for table in tables if table.rows]

    def _table(self, view: _View) -> Table:
        found = [m for m in self._measurements if m.experiment == view.experiment]
        lines = dict.fromkeys((m.qos, m.contender) for m in found)  # as first measured, each once
        rows = []
        for qos, contender in lines:
            at_qos = [m for m in found if m.qos == qos]
            cells = (_cell(at_qos, contender, column) for column in view.columns)
            rows.append((contender, str(qos), *cells))
        headers = ("contender", "QoS", *(column.header for column in view.columns))
        return Table(view.title, headers, tuple(rows))


def _cell(found: Sequence[Measurement], contender: str, column: _Column) -> str:
    values = _by_round(found, contender, column.figure)
    if column.relative_to == contender:
        return ""
    if column.relative_to:
        base = _by_round(found, column.relative_to, column.figure)
        values = {number: value / base[number] for number, value in values.items() if base[number]}
    return _spread([value * column.scale for value in values.values()])


def _by_round(found: Sequence[Measurement], contender: str, figure: str) -> dict[int, float]:
    return {m.round: m.figures[figure] for m in found if m.contender == contender}


def _spread(values: Collection[float]) -> str:
    if not values:
        return ""
    middle, least, most = (_short(pick(values)) for pick in (median, min, max))
    return middle if least == most else f"{middle} ({least}-{most})"


def _short(value: float) -> str:
    """Return three significant digits, or all of a larger number."""
    return f"{value:,.0f}" if value >= 100 or value == 0 else f"{value:.3g}"  # noqa: PLR2004  three digits
