"""The search for the best model: candidates are drawn, tried in parallel, and ranked.

Candidates are drawn in batches of one size, whatever the number of processes, and a batch is told
whole before the next is drawn: bounded by trials, the winner depends on the seed alone. Processes
are joblib's, so another backend of joblib can spread them over machines.
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

from trainer.console import Screen
from trainer.dataset.targets import Truth
from trainer.dataset.windows import Windowed
from trainer.errors import DataError
from trainer.estimators.crossval import Tried, cross_validate
from trainer.estimators.fitting import check_learnable
from trainer.interrupts import Interrupts
from trainer.recipe.document import Recipe
from trainer.recipe.search_section import Search
from trainer.search.journal import Journal
from trainer.search.leaderboard import Board, Entry
from trainer.search.plan import Plan, planned

BATCH = 8
_JOBLIBS_THREAD = "ExecutorManagerThread"
_MAX_JOIN_S = 10.0


def search(
    train: Windowed, truth: Truth, recipe: Recipe, *, journal: Path, screen: Screen
) -> Board:
    """Look for the best model of the training part, as the recipe's `[search]` says.

    Args:
        train: windows; the test part has no place here.
        truth: of the recording's rows.
        recipe: with a section `[search]`.
        journal: the file that the search is kept in, and continued from.
        screen: where progress goes.

    Raises:
        DataError: nothing can be learned, or no candidate could be tried.
        KeyboardInterrupt: somebody wanted an end; what was tried is kept.
    """
    wanted = recipe.search
    if wanted is None:
        raise AssertionError("the recipe asks for no search")
    check_learnable(train, truth, recipe)
    with TemporaryDirectory(prefix="millhand-search-") as folder:
        with screen.stage("features"):
            plan = planned(train, truth, recipe, wanted, Path(folder))
        kept = Journal(journal, recipe.seed, plan.first())
        with screen.stage("searching", total=wanted.trials) as advance:
            _Run(plan, kept, wanted, screen, advance).until_spent()
    board = _board(plan, kept, wanted)
    if not board.entries:
        raise DataError(_nothing(kept, wanted))
    return board


@dataclass(slots=True)
class _Run:
    """One run of a search, which may have had others before."""

    plan: Plan
    journal: Journal
    wanted: Search
    screen: Screen
    advance: Callable[[int], object]
    done: int = 0
    is_cut: bool = False
    before_s: float = 0.0
    start_s: float = 0.0

    def until_spent(self) -> None:
        """Try candidates until trials or seconds are spent."""
        self.done, self.before_s = len(self.journal.finished), self.journal.seconds
        self.start_s = time.monotonic()
        self.advance(self.done)
        interrupts = Interrupts()
        with self._hushed(interrupts), interrupts.heard(), warnings.catch_warnings():
            # Of what is under way when the time is over; the journal has it.
            warnings.filterwarnings("ignore", ".*have been cancelled", UserWarning)
            while (count := self._due()) and not interrupts.asked:
                self._batch(count, interrupts)
                self.journal.spent(self._elapsed_s())
        if interrupts.asked:
            self.screen.remark(
                f"interrupted: {self.done} candidates are kept, {self._best()}; the same command "
                "goes on from there"
            )
            raise KeyboardInterrupt

    @contextmanager
    def _hushed(self, interrupts: Interrupts) -> Iterator[None]:
        """Suppress the traceback of joblib's thread whose workers were ended in mid-task."""
        before = threading.excepthook

        def hook(found: threading.ExceptHookArgs) -> None:
            left_s = self._left_s()
            is_over = interrupts.asked or (left_s is not None and left_s <= 0)
            if not is_over or getattr(found.thread, "name", "") != _JOBLIBS_THREAD:
                before(found)

        threading.excepthook = hook
        try:
            yield
        finally:
            if self.is_cut:  # then the thread is about to end, and may raise until it has
                for thread in threading.enumerate():
                    if thread.name == _JOBLIBS_THREAD:
                        thread.join(_MAX_JOIN_S)
            threading.excepthook = before

    def _batch(self, count: int, interrupts: Interrupts) -> None:
        bars = self.journal.bars(len(self.plan.ground.folds))
        asked = [self.journal.ask(self.done + index) for index in range(count)]
        results = self._tried(asked, bars)
        found: list[tuple[int, Tried]] = []
        for _ in asked:
            found.clear()
            try:
                interrupts.wait(lambda: found.append(next(results)))
            except multiprocessing.TimeoutError:
                self.is_cut = True
            self.is_cut |= interrupts.asked
            if self.is_cut:
                return
            index, tried = found[0]
            self.journal.tell(asked[index], tried)
            self.done += 1
            self.advance(1)
            self.screen.detail(f"{self._best()}{self._clock()}")

    def _tried(self, asked: list[Trial], bars: list[float]) -> Iterator[tuple[int, Tried]]:
        """What comes of each candidate, as it comes."""
        plan, jobs = self.plan, self.wanted.jobs or cpu_count()
        tasks = []
        for index, trial in enumerate(asked):
            choice = plan.choice(trial)
            X = plan.features[trial.params["features"]]
            arguments = (choice.steps, X, plan.ground, bars)
            tasks.append(delayed(_numbered)(index, *arguments))
        # With one process joblib would fit in ours, where Ctrl-C waits for the end of a fit.
        with _unheard():
            results: Iterator[tuple[int, Tried]] = Parallel(
                n_jobs=max(2, jobs),
                pre_dispatch=jobs,
                batch_size=1,
                timeout=self._left_s(),
                initializer=_deaf,
                return_as="generator_unordered",
            )(tasks)
        return results

    def _due(self) -> int:
        """How many candidates the next batch has."""
        left_s = self._left_s()
        if left_s is not None and left_s <= 0:
            return 0
        # What an earlier run left of a batch is tried before the next is drawn.
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
            return "none is complete yet"
        judge = self.plan.ground.judge
        return f"best {judge.metric} {judge.sign() * best.value:.4g} ({best.params['family']})"


