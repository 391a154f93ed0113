"""The search for the best model: candidates are drawn, tried in parallel, and ranked.

Candidates are drawn in batches of constant size, whatever the number of processes, and all results
of a batch are recorded before the next batch is drawn. So a search that is limited by trials finds
the same winner for the same seed.

A search that is limited by seconds gives each candidate a limit of its own, so that a slow one does
not take the time of all others: an equal share of most of the time that is left, among those of its
batch that are not begun yet. What quick families do not need is left to slow ones, which come
later. Whatever is beyond its limit is ended and set aside, and tried again in the next batch with
at least twice the time. At the end of the seconds all that runs is ended.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice, zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from joblib import cpu_count
from optuna.trial import FixedTrial, FrozenTrial, Trial

from trainer.console import Console
from trainer.dataset.targets import Truth
from trainer.dataset.windows import Windowed
from trainer.errors import DataError
from trainer.estimators.fitting import check_learnable
from trainer.interrupts import StopRequest
from trainer.recipe.document import Recipe
from trainer.recipe.search_section import Search
from trainer.search.journal import Journal
from trainer.search.leaderboard import Entry, Leaderboard
from trainer.search.plan import Plan, planned
from trainer.search.worker import Job
from trainer.search.worker_pool import Result, WorkerPool

BATCH = 8
SHARE = 0.75
"""Share of the time that is left which the candidates of a batch may take together."""
LATE = 1.2
"""How many times the seconds a search may take without a word about it."""


def search(
    train: Windowed, truth: Truth, recipe: Recipe, *, journal: Path, console: Console
) -> Leaderboard:
    """Search the best model for the training part, as the recipe's `[search]` says.

    Args:
        train: windows of the training part; the search never sees the test part.
        truth: target values of the recording's rows.
        recipe: a recipe with a section `[search]`.
        journal: path of the journal, which the search continues if it exists.
        console: shows the progress.

    Raises:
        DataError: nothing can be learned, or no candidate could be tried.
        KeyboardInterrupt: the user stopped the search; the candidates tried so far are kept.
    """
    wanted = recipe.search
    if wanted is None:
        raise AssertionError("the recipe has no [search]")
    start_s = time.monotonic()
    check_learnable(train, truth, recipe)
    with TemporaryDirectory(prefix="millhand-search-") as folder:
        with console.stage("features"):
            plan = planned(train, truth, recipe, wanted, Path(folder))
        prepared_s = time.monotonic() - start_s
        kept = Journal(journal, recipe.seed, plan.first())
        count = min(wanted.jobs or cpu_count(), BATCH)
        with (
            console.stage("searching", total=wanted.trials) as advance,
            WorkerPool(count, plan.validation, Path(folder)) as pool,
        ):
            run = _Run(plan, kept, wanted, console, advance, pool, count, start_s)
            run.run()
    leaderboard = _leaderboard(plan, kept, wanted, tuple(_late(run, wanted, prepared_s)))
    if not leaderboard.entries:
        raise DataError(_why_nothing(kept, wanted))
    return leaderboard


@dataclass(slots=True)
class _Run:
    """One run of a search, which may continue earlier ones.

    Attributes:
        pool: the processes that try candidates.
        processes: how many there are at most.
        start_s: start of this run, seconds of the monotonic clock.
        done: number of candidates tried in all runs.
        before_s: seconds that the earlier runs took.
        is_cut: whether the end of the seconds, or a stop, came in the middle of a batch.
        limit_s: limit of the candidate that was begun last, seconds.
        least_s: least limit of the next batch, seconds; it grows when one was beyond its limit.
        aside: candidates that were ended because of their limit, to be tried again.
    """

    plan: Plan
    journal: Journal
    wanted: Search
    console: Console
    advance: Callable[[int], object]
    pool: WorkerPool
    processes: int
    start_s: float
    done: int = 0
    before_s: float = 0.0
    is_cut: bool = False
    limit_s: float = 0.0
    least_s: float = 0.0
    aside: list[Trial] = field(default_factory=list)

    def run(self) -> None:
        """Try candidates until the trials or seconds of the recipe are used up, or a stop."""
        self.done, self.before_s = len(self.journal.finished), self.journal.seconds
        self.advance(self.done)
        stop = StopRequest()
        with stop.listening():
            while not self.is_cut and not stop.requested and self._is_due():
                self._batch(self._drawn(), stop)
                self.journal.record_seconds(self.elapsed_s())
        if stop.requested:
            self.console.note(
                f"interrupted: {self.done} candidates are kept, {self._best()}; run the same "
                "command again to continue"
            )
            raise KeyboardInterrupt

    def _batch(self, asked: list[Trial], stop: StopRequest) -> None:
        results = self._results(asked)
        found: list[Result] = []
        for _ in asked:
            found.clear()
            stop.wait(lambda: found.extend(islice(results, 1)))
            if not found or stop.requested:
                self.is_cut = True
                return
            index, tried = found[0]
            if tried is None:
                self.aside.append(asked[index])
                self.least_s = max(self.least_s, 2 * self.limit_s)
                continue
            self.journal.tell(asked[index], tried)
            self.done += 1
            self.advance(1)
            self.console.detail(f"{self._best()}{self._clock()}")

    def _drawn(self) -> list[Trial]:
        """The candidates of the next batch: new ones and those that were set aside, in turn."""
        position, aside = self.done + len(self.aside), self.aside
        new = [self.journal.ask(position + one) for one in range(self._due(aside))]
        self.aside = []
        return [one for both in zip_longest(new, aside) for one in both if one is not None]

    def _results(self, asked: list[Trial]) -> Iterator[Result]:
        """The index and the result of each candidate, in the order in which they are ready."""
        pruning_limits = tuple(self.journal.pruning_limits(len(self.plan.validation.folds)))
        jobs = [
            Job(
                self.plan.candidate(trial).steps,
                str(self.plan.files[trial.params["features"]]),
                pruning_limits,
            )
            for trial in asked
        ]
        left_s = self._left_s()
        if left_s is None:
            return self.pool.results(jobs, limit_s=None, ends_s=None)
        ends_s, least_s = time.monotonic() + left_s, self.least_s

        def limit_s(waiting: int) -> float:
            share = SHARE * (ends_s - time.monotonic()) / waiting
            self.limit_s = max(least_s, share * min(self.processes, waiting))
            return self.limit_s

        return self.pool.results(jobs, limit_s=limit_s, ends_s=ends_s)

    def _is_due(self) -> bool:
        left_s = self._left_s()
        return (left_s is None or left_s > 0) and bool(self._due(self.aside) or self.aside)

    def _due(self, aside: list[Trial]) -> int:
        """Number of new candidates in the next batch; 0 when the trials are used up."""
        begun = self.done + len(aside)
        # A batch that an earlier run left unfinished is finished before the next is drawn.
        size, trials = BATCH - begun % BATCH, self.wanted.trials
        return size if trials is None else max(0, min(size, trials - begun))

    def elapsed_s(self) -> float:
        """Seconds that all runs have taken together."""
        return self.before_s + time.monotonic() - self.start_s

    def _left_s(self) -> float | None:
        return None if self.wanted.seconds is None else self.wanted.seconds - self.elapsed_s()

    def _clock(self) -> str:
        budget = "" if self.wanted.seconds is None else f" of {self.wanted.seconds:.0f}"
        return f", {self.elapsed_s():.0f}{budget} s"

    def _best(self) -> str:
        best = next(iter(self.journal.complete), None)
        if best is None or best.value is None:
            return "none has a result on every fold yet"
        scorer = self.plan.validation.scorer
        return f"best {scorer.metric} {scorer.sign() * best.value:.4g} ({best.params['family']})"


def _late(run: _Run, wanted: Search, prepared_s: float) -> Iterator[str]:
    """A note where a search took longer than it was given."""
    took_s = run.elapsed_s()
    if wanted.seconds is not None and took_s > LATE * wanted.seconds:
        yield (
            f"search: it took {took_s:.0f} s instead of {wanted.seconds:g}, of which the features "
            f"took {prepared_s:.0f} s; a longer window.hop makes fewer windows"
        )


def _leaderboard(
    plan: Plan, journal: Journal, wanted: Search, late: tuple[str, ...]
) -> Leaderboard:
    complete = journal.complete
    firsts: dict[str, FrozenTrial] = {}
    for trial in complete:
        firsts.setdefault(trial.params["family"], trial)
    best = {family: _entry(plan, trial) for family, trial in firsts.items()}
    failed = [one for one in journal.finished if "reason" in one.user_attrs]
    notes = [
        f"search: {family} is left out: {reason}"
        for family, reason in {
            one.params["family"]: one.user_attrs["reason"] for one in failed
        }.items()
        if family not in best
    ]
    return Leaderboard(
        metric=plan.validation.scorer.metric,
        entries=tuple(best.values()),
        smaller=tuple(_smaller(plan, complete, firsts, wanted)) if wanted.prefer else (),
        tried=len(journal.finished),
        notes=(*plan.notes, *notes, *_never_tried(plan, journal, wanted), *late),
    )


def _never_tried(plan: Plan, journal: Journal, wanted: Search) -> Iterator[str]:
    """A note on the families whose turn did not come, or was cut off."""
    finished = {one.params["family"] for one in journal.finished}
    never = [family for family in plan.families if family not in finished]
    if never:
        most = f"trials = {wanted.trials}" if wanted.seconds is None else "its seconds"
        slow = [family for family in never if family in journal.begun]
        begun = f" (begun, and ended by a limit of time: {', '.join(slow)})" if slow else ""
        yield (
            f"search: no candidate of {', '.join(never)} was finished before the search ended with "
            f"{most}{begun}; give it more, or name fewer candidates"
        )


def _smaller(
    plan: Plan, complete: list[FrozenTrial], firsts: Mapping[str, FrozenTrial], wanted: Search
) -> Iterator[Entry]:
    """For each family the smallest candidate about as good as the best of all, if not its best."""
    if not complete:
        return
    best = _entry(plan, complete[0])
    limit = plan.validation.scorer.sign() * best.mean + best.allowance(wanted.tolerance)
    for family, first in firsts.items():
        near = [
            trial
            for trial in complete
            if trial.params["family"] == family and (trial.value or 0.0) <= limit
        ]
        smallest = min(
            near, key=lambda trial: trial.user_attrs.get("bytes", math.inf), default=first
        )
        if smallest.number != first.number:
            yield _entry(plan, smallest)


def _entry(plan: Plan, trial: FrozenTrial) -> Entry:
    losses = np.array(trial.user_attrs["losses"])
    spread = float(losses.std(ddof=1)) if len(losses) > 1 else float("nan")
    return Entry(
        family=trial.params["family"],
        features=trial.params["features"],
        mean=plan.validation.scorer.sign() * float(losses.mean()),
        error=spread / len(losses) ** 0.5,
        seconds=trial.user_attrs["seconds"],
        candidate=plan.candidate(FixedTrial(trial.params)),
    )


def _why_nothing(journal: Journal, wanted: Search) -> str:
    reasons = sorted({one.user_attrs.get("reason", "") for one in journal.finished} - {""})
    if reasons:
        return "no candidate of the search could be fitted: " + "; ".join(reasons[:3])
    return (
        f"no candidate was finished within search.seconds = {wanted.seconds:g}; give more seconds"
    )
