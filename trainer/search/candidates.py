"""The search for the best model: candidates are drawn, tried in parallel, and ranked.

Candidates are drawn in batches of constant size, whatever the number of processes, and all results
of a batch are recorded before the next batch is drawn. So a search that is limited by trials finds
the same winner for the same seed. Processes are joblib's, so another joblib backend can spread
them over machines.
"""

import math
import multiprocessing
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from joblib import Parallel, cpu_count, delayed
from optuna.trial import FixedTrial, FrozenTrial, Trial

from trainer.console import Console
from trainer.dataset.targets import Truth
from trainer.dataset.windows import Windowed
from trainer.errors import DataError
from trainer.estimators.crossval import FoldLosses, cross_validate
from trainer.estimators.fitting import check_learnable
from trainer.interrupts import StopRequest
from trainer.recipe.document import Recipe
from trainer.recipe.search_section import Search
from trainer.search.journal import Journal
from trainer.search.leaderboard import Entry, Leaderboard
from trainer.search.plan import Plan, planned

BATCH = 8
# The thread of joblib's executor (loky) that watches the worker processes.
_JOBLIB_THREAD = "ExecutorManagerThread"
_MAX_JOIN_S = 10.0


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
    check_learnable(train, truth, recipe)
    with TemporaryDirectory(prefix="millhand-search-") as folder:
        with console.stage("features"):
            plan = planned(train, truth, recipe, wanted, Path(folder))
        kept = Journal(journal, recipe.seed, plan.first())
        with console.stage("searching", total=wanted.trials) as advance:
            _Run(plan, kept, wanted, console, advance).run()
    leaderboard = _leaderboard(plan, kept, wanted)
    if not leaderboard.entries:
        raise DataError(_why_nothing(kept, wanted))
    return leaderboard