@contextmanager
def _unheard() -> Iterator[None]:
    """Processes that are started meanwhile do not hear Ctrl-C, before they come to `_deaf` either.

    They inherit the mask of the thread; a Ctrl-C of the meantime comes at its end.
    """
    resource_tracker.ensure_running()  # else it is started under way, and Python lifts the mask
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _deaf() -> None:
    """In a worker: a terminal's Ctrl-C goes to all processes, and ours ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _numbered(index: int, *arguments: object) -> tuple[int, Tried]:
    return index, cross_validate(*arguments)  # type: ignore[arg-type]  # as they were given


def _board(plan: Plan, journal: Journal, wanted: Search) -> Board:
    complete = journal.complete
    firsts: dict[str, FrozenTrial] = {}
    for trial in complete:
        firsts.setdefault(trial.params["family"], trial)
    best = {family: _entry(plan, trial) for family, trial in firsts.items()}
    failed = [one for one in journal.finished if "reason" in one.user_attrs]
    remarks = [
        f"search: {family} is left out: {reason}"
        for family, reason in {
            one.params["family"]: one.user_attrs["reason"] for one in failed
        }.items()
        if family not in best
    ]
    return Board(
        metric=plan.ground.judge.metric,
        entries=tuple(best.values()),
        smaller=tuple(_smaller(plan, complete, firsts, wanted)) if wanted.prefer else (),
        tried=len(journal.finished),
        remarks=(*plan.remarks, *remarks),
    )


def _smaller(
    plan: Plan, complete: list[FrozenTrial], firsts: Mapping[str, FrozenTrial], wanted: Search
) -> Iterator[Entry]:
    """Of each family the smallest that is about as good as the best of all, if it is another."""
    if not complete:
        return
    best = _entry(plan, complete[0])
    limit = plan.ground.judge.sign() * best.figure + best.allowance(wanted.tolerance)
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
        figure=plan.ground.judge.sign() * float(losses.mean()),
        error=spread / len(losses) ** 0.5,
        seconds=trial.user_attrs["seconds"],
        choice=plan.choice(FixedTrial(trial.params)),
    )


def _nothing(journal: Journal, wanted: Search) -> str:
    reasons = sorted({one.user_attrs.get("reason", "") for one in journal.finished} - {""})
    if reasons:
        return "no candidate of the search could be fitted: " + "; ".join(reasons[:3])
    return f"no candidate was finished within search.seconds = {wanted.seconds:g}; give more"
