"""The leaderboard: the best candidate of each family that a search has found."""

import math
from dataclasses import dataclass
from typing import Final, Literal

from trainer.estimators.candidate import Candidate

# Columns with measured times, which differ from run to run; reproducible reports leave them out.
TIMED: Final = frozenset({"fit s", "p50 µs", "p99 µs", "on the front"})


@dataclass(frozen=True, slots=True)
class Cost:
    """What serving a candidate costs, measured on its graph, fitted on the whole training part.

    Latencies differ from run to run, so they are shown on the terminal and not put into a bundle
    (ADR 17).

    Attributes:
        size_bytes: size of the ONNX graph, bytes.
        p50_us: time for one window on one thread, microseconds: the median over rounds of each
            round's median.
        p99_us: the same for each round's 99th percentile, microseconds.
        rounds_us: the median of each round, microseconds. All candidates of a search are timed in
            every round, so values at the same position can be compared.
        on_front: whether the candidate is on the Pareto front of metric, size and median latency:
            no other candidate is better in one of them and at least as good in the others.
    """

    size_bytes: int
    p50_us: float
    p99_us: float
    rounds_us: tuple[float, ...]
    on_front: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """One candidate on the leaderboard.

    Attributes:
        family: family of models, as in the recipe's `search.candidates`.
        features: name of the preset of features, see `trainer.estimators.candidate.presets`.
        mean: mean of the metric over the held-out folds.
        error: standard error of that mean; NaN with a single fold.
        seconds: seconds that the fits on all folds took together.
        candidate: the unfitted model.
        cost: what serving it costs; None if the recipe has no `search.prefer`.
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
        """The mean and its standard error, as text."""
        return f"{self.mean:.4g} ± {self.error:.2g}"

    def allowance(self, tolerance: float | None) -> float:
        """How much worse than this entry's metric another may be and still be as good.

        Without a tolerance it is one standard error (Breiman et al. 1984); 0 with a single fold.
        """
        if tolerance is not None:
            return tolerance
        return self.error if math.isfinite(self.error) else 0.0


@dataclass(frozen=True, slots=True)
class TriedLength:
    """A length of windows that was compared with others, on the same moments.

    Attributes:
        length: number of samples in a window.
        family: family of the candidate that the contest took for it.
        features: name of the features of that candidate.
        said: mean of the metric over the folds and its standard error, as text.
        taken: whether this length was chosen.
    """

    length: int
    family: str
    features: str
    said: str
    taken: bool

    def row(self) -> list[str]:
        """The length as a row of a table, see `Leaderboard.lengths_header`."""
        return [str(self.length), self.family, self.features, self.said, "yes" * self.taken]


@dataclass(frozen=True, slots=True)
class Leaderboard:
    """The result of a search.

    Attributes:
        metric: name of the metric that ranks the candidates.
        entries: the best candidate of each family, the preferred one first; where costs were
            measured, also the candidates of `smaller`.
        tried: number of candidates that were tried, those that were pruned included.
        notes: families and features that were left out, with the reason, and the rule of choice.
        smaller: for some families the smallest candidate that is about as good as the best of
            all, if that is not the family's best.
        lengths: the lengths of windows that were compared before; empty where there was one.
        origin: `search`, or `default` for the contest that decides on the default.
    """

    metric: str
    entries: tuple[Entry, ...]
    tried: int
    notes: tuple[str, ...]
    smaller: tuple[Entry, ...] = ()
    origin: Literal["search", "default"] = "search"
    lengths: tuple[TriedLength, ...] = ()

    def rows(self) -> list[list[str]]:
        """The entries as a table: family, features, metric, seconds and costs, as text."""
        return [
            [one.family, one.features, one.said, f"{one.seconds:.1f}", *_costs(one.cost)]
            for one in self.entries
        ]

    def header(self, metric: str) -> list[str]:
        """Headers for the columns of `rows`; `metric` is the header of the metric's column."""
        is_measured = any(one.cost is not None for one in self.entries)
        costs = ["kB", "p50 µs", "p99 µs", "on the front"] if is_measured else []
        return ["family", "features", metric, "fit s", *costs]

    def lengths_header(self) -> list[str]:
        """Headers for the columns of `TriedLength.row`."""
        return ["window length", "family", "features", self.metric, "taken"]


def _costs(cost: Cost | None) -> list[str]:
    if cost is None:
        return []
    return [
        f"{cost.size_bytes / 1000:.1f}",
        f"{cost.p50_us:.0f}",
        f"{cost.p99_us:.0f}",
        "yes" if cost.on_front else "",
    ]
