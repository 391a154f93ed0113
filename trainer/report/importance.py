"""What the model would lose without a signal: permutation importance, on the test part.

A signal's course in one window is put into another window, drawn at random from the whole test
part: shuffling single samples would make courses that no plant has, and neighbouring windows share
most of theirs. What the signal says together with others is lost with it, and where two signals say
the same, either may seem to matter little.
"""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from trainer.estimators.fitting import Answers, Model
from trainer.evaluation.metrics import LOWER_IS_BETTER, measure
from trainer.recipe.search_section import DEFAULT_METRIC
from trainer.report.reported import Reported

MAX_WINDOWS: Final = 2000
MAX_SIGNALS: Final = 60
REPEATS: Final = 5
PATIENCE_S: Final = 10.0
"""After which no further signal is tried and no further repeat begun, unless the same bytes are to
come out."""
_MIN_WINDOWS = 50
_WORK = 300_000_000
"""Values that all shuffled windows together may have; beyond, fewer windows are drawn."""

SCORE_CHANGE: Final = "change of the score"


@dataclass(frozen=True, slots=True)
class Importance:
    """How much worse the figure becomes with each signal shuffled.

    Attributes:
        figure: which.
        whole: its value on these windows before.
        signals: name of each.
        losses: how much worse, `[repeats, signals]`; below 0 is better by chance.
        windows: how many of the test part were drawn.
        left_out: signals that were not tried: there are too many, or time ran out.
        cut_short: whether time ran out before the last repeat.
    """

    figure: str
    whole: float
    signals: tuple[str, ...]
    losses: NDArray[np.float64]
    windows: int
    left_out: int
    cut_short: bool


def importance(subject: Reported, clock: Callable[[], float] = monotonic) -> Importance | None:
    """Shuffle signal by signal, and measure; None where the figure is not defined.

    Args:
        subject: whose model, test windows and seed are used.
        clock: seconds, for the end of patience.
    """
    trained = subject.trained
    rng = np.random.default_rng(trained.recipe.seed)
    values = trained.parts.test.values
    names = tuple(channel.name for channel in subject.manifest.channels)
    most = min(len(names), MAX_SIGNALS)
    chosen = _chosen(len(values), values[0].size * most, rng)
    windows = values[chosen].copy()
    judge = _Judge(subject, {n: a[chosen] for n, a in subject.answers.items()}, subject.y[chosen])
    whole = judge.measure(judge.before)
    if whole is None:
        return None
    until = np.inf if subject.reproducible else clock() + PATIENCE_S
    with threadpool_limits(limits=1):  # as where the figures are measured
        first = [_loss(windows, 0, judge, whole, rng)]
        while len(first) < most and clock() < until:
            first.append(_loss(windows, len(first), judge, whole, rng))
        rounds = [first]
        while len(rounds) < REPEATS and clock() < until:
            rounds.append([_loss(windows, one, judge, whole, rng) for one in range(len(first))])
    return Importance(
        judge.figure,
        whole,
        names[: len(first)],
        np.array(rounds),
        len(chosen),
        left_out=len(names) - len(first),
        cut_short=len(rounds) < REPEATS,
    )


def _chosen(count: int, values_each: int, rng: np.random.Generator) -> NDArray[np.int64]:
    most = int(np.clip(_WORK // (REPEATS * values_each), _MIN_WINDOWS, MAX_WINDOWS))
    if count <= most:
        return np.arange(count)
    return np.sort(rng.choice(count, most, replace=False))


def _loss(
    windows: NDArray[np.float32],
    channel: int,
    judge: "_Judge",
    whole: float,
    rng: np.random.Generator,
) -> float:
    own = windows[:, :, channel].copy()
    windows[:, :, channel] = own[rng.permutation(len(own))]
    found = judge.measure(judge.model.answer(windows))
    windows[:, :, channel] = own
    if found is None:
        return 0.0
    return found - whole if judge.lower_is_better else whole - found


class _Judge:
    """The figure that the model is judged by, on windows whose truth is known."""

    def __init__(self, subject: Reported, before: Answers, y: NDArray[Any]) -> None:
        self.model: Model = subject.trained.model
        self.before = before
        self.figure = judged(subject)
        self.lower_is_better = self.figure in LOWER_IS_BETTER or self.figure == SCORE_CHANGE
        self._y, self._labelled = y, subject.is_labelled

    def measure(self, answers: Answers) -> float | None:
        """The figure, None where it is not defined."""
        if self.figure == SCORE_CHANGE:
            change = answers["score"].astype(np.float64) - self.before["score"]
            return float(np.abs(change).mean())
        return measure(self.model, answers, self._y, labelled=self._labelled).get(self.figure)


def judged(subject: Reported) -> str:
    """The figure that the search went by, or else the task's; without events, how scores change.

    Of a detector it is one without a threshold: by F1, mixed-up signals that raise alarms at random
    would be an improvement.
    """
    task, search = subject.manifest.task, subject.trained.recipe.search
    known = subject.manifest.metrics.values
    if task == "anomaly":
        return "roc_auc" if "roc_auc" in known else SCORE_CHANGE
    wanted = DEFAULT_METRIC[task] if search is None else search.metric_for(task)
    return wanted if wanted in known else DEFAULT_METRIC[task]
