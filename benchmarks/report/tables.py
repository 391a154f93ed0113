"""Measurements become tables: medians, their spread, and ratios within the run.

A ratio is taken between neighbours, two contenders in the same round, and the median of those is
shown: whatever else the machine does then hits both sides alike.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from benchmarks.contenders.contender import LIMIT, PLAIN
from benchmarks.contenders.peers import MQTTJS, NODE_RED
from benchmarks.experiments.cases import BACKLOG, FEW_TOPICS, SWAP_RATE
from benchmarks.experiments.suite import Measurement
from benchmarks.report.plot import plot


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
    """One figure of an experiment, or its ratio to that of another contender or another case."""

    header: str
    figure: str
    scale: float = 1.0
    contender: str = ""
    case: str = ""

    @property
    def is_ratio(self) -> bool:
        """Whether it is relative to something."""
        return bool(self.contender or self.case)


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
            _Column("messages/s", "messages_rate"),
            _Column("x limit", "messages_rate", contender=LIMIT),
            _Column("x plain", "messages_rate", contender=PLAIN),
            _Column("x mqtt.js", "messages_rate", contender=MQTTJS),
            _Column("x Node-RED", "messages_rate", contender=NODE_RED),
            _Column("unanswered", "unanswered"),
            _Column("CPU s a million", "cpu_s_per_million"),
        ),
    ),
    _View(
        "latency",
        "Latency at a fixed rate",
        (
            _Column("p50 ms", "p50_us", 1e-3),
            _Column("x limit", "p50_us", contender=LIMIT),
            _Column("p99 ms", "p99_us", 1e-3),
            _Column("x limit", "p99_us", contender=LIMIT),
            _Column("p99.9 ms", "p999_us", 1e-3),
            _Column("answers/s", "rate"),
        ),
    ),
    _View(
        "topics",
        "One topic a signal, windows of 60",
        (
            _Column("messages/s in", "messages_rate"),
            _Column("x limit", "messages_rate", contender=LIMIT),
            _Column("unanswered", "unanswered"),
            _Column("CPU s a million", "cpu_s_per_million"),
            _Column(f"x {FEW_TOPICS}", "cpu_s_per_million", case=FEW_TOPICS),
            _Column("PSS MB", "pss_bytes", 1e-6),
        ),
    ),
    _View(
        "blocks",
        "Raw blocks of three axes, float32",
        (
            _Column("messages/s", "messages_rate"),
            _Column("MB/s of samples", "sample_bytes_rate", 1e-6),
            _Column("x limit", "messages_rate", contender=LIMIT),
            _Column("unanswered", "unanswered"),
            _Column("CPU s a million", "cpu_s_per_million"),
            _Column("PSS MB", "pss_bytes", 1e-6),
        ),
    ),
    _View(
        "memory",
        "Memory at full load",
        (_Column("PSS MB", "pss_bytes", 1e-6), _Column("RSS MB", "rss_bytes", 1e-6)),
    ),
    _View("start", "From start to first answer, offline", (_Column("s", "first_answer_s"),)),
    _View(
        "backlog",
        f"Started with {BACKLOG:,} messages waiting",
        (
            _Column("first answer s", "first_answer_s"),
            _Column("last answer s", "last_answer_s"),
            _Column("unanswered", "unanswered"),
            _Column("repeated", "repeated"),
        ),
    ),
    _View(
        "swap",
        f"Models swapped under {SWAP_RATE:,} messages a second",
        (
            _Column("swaps a round", "swaps"),
            _Column("gap ms", "gap_ms"),
            _Column("worst gap ms", "worst_gap_ms"),
            _Column("usual pause ms", "usual_ms"),
            _Column("push to answer s", "swap_s"),
            _Column("unanswered", "unanswered"),
        ),
    ),
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
        found = {"machine": self._machine, "measurements": self._taken()}
        return json.dumps(found, indent=1) + "\n"

    def svg(self) -> str:
        """Return the picture."""
        return plot(self._taken())

    def markdown(self) -> str:
        """Return the tables and the machine line."""
        tables = [table.markdown() for table in self.tables()]
        return "\n\n".join([*tables, f"Machine: {self._machine}."]) + "\n"

    def tables(self) -> list[Table]:
        """Return one table an experiment that was run; a cell is the median (least-most)."""
        tables = [self._table(view) for view in _VIEWS]
        return [table for table in tables if table.rows]

    def _taken(self) -> list[dict[str, Any]]:
        return [asdict(measurement) for measurement in self._measurements]

    def _table(self, view: _View) -> Table:
        found = [m for m in self._measurements if m.experiment == view.experiment]
        lines = dict.fromkeys((m.case, m.qos, m.contender) for m in found)  # as first measured
        columns = [column for column in view.columns if _is_measured(column, found)]
        is_split = any(case for case, _, _ in lines)
        rows = []
        for case, qos, contender in lines:
            told = (contender, case, str(qos)) if is_split else (contender, str(qos))
            at_qos = [m for m in found if m.qos == qos]
            cells = (_cell(at_qos, (contender, case), column) for column in columns)
            rows.append((*told, *cells))
        told = ("contender", "at", "QoS") if is_split else ("contender", "QoS")
        headers = (*told, *(column.header for column in columns))
        return Table(view.title, headers, tuple(rows))


def _is_measured(column: _Column, found: Sequence[Measurement]) -> bool:
    """Whether there is what the column is relative to."""
    return any(column.contender in ("", m.contender) and column.case in ("", m.case) for m in found)


def _cell(found: Sequence[Measurement], line: tuple[str, str], column: _Column) -> str:
    """Return one cell of the line of a contender in a case."""
    values = _by_round(found, line, column.figure)
    if column.is_ratio:
        base_line = (column.contender or line[0], column.case or line[1])
        if base_line == line:
            return ""
        base = _by_round(found, base_line, column.figure)
        values = {
            number: value / base[number] for number, value in values.items() if base.get(number)
        }
    return _spread([value * column.scale for value in values.values()])


def _by_round(found: Sequence[Measurement], line: tuple[str, str], figure: str) -> dict[int, float]:
    return {m.round: m.figures[figure] for m in found if (m.contender, m.case) == line}


def _spread(values: Collection[float]) -> str:
    if not values:
        return ""
    middle, least, most = (_short(pick(values)) for pick in (median, min, max))
    return middle if least == most else f"{middle} ({least}-{most})"


def _short(value: float) -> str:
    """Return three significant digits, or all of a larger number."""
    return f"{value:,.0f}" if value >= 100 or value == 0 else f"{value:.3g}"  # noqa: PLR2004  three digits
