"""The leaderboard: the best that a search has found of each family."""

import math
from dataclasses import dataclass
from typing import Final

from trainer.estimators.candidate import Candidate

TIMED: Final = frozenset({"fit s", "p50 µs", "p99 µs", "on the front"})
"""Columns of the leaderboard that come from a stopwatch, and are never the same twice."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a candidate costs as a graph, fitted on the whole training part.

    Latencies are a stopwatch's, and never the same twice: they have no place in a bundle.

    Attributes:
        size_bytes: of the graph.
        p50_us: that one window takes on one thread, the median over rounds of each round's median.
        p99_us: likewise, of each round's 99th percentile.
        rounds_us: the median of each round; those of one number were taken right after each other.
        on_front: whether no other candidate is as good in mean, bytes and median latency, and
            better in one of them.
    """

    size_bytes: int
    p50_us: float
    p99_us: float
    rounds_us: tuple[float, ...]
    on_front: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """The best of one family.

    Attributes:
        features: the preset.
        mean: the metric, as the mean of the held-out folds.
        error: standard error of that mean, from the differences of the folds.
        seconds: that its fits took, all folds together.
        candidate: how to make it.
        cost: as a graph, if that was asked for.
    """

    family: str
    features: str
    mean: float
    error: float
    seconds: float
    candidate: Candidate
    cost: Cost | None = None

    @property
    def said(self) -> str:
        """The mean and its standard error."""
        return f"{self.mean:.4g} ± {self.error:.2g}"

    def allowance(self, tolerance: float | None) -> float:
        """How much worse is as good: the tolerance, or the standard error; 0 of a single fold."""
        if tolerance is not None:
            return tolerance
        return self.error if math.isfinite(self.error) else 0.0


@dataclass(frozen=True, slots=True)
class Leaderboard:
    """What came of a search.

    Attributes:
        metric: that it is about.
        entries: the best of each family, the one to be taken first; where costs were asked for, the
            `smaller` ones among them.
        tried: candidates, those given up early included.
        notes: what was left out, and why.
        smaller: of some families the smallest that is about as good as the best of all.
    """

    metric: str
    entries: tuple[Entry, ...]
    tried: int
    notes: tuple[str, ...]
    smaller: tuple[Entry, ...] = ()

    def rows(self) -> list[list[str]]:
        """As a table: family, features, mean, seconds, and what it costs."""
        return [
            [one.family, one.features, one.said, f"{one.seconds:.1f}", *_costs(one.cost)]
            for one in self.entries
        ]

    def header(self, metric: str) -> list[str]:
        """What the columns of `rows` are."""
        is_measured = any(one.cost is not None for one in self.entries)
        costs = ["kB", "p50 µs", "p99 µs", "on the front"] if is_measured else []
        return ["family", "features", metric, "fit s", *costs]


def _costs(cost: Cost | None) -> list[str]:
    if cost is None:
        return []
    return [
        f"{cost.size_bytes / 1000:.1f}",
        f"{cost.p50_us:.0f}",
        f"{cost.p99_us:.0f}",
        "yes" if cost.on_front else "",
    ]
