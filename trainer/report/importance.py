"""Permutation importance: how much worse the model is on the test part without a signal.

All samples of a signal in one window are exchanged for those of another window, drawn at random
from the test part. Single samples are not shuffled because that would give curves that no plant
has, and neighbouring windows share most of their samples. Of two signals with the same information
either may seem to matter little.
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
"""Seconds after which no further signal or repeat is begun, except for a reproducible report."""
_MIN_WINDOWS = 50
_WORK = 300_000_000
"""Most values in all shuffled windows together; with more, fewer windows are drawn."""

SCORE_CHANGE: Final = "change of the score"


@dataclass(frozen=True, slots=True)
class Importance:
    """How much worse a metric becomes when each signal is shuffled.

    Attributes:
        metric: name of the metric.
        whole: value of the metric on these windows before shuffling.
        signals: names of the signals that were tried.
        losses: how much worse the metric becomes, `[repeats, signals]`; below 0 it becomes better,
            by chance.
        windows: number of test windows that were drawn.
        left_out: number of signals that were not tried, because there are too many or time ran out.
        cut_short: whether time ran out before the last repeat.
    """

    metric: str
    whole: float
    signals: tuple[str, ...]
    losses: NDArray[np.float64]
    windows: int
    left_out: int
    cut_short: bool


def importance(subject: Reported, clock: Callable[[], float] = monotonic) -> Importance | None:
    """Shuffle signal by signal, and measure; None if the metric is not defined.

    Args:
        subject: the model, the test windows and the seed.
        clock: returns seconds, for the limit `PATIENCE_S`.
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
    with threadpool_limits(limits=1):  # as for the metrics of the manifest
        first = [_loss(windows, 0, judge, whole, rng)]
        while len(first) < most and clock() < until:
            first.append(_loss(windows, len(first), judge, whole, rng))
        rounds = [first]
        while len(rounds) < REPEATS and clock() < until:
            rounds.append([_loss(windows, one, judge, whole, rng) for one in range(len(first))])
    return Importance(
        judge.metric,
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
    """Measures the deciding metric of the model on windows whose truth is known."""

    def __init__(self, subject: Reported, before: Answers, y: NDArray[Any]) -> None:
        self.model: Model = subject.trained.model
        self.before = before
        self.metric = deciding_metric(subject)
        self.lower_is_better = self.metric in LOWER_IS_BETTER or self.metric == SCORE_CHANGE
        self._y, self._labelled = y, subject.is_labelled

    def measure(self, answers: Answers) -> float | None:
        """The metric; None where it is not defined."""
        if self.metric == SCORE_CHANGE:
            change = answers["score"].astype(np.float64) - self.before["score"]
            return float(np.abs(change).mean())
        return measure(self.model, answers, self._y, labelled=self._labelled).get(self.metric)


def deciding_metric(subject: Reported) -> str:
    """The metric that the search ranks by, or that of the task; without events, the score's change.

    For anomaly detection it is a metric without a threshold: by F1, shuffled signals that raise
    alarms at random could count as an improvement.
    """
    task, search = subject.manifest.task, subject.trained.recipe.search
    known = subject.manifest.metrics.values
    if task == "anomaly":
        return "roc_auc" if "roc_auc" in known else SCORE_CHANGE
    wanted = DEFAULT_METRIC[task] if search is None else search.metric_for(task)
    return wanted if wanted in known else DEFAULT_METRIC[task]
