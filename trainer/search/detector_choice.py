"""The search over detectors, by labelled faults of the training part.

A detector learns from normal windows only, so the windows of the training part that are labelled as
faults are held out from every fit. The limit of each detector is calibrated on held-out blocks of
normal windows, so that all have the same share of false alarms there, `target.false_alarms`; what
is compared is the share of abnormal windows above the limit. Windows of one fault are alike: the
share is taken of each fault, and a detector yields to a simpler one unless it is ahead by more than
one standard error over the faults.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from trainer.console import Console
from trainer.dataset.runs import run_numbers
from trainer.dataset.subject import Subject
from trainer.dataset.windows import Windowed
from trainer.errors import DataError
from trainer.estimators.candidate import Candidate
from trainer.estimators.fitting import check_learnable, detector_features, monitor, normal_blocks
from trainer.estimators.monitor import Monitor
from trainer.recipe.document import Anomaly, Recipe
from trainer.recipe.search_section import Search
from trainer.search.contest import MOST_ROWS, choose, standard_error
from trainer.search.leaderboard import Entry, Leaderboard


@dataclass(frozen=True, slots=True)
class _Found:
    """A fitted detector, the share that it finds of each fault, and the seconds of its fit."""

    unfitted: Monitor
    shares: NDArray[np.float64]
    seconds: float

    @property
    def name(self) -> str:
        """The names of its detectors."""
        return " + ".join(self.unfitted.detectors)


def best_detector(
    subject: Subject, target: Anomaly, wanted: Search, console: Console
) -> Leaderboard:
    """Compare detectors by the faults of the training part; the test part is not used.

    Args:
        subject: the recording, its truth, the recipe and both parts of the split.
        target: the recipe's `[target]`.
        wanted: the recipe's `[search]`.
        console: shows the progress.

    Raises:
        DataError: the training part has no labelled fault, or too few normal windows.
    """
    recipe, parts = subject.recipe, subject.parts
    check_learnable(parts.train, subject.truth, recipe)
    faults = _thinned(parts.abnormal)
    if not len(faults):
        raise DataError(
            f"search: the training part has no window that ends with a fault, by which detectors "
            f"could be compared (column '{target.column}', other than '{target.normal}'); split "
            "otherwise, or leave [search] out and choose target.detectors"
        )
    events = run_numbers(subject, faults.rows)
    step = -(-len(parts.train) // MOST_ROWS)
    blocks = [
        (fitted[fitted % step == 0] // step, out[out % step == 0] // step)
        for fitted, out in normal_blocks(parts.train, recipe)
    ]
    with threadpool_limits(limits=1):  # as in the final fit, so that sums round the same way
        features = detector_features(parts.train, recipe, target.smooth)
        normal = features.transform(_thinned(parts.train).values)
        abnormal = features.transform(faults.values)
        found = []
        named = _candidates(target, wanted)
        with console.stage("searching", total=len(named)) as advance:
            for names in _within(named, wanted):
                console.detail(" + ".join(names))
                found.append(
                    _measured(monitor(recipe, target, names), normal, blocks, (abnormal, events))
                )
                advance(1)
    return _board(found, recipe, named[len(found) :])


def _thinned(windows: Windowed) -> Windowed:
    step = max(1, -(-len(windows) // MOST_ROWS))
    return windows.take(np.arange(0, len(windows), step))


def _candidates(target: Anomaly, wanted: Search) -> list[tuple[str, ...]]:
    """Each detector alone, the simplest first; and those that the recipe has together."""
    named: list[tuple[str, ...]] = [(name,) for name in wanted.detectors]
    return named if target.detectors in named else [*named, target.detectors]


def _within(named: Sequence[tuple[str, ...]], wanted: Search) -> Iterator[tuple[str, ...]]:
    """The candidates that may still be begun; the first one in any case."""
    start = time.monotonic()
    for number, names in enumerate(named):
        is_late = wanted.seconds is not None and time.monotonic() - start >= wanted.seconds
        is_enough = wanted.trials is not None and number >= wanted.trials
        if number and (is_late or is_enough):
            return
        yield names


def _measured(
    unfitted: Monitor,
    normal: NDArray[np.float32],
    blocks: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]],
    faults: tuple[NDArray[np.float32], NDArray[np.int64]],
) -> _Found:
    """Fit a detector to normal windows, and find the share of each fault that it finds."""
    start = time.perf_counter()
    fitted = Monitor(**unfitted.get_params()).fit(normal, folds=blocks)
    abnormal, events = faults
    is_found = fitted.transform(abnormal)[:, 0] > 1
    shares = np.array([is_found[events == one].mean() for one in np.unique(events)])
    return _Found(unfitted, shares, time.perf_counter() - start)


def _board(
    found: Sequence[_Found], recipe: Recipe, never: Sequence[tuple[str, ...]]
) -> Leaderboard:
    taken, best = choose([(-one.shares).tolist() for one in found], range(len(found)))
    allowed = found[0].unfitted.false_alarms
    order = sorted(range(len(found)), key=lambda at: (at != taken, -found[at].shares.mean()))
    return Leaderboard(
        metric=f"share of faults found at {allowed:.3g} false alarms",
        entries=tuple(_entry(found[at], recipe) for at in order),
        tried=len(found),
        notes=tuple(_notes(found[taken], found[best], len(found), never)),
    )


def _entry(one: _Found, recipe: Recipe) -> Entry:
    error = standard_error(one.shares) if len(one.shares) > 1 else float("nan")
    steps = Pipeline([("monitor", one.unfitted)])
    candidate = Candidate(recipe.described, steps)
    return Entry(one.name, "given", float(one.shares.mean()), error, one.seconds, candidate)


def _notes(
    taken: _Found, best: _Found, count: int, never: Sequence[tuple[str, ...]]
) -> Iterator[str]:
    on = f"{len(taken.shares)} faults of the training part, from which nothing was learned"
    why = "it finds the most"
    if taken is not best:
        why = f"the simplest that is within one standard error of {best.name}, which finds the most"
    yield f"search: {taken.name} is taken of {count} detectors, {why}, by {on}"
    if not taken.shares.any():
        yield "search: no detector finds any of these faults; the signals may not show them"
    if never:
        named = ", ".join(" + ".join(names) for names in never)
        yield f"search: {named} had no turn before the search ended; give it more trials or seconds"