@dataclass(slots=True)
class _Run:
    """One run of a search, which may continue earlier ones.

    Attributes:
        done: number of candidates tried in all runs.
        before_s: seconds that the earlier runs took.
        start_s: start of this run, seconds of the monotonic clock.
    """

    plan: Plan
    journal: Journal
    wanted: Search
    console: Console
    advance: Callable[[int], object]
    done: int = 0
    is_cut: bool = False
    before_s: float = 0.0
    start_s: float = 0.0

    def run(self) -> None:
        """Try candidates until the trials or seconds of the recipe are used up, or a stop."""
        self.done, self.before_s = len(self.journal.finished), self.journal.seconds
        self.start_s = time.monotonic()
        self.advance(self.done)
        stop = StopRequest()
        with self._silent_joblib(stop), stop.listening(), warnings.catch_warnings():
            # joblib warns of trials that were cancelled when the time was up; they are no loss,
            # because the journal tries them again.
            warnings.filterwarnings("ignore", ".*have been cancelled", UserWarning)
            while (count := self._due()) and not stop.requested:
                self._batch(count, stop)
                self.journal.record_seconds(self._elapsed_s())
        if stop.requested:
            self.console.note(
                f"interrupted: {self.done} candidates are kept, {self._best()}; run the same "
                "command again to continue"
            )
            raise KeyboardInterrupt

    @contextmanager
    def _silent_joblib(self, stop: StopRequest) -> Iterator[None]:
        """Suppress the traceback of joblib's thread when its workers are ended during a fit."""
        before = threading.excepthook

        def hook(found: threading.ExceptHookArgs) -> None:
            left_s = self._left_s()
            is_over = stop.requested or (left_s is not None and left_s <= 0)
            if not is_over or getattr(found.thread, "name", "") != _JOBLIB_THREAD:
                before(found)

        threading.excepthook = hook
        try:
            yield
        finally:
            if self.is_cut:  # then the thread is about to end, and may raise until it has
                for thread in threading.enumerate():
                    if thread.name == _JOBLIB_THREAD:
                        thread.join(_MAX_JOIN_S)
            threading.excepthook = before

    def _batch(self, count: int, stop: StopRequest) -> None:
        pruning_limits = self.journal.pruning_limits(len(self.plan.validation.folds))
        asked = [self.journal.ask(self.done + index) for index in range(count)]
        results = self._results(asked, pruning_limits)
        found: list[tuple[int, FoldLosses]] = []
        for _ in asked:
            found.clear()
            try:
                stop.wait(lambda: found.append(next(results)))
            except multiprocessing.TimeoutError:
                self.is_cut = True
            self.is_cut |= stop.requested
            if self.is_cut:
                return
            index, tried = found[0]
            self.journal.tell(asked[index], tried)
            self.done += 1
            self.advance(1)
            self.console.detail(f"{self._best()}{self._clock()}")

    def _results(
        self, asked: list[Trial], pruning_limits: list[float]
    ) -> Iterator[tuple[int, FoldLosses]]:
        """The index and the result of each candidate, in the order in which they are ready."""
        plan, jobs = self.plan, self.wanted.jobs or cpu_count()
        tasks = []
        for index, trial in enumerate(asked):
            candidate = plan.candidate(trial)
            X = plan.features[trial.params["features"]]
            arguments = (candidate.steps, X, plan.validation, pruning_limits)
            tasks.append(delayed(_numbered)(index, *arguments))
        # With a single process joblib would fit in this one, where Ctrl-C cannot end a fit.
        with _sigint_blocked():
            results: Iterator[tuple[int, FoldLosses]] = Parallel(
                n_jobs=max(2, jobs),
                pre_dispatch=jobs,
                batch_size=1,
                timeout=self._left_s(),
                initializer=_begin_worker,
                return_as="generator_unordered",
            )(tasks)
        return results

    def _due(self) -> int:
        """Number of candidates in the next batch; 0 when trials or seconds are used up."""
        left_s = self._left_s()
        if left_s is not None and left_s <= 0:
            return 0
        # A batch that an earlier run left unfinished is finished before the next is drawn.
        size = BATCH - self.done % BATCH
        trials = self.wanted.trials
        return size if trials is None else max(0, min(size, trials - self.done))

    def _elapsed_s(self) -> float:
        return self.before_s + time.monotonic() - self.start_s

    def _left_s(self) -> float | None:
        return None if self.wanted.seconds is None else self.wanted.seconds - self._elapsed_s()

    def _clock(self) -> str:
        budget = "" if self.wanted.seconds is None else f" of {self.wanted.seconds:.0f}"
        return f", {self._elapsed_s():.0f}{budget} s"

    def _best(self) -> str:
        best = next(iter(self.journal.complete), None)
        if best is None or best.value is None:
            return "none has a result on every fold yet"
        scorer = self.plan.validation.scorer
        return f"best {scorer.metric} {scorer.sign() * best.value:.4g} ({best.params['family']})"


@contextmanager
def _sigint_blocked() -> Iterator[None]:
    """Block SIGINT while worker processes are started.

    They inherit the blocked signals of this thread, so Ctrl-C cannot hit them before they come to
    `_begin_worker`. A SIGINT that arrives meanwhile is delivered at the end of the context.
    """
    # Python unblocks SIGINT when it starts the resource tracker, so that is started before.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin_worker() -> None:
    """Ignore a terminal's Ctrl-C in a worker, because the main process ends the workers.

    Warnings of libraries name files of the installation and lines of their code, which tell nobody
    at a terminal what to do; whatever they are about shows in the candidate's figure.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warnings.simplefilter("ignore")


def _numbered(index: int, *arguments: object) -> tuple[int, FoldLosses]:
    return index, cross_validate(*arguments)  # type: ignore[arg-type]  # passed through as given


def _leaderboard(plan: Plan, journal: Journal, wanted: Search) -> Leaderboard:
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
        notes=(*plan.notes, *notes, *_never_tried(plan, journal, wanted)),
    )


def _never_tried(plan: Plan, journal: Journal, wanted: Search) -> Iterator[str]:
    """A note on the families whose turn did not come, or was cut off."""
    begun = {one.params["family"] for one in journal.finished}
    never = [family for family in plan.families if family not in begun]
    if never:
        most = f"trials = {wanted.trials}" if wanted.seconds is None else "its seconds"
        yield (
            f"search: no candidate of {', '.join(never)} was finished before the search ended with "
            f"{most}; give it more, or name fewer candidates"
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
