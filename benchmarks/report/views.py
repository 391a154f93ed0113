"""What is shown of each experiment: its figures, and the columns of its table."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.contenders.contender import LIMIT, PLAIN
from benchmarks.contenders.peers import MQTTJS, NODE_RED
from benchmarks.experiments.cases import BACKLOG, FEW_TOPICS, SWAP_RATE
from benchmarks.experiments.suite import Measurement


@dataclass(frozen=True, slots=True)
class Column:
    """One figure of an experiment, or its ratio to that of another contender or another case.

    Attributes:
        header: headline of the column.
        figure: name of the figure in the measurements.
        scale: factor from the figure to the unit of the headline.
        contender: name of the contender to which the ratio is taken; empty: none.
        case: name of the case to which the ratio is taken; empty: none.
    """

    header: str
    figure: str
    scale: float = 1.0
    contender: str = ""
    case: str = ""

    @property
    def is_ratio(self) -> bool:
        """Whether the column shows a ratio."""
        return bool(self.contender or self.case)


@dataclass(frozen=True, slots=True)
class View:
    """The table of one experiment."""

    experiment: str
    title: str
    columns: tuple[Column, ...]


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


VIEWS = (
    View(
        "throughput",
        "Throughput, as fast as answers come",
        (
            Column("messages/s", "messages_rate"),
            Column("x limit", "messages_rate", contender=LIMIT),
            Column("x plain", "messages_rate", contender=PLAIN),
            Column("x mqtt.js", "messages_rate", contender=MQTTJS),
            Column("x Node-RED", "messages_rate", contender=NODE_RED),
            Column("unanswered", "unanswered"),
            Column("CPU s a million", "cpu_s_per_million"),
        ),
    ),
    View(
        "latency",
        "Latency at a fixed rate",
        (
            Column("p50 ms", "p50_us", 1e-3),
            Column("x limit", "p50_us", contender=LIMIT),
            Column("p99 ms", "p99_us", 1e-3),
            Column("x limit", "p99_us", contender=LIMIT),
            Column("p99.9 ms", "p999_us", 1e-3),
            Column("answers/s", "rate"),
        ),
    ),
    View(
        "topics",
        "One topic a signal, windows of 60",
        (
            Column("messages/s in", "messages_rate"),
            Column("x limit", "messages_rate", contender=LIMIT),
            Column("unanswered", "unanswered"),
            Column("CPU s a million", "cpu_s_per_million"),
            Column(f"x {FEW_TOPICS}", "cpu_s_per_million", case=FEW_TOPICS),
            Column("PSS MB", "pss_bytes", 1e-6),
        ),
    ),
    View(
        "blocks",
        "Raw blocks of three axes, float32",
        (
            Column("messages/s", "messages_rate"),
            Column("MB/s of samples", "sample_bytes_rate", 1e-6),
            Column("x limit", "messages_rate", contender=LIMIT),
            Column("unanswered", "unanswered"),
            Column("CPU s a million", "cpu_s_per_million"),
            Column("PSS MB", "pss_bytes", 1e-6),
        ),
    ),
    View(
        "memory",
        "Memory at full load",
        (Column("PSS MB", "pss_bytes", 1e-6), Column("RSS MB", "rss_bytes", 1e-6)),
    ),
    View("start", "From start to first answer, offline", (Column("s", "first_answer_s"),)),
    View(
        "backlog",
        f"Started with {BACKLOG:,} messages waiting",
        (
            Column("first answer s", "first_answer_s"),
            Column("last answer s", "last_answer_s"),
            Column("unanswered", "unanswered"),
            Column("repeated", "repeated"),
        ),
    ),
    View(
        "swap",
        f"Models swapped under {SWAP_RATE:,} messages a second",
        (
            Column("swaps a round", "swaps"),
            Column("gap ms", "gap_ms"),
            Column("worst gap ms", "worst_gap_ms"),
            Column("usual pause ms", "usual_ms"),
            Column("push to answer s", "swap_s"),
            Column("unanswered", "unanswered"),
        ),
    ),
)


def by_round(found: Sequence[Measurement], line: tuple[str, str], figure: str) -> dict[int, float]:
    """Return a figure of one line, a contender in a case, in each round."""
    return {m.round: m.figures[figure] for m in found if (m.contender, m.case) == line}


def spread(values: Collection[float]) -> str:
    """Return the median with the least and the most, or only the median where all are the same."""
    if not values:
        return ""
    middle, least, most = (_short(pick(values)) for pick in (median, min, max))
    return middle if least == most else f"{middle} ({least}-{most})"


def _short(value: float) -> str:
    """Return three significant digits, or all of a larger number."""
    return f"{value:,.0f}" if value >= 100 or value == 0 else f"{value:.3g}"  # noqa: PLR2004  three digits
