"""The trade-off between the metric and the costs: the best candidates are exported and measured.

A search ranks candidates by one metric, so that poor ones can be pruned early. In the end, of each
family the best candidate, and the smallest that is about as good as the best of all, are fitted on
the whole training part, exported and measured (ADR 17). The test part is not used.

Latency is noisy. All graphs are timed one after the other, round by round, so that whatever slows
the machine slows all of them. A graph counts as slower than another only if it was slower in every
round.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from models.bundle.manifest import Output
from trainer.console import Console
from trainer.dataset.targets import Truth
from trainer.dataset.windows import Windowed
from trainer.errors import ParityError
from trainer.estimators.candidate import Candidate
from trainer.estimators.crossval import LOSSES, fitted_quietly
from trainer.estimators.fitting import TWO, Model, positive_class
from trainer.graph.export import Graph, export
from trainer.recipe.document import Recipe
from trainer.recipe.search_section import Search
from trainer.search.leaderboard import Cost, Entry, Leaderboard

ROUNDS = 7
_RUNS = 50
_WINDOWS = 50


@dataclass(frozen=True, slots=True)
class _Exported:
    """A candidate as a graph."""

    entry: Entry
    size_bytes: int
    graph: Graph


def with_costs(
    leaderboard: Leaderboard, train: Windowed, truth: Truth, recipe: Recipe, console: Console
) -> Leaderboard:
    """Measure the costs of the candidates on a leaderboard, and put first what the recipe prefers.

    Args:
        leaderboard: the result of the search.
        train: windows of the training part.
        truth: target values of the recording's rows.
        recipe: the recipe; `search.prefer` and `search.tolerance` decide the order.
        console: shows the progress.

    Returns:
        A leaderboard whose entries have costs: first those that are as good as the best, in order
        of preference, then the others by their metric. Candidates that cannot be exported are
        left out. Without `search.prefer` it is the leaderboard that was given.
    """
    wanted = recipe.search
    if wanted is None or wanted.prefer is None:
        return leaderboard
    said: list[str] = []
    written: list[_Exported] = []
    candidates = (*leaderboard.entries, *leaderboard.smaller)
    with console.stage("measuring", total=len(candidates)) as advance:
        for entry in candidates:
            try:
                content = _content(entry.candidate, train, truth, recipe)
            except ParityError as exc:
                said.append(f"search: {entry.family} is left out: {exc}")
            else:
                written.append(_Exported(entry, len(content), Graph(content)))
            advance(1)
        entries = _on_front(_measured(written, train), leaderboard.metric)
    notes = (*leaderboard.notes, *said)
    if not entries:
        return replace(leaderboard, entries=(), notes=notes)
    ordered, rule = in_order(entries, leaderboard.metric, wanted)
    return replace(leaderboard, entries=tuple(ordered), notes=(*notes, rule))


def _content(candidate: Candidate, train: Windowed, truth: Truth, recipe: Recipe) -> bytes:
    """The graph of a candidate, with 0.5 as the threshold of two classes: it costs the same."""
    y, task = truth.y[train.rows], recipe.target.task
    with threadpool_limits(limits=1):  # as in the final fit, so that sums round the same way
        features = clone(candidate.features).fit(train.values)
        fitted = fitted_quietly(clone(candidate.steps), features.transform(train.values), y)
    threshold = 0.5 if len(truth.classes) == TWO else None
    outputs = (
        Output(
            name="value",
            dtype="int64" if truth.classes else "float32",
            meaning="",
            classes=truth.classes,
        ),
        Output(name="score", dtype="float32", meaning="", threshold=threshold),
    )
    pipeline = Pipeline([("features", features), *fitted.steps])
    model = Model(task, pipeline, outputs, positive_class(truth, recipe))
    return export(model, train.values.shape[1:], recipe.bundle.stream, 1)


def _measured(written: Sequence[_Exported], train: Windowed) -> list[Entry]:
    """Every candidate with its measured costs."""
    spread = np.linspace(0, len(train) - 1, min(len(train), _WINDOWS)).astype(np.int64)
    windows = train.take(spread).values
    taken = np.array(
        [[one.graph.durations_ms(windows, _RUNS) for one in written] for _ in range(ROUNDS)]
    )
    return [
        replace(one.entry, cost=_cost(one.size_bytes, taken[:, index] * 1000))
        for index, one in enumerate(written)
    ]


def _cost(size_bytes: int, taken_us: NDArray[np.float64]) -> Cost:
    """The costs of one candidate from its times, microseconds, `[rounds, runs]`."""
    p50, p99 = np.quantile(taken_us, [0.5, 0.99], axis=1)
    return Cost(size_bytes, float(np.median(p50)), float(np.median(p99)), tuple(p50.tolist()))


def _on_front(entries: Sequence[Entry], metric: str) -> list[Entry]:
    """Entries that say whether they are on the Pareto front of metric, size and latency."""
    table = np.array([[_loss(e, metric), _of(e).size_bytes, _of(e).p50_us] for e in entries])
    return [
        replace(
            entry,
            cost=replace(
                _of(entry),
                on_front=not ((table <= mine).all(axis=1) & (table < mine).any(axis=1)).any(),
            ),
        )
        for entry, mine in zip(entries, table, strict=True)
    ]


def in_order(entries: Sequence[Entry], metric: str, wanted: Search) -> tuple[list[Entry], str]:
    """Sort entries by the recipe's preference.

    Args:
        entries: candidates with their costs, at least one.
        metric: name of the metric of their means.
        wanted: the recipe's `[search]`.

    Returns:
        The entries, the one to take first, and a sentence about the choice. It contains no times,
        so that the bundle's notes are reproducible.
    """
    by_loss = sorted(entries, key=lambda entry: _loss(entry, metric))
    best = by_loss[0]
    allowance = 0.0 if wanted.prefer == "best" else best.allowance(wanted.tolerance)
    near = [e for e in by_loss if _loss(e, metric) <= _loss(best, metric) + allowance]
    others = by_loss[len(near) :]
    if wanted.prefer == "best":
        return by_loss, f"search: {len(entries)} candidates were measured; the best is taken"
    unit = "one standard error" if wanted.tolerance is None else "search.tolerance"
    said = (
        f"search: {len(near)} of {len(entries)} measured candidates are within "
        f"{allowance:.3g} ({unit}) of the best {metric}, {best.mean:.4g}; the "
    )
    if wanted.prefer == "small":
        near.sort(key=lambda entry: _of(entry).size_bytes)
        return [*near, *others], said + "smallest graph of these is taken"
    return [*_fastest_first(near), *others], (
        said + "fastest graph of these is taken, or the best that was not slower in each of "
        f"{ROUNDS} rounds"
    )


def _fastest_first(near: Sequence[Entry]) -> list[Entry]:
    """Sort by latency, but those that are not clearly slower than the fastest come first.

    Args:
        near: candidates, the best metric first; this order is kept among those that come first.
    """
    by_time = sorted(near, key=lambda entry: _of(entry).p50_us)
    fastest = np.array(_of(by_time[0]).rounds_us)
    slower = {id(e) for e in by_time if (np.array(_of(e).rounds_us) > fastest).all()}
    return [
        *(entry for entry in near if id(entry) not in slower),
        *(entry for entry in by_time if id(entry) in slower),
    ]


def _loss(entry: Entry, metric: str) -> float:
    return entry.mean if metric in LOSSES else -entry.mean


def _of(entry: Entry) -> Cost:
    if entry.cost is None:
        raise AssertionError("the entry was not measured")
    return entry.cost
