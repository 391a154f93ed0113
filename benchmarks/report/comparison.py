"""Two agents side by side, that of another checkout ("before") and ours ("now"), figure by figure.

A figure is called worse or better where two things hold: it is so in every round against its
neighbour of the same round, and its median lies beyond all rounds of the other agent. Chance alone
brings that about for about one figure in a hundred at five rounds.
"""

from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from benchmarks.contenders.contender import BEFORE, MILLHAND
from benchmarks.experiments.suite import Measurement
from benchmarks.report.views import VIEWS, Column, Table, View, by_round, spread

MIN_ROUNDS = 3
"""With fewer rounds nothing is called worse or better."""

_HEADERS = ("experiment", "at", "QoS", "figure", "before", "now", "now / before", "")
_MORE_IS_BETTER = frozenset({"messages_rate", "sample_bytes_rate", "rate"})
_CONDITIONS = frozenset({"swaps", "usual_ms"})
"""Figures of the machine and of the benchmark, which are not compared."""


def compared(measurements: Sequence[Measurement]) -> Table:
    """Return the table of all figures that both agents have; without any it has no rows."""
    rows = [row for view in VIEWS for row in _rows(view, measurements)]
    return Table("Before and now", _HEADERS, tuple(rows))


def _rows(view: View, measurements: Sequence[Measurement]) -> Iterable[tuple[str, ...]]:
    found = [m for m in measurements if m.experiment == view.experiment]
    shown = [c for c in view.columns if not c.is_ratio and c.figure not in _CONDITIONS]
    for case, qos in dict.fromkeys((m.case, m.qos) for m in found):
        at_qos = [m for m in found if m.qos == qos]
        for column in shown:
            before = by_round(at_qos, (BEFORE, case), column.figure)
            now = by_round(at_qos, (MILLHAND, case), column.figure)
            if before and now:
                yield (view.experiment, case, str(qos), *_cells(column, before, now))


def _cells(
    column: Column, before: Mapping[int, float], now: Mapping[int, float]
) -> tuple[str, ...]:
    ratios = [now[number] / value for number, value in before.items() if value and number in now]
    values = (spread([value * column.scale for value in one.values()]) for one in (before, now))
    sign = 1 if column.figure in _MORE_IS_BETTER else -1
    return (column.header, *values, spread(ratios), verdict(before, now, sign))


def verdict(before: Mapping[int, float], now: Mapping[int, float], sign: int) -> str:
    """Return "worse", "better" or nothing.

    Args:
        before: figure of the other agent in each round.
        now: figure of this agent in each round.
        sign: 1 where more is better, -1 where less is.
    """
    pairs = [(sign * before[number], sign * now[number]) for number in before.keys() & now.keys()]
    if len(pairs) < MIN_ROUNDS:
        return ""
    olds, news = zip(*pairs, strict=True)
    if all(new < old for old, new in pairs) and median(news) < min(olds):
        return "worse"
    if all(new > old for old, new in pairs) and median(news) > max(olds):
        return "better"
    return ""
