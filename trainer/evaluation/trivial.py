"""Trivial answers to the test windows, and how much better than them a model is.

A model is worth something where it beats answers that need no model. For numbers these are the mean
of the training part, the last value of the target before the window, and a plain line; for classes
the most frequent one; for alarms never and always. The measure is a skill score (Wilks 2019,
"Statistical Methods in the Atmospheric Sciences", chapter 9): 0 for the trivial answer, 1 for the
truth. For numbers it is the share of the trivial answer's squared error that the model removes
(Murphy 1988). For classes it is the score of Peirce (1884), which is 0 for every constant answer
and for every answer at random; with two classes it is the recall minus the false alarm rate.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from trainer.dataset.subject import Subject
from trainer.estimators.fitting import TWO, Answers, Model
from trainer.evaluation.baseline import OVER_LAST, OVER_LINE, SKILL
from trainer.evaluation.metrics import WeightedMetrics, Weights, measure
from trainer.features.window_features import WindowFeatures
from trainer.recipe.document import Regression

MEAN, LAST, LINE = "mean", "last value", "line"
MAJORITY, NEVER, ALWAYS = "majority", "never", "always"
_MAX_ROWS = 100_000
"""Most training windows that the plain line is fitted on."""
_KNOWN = 0.5
"""Least share of windows with a last value; the others are answered by the mean."""


@dataclass(frozen=True, slots=True)
class Trivial:
    """Trivial answers by name, and the skill of the model over them.

    Attributes:
        answers: answers of each kind to the test windows.
        skill: the skill scores as a function of weights; none where they are not defined.
    """

    answers: Mapping[str, Answers]
    skill: WeightedMetrics


def trivial(subject: Subject, model: Model, answers: Answers) -> Trivial:
    """Answer the test windows without the model, and compare.

    Args:
        subject: the recording, its truth and both parts of the split.
        model: the model.
        answers: its answers to the test windows.
    """
    y = subject.truth.y[subject.parts.test.rows]
    if model.task == "regression":
        others = dict(_numbers(subject))
        return Trivial(
            {name: {"value": value} for name, value in others.items()},
            _of_numbers(answers["value"], others, y),
        )
    if model.task == "anomaly" and not subject.truth.labelled:
        return Trivial({}, lambda _: {})
    positive = model.positive if model.task == "classification" else 1
    constants = {NEVER: 1 - positive, ALWAYS: positive}
    if len(model.classes) != TWO:
        known = subject.truth.y[subject.parts.train.rows]
        constants = {MAJORITY: int(np.bincount(known).argmax())}
    return Trivial(
        {name: _constant(value, len(y)) for name, value in constants.items()},
        peirce(answers["value"], y),
    )


def figures(model: Model, found: Trivial, y: NDArray[Any]) -> dict[str, dict[str, float]]:
    """The usual metrics of each trivial answer, without those that are undefined."""
    return {name: measure(model, answers, y) for name, answers in found.answers.items()}


def peirce(value: NDArray[Any], y: NDArray[Any]) -> WeightedMetrics:
    """The skill of classes over constant answers and answers at random, as a function of weights.

    Args:
        value: answers, `[n]`.
        y: the truth, `[n]`.
    """
    present = np.union1d(y, value)
    said = (value[:, None] == present).astype(np.float64)
    true = (y[:, None] == present).astype(np.float64)

    def of(weights: Weights) -> dict[str, NDArray[np.float64]]:
        total = weights.sum(axis=1)
        right = (weights @ (said * true)).sum(axis=1) / total
        share_said, share_true = (weights @ one / total[:, None] for one in (said, true))
        by_chance = (share_said * share_true).sum(axis=1)
        left = 1 - (share_true**2).sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            return {SKILL: np.where(left > 0, (right - by_chance) / left, np.nan)}

    return of


def _constant(value: int, count: int) -> Answers:
    return {"value": np.full(count, value), "score": np.zeros(count, dtype=np.float32)}


def _numbers(subject: Subject) -> Iterator[tuple[str, NDArray[np.float64]]]:
    train, test = subject.parts.train, subject.parts.test
    known = subject.truth.y[train.rows]
    mean = float(known.mean())
    yield MEAN, np.full(len(test), mean)
    last = _last_values(subject)
    if last is not None:
        yield LAST, np.where(np.isnan(last), mean, last)
    some = np.unique(np.linspace(0, len(train) - 1, _MAX_ROWS).astype(np.int64))
    described = subject.recipe.described
    features = WindowFeatures(
        ("last", "mean"), (), described.signals, described.derived, described.described
    )
    line = make_pipeline(features, StandardScaler(), Ridge())
    line.fit(train.values[some], known[some])
    yield LINE, line.predict(test.values).astype(np.float64)


def _last_values(subject: Subject) -> NDArray[np.float64] | None:
    """The last known target before each test window, NaN for none; None where it means nothing."""
    recipe, recording, truth = subject.recipe, subject.recording, subject.truth
    target, test = recipe.target, subject.parts.test
    period = recording.period_ms()
    measured = isinstance(target, Regression) and target.remaining is None
    if not measured or period is None:
        return None
    spec = recipe.window.spec(period)
    # Half a period for times that are not quite regular.
    reach = (spec.length - 0.5) * (spec.sample_period_ms or period) * 1e6
    found = np.full(len(test), np.nan)
    for asset in np.unique(test.asset):
        rows = np.flatnonzero((recording.asset == asset) & truth.known)
        of = test.asset == asset
        begin = recording.times_ns[test.rows[of]] - int(reach)
        place = np.searchsorted(recording.times_ns[rows], begin, side="right") - 1
        values = truth.y[rows[np.maximum(place, 0)]]
        found[of] = np.where(place >= 0, values, np.nan)
    return found if np.isfinite(found).mean() >= _KNOWN else None


def _of_numbers(
    value: NDArray[Any], others: Mapping[str, NDArray[np.float64]], y: NDArray[Any]
) -> WeightedMetrics:
    squares = np.column_stack([(answer - y) ** 2 for answer in (value, *others.values())])
    named = {MEAN: SKILL, LAST: OVER_LAST, LINE: OVER_LINE}

    def of(weights: Weights) -> dict[str, NDArray[np.float64]]:
        model, *rest = (weights @ squares).T
        with np.errstate(divide="ignore", invalid="ignore"):
            return {named[n]: 1 - model / one for n, one in zip(others, rest, strict=True)}

    return of
