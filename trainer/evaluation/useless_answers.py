"""Whether a model is of no use by its answers alone, which no metric says in these words.

A model that answers the same to every window may have fine figures, where one class or a normal
state is in nearly every window.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from trainer.dataset.subject import Subject
from trainer.dataset.windows import Windowed
from trainer.estimators.fitting import Answers, Model

MOST_WINDOWS = 2000
"""Most test windows that are looked at; more are thinned out evenly."""
_LEAST_SPREAD = 0.01
"""Standard deviation of numbers, as a share of the truth's, below which they count as the same."""


def useless_answers(model: Model, subject: Subject) -> tuple[str, ...]:
    """Sentences on a model whose answers do not depend on the window.

    Nothing is said where the truth of the test windows is one and the same, too.

    Args:
        model: the fitted model.
        subject: the recording, its truth and both parts of the split.
    """
    return tuple(_same(model, subject))


def _same(model: Model, subject: Subject) -> Iterator[str]:
    some = _thinned(subject.parts.test)
    y = subject.truth.y[some.rows]
    answers = model.answer(some.values)
    value = answers["value"]
    if model.task == "regression":
        spread = float(np.std(value.astype(np.float64)))
        is_same = bool(np.std(y) > 0 and spread <= _LEAST_SPREAD * np.std(y))
        what = f"about {float(np.mean(value)):.4g}"
    else:
        is_same = bool((value == value[0]).all()) and _is_telling(answers, y, model, subject)
        what = f"'{model.classes[int(value[0])]}'"
    if is_same:
        looked, all_ = len(value), len(subject.parts.test)
        each = f"each of {all_}" if looked == all_ else f"all {looked} that were tried of {all_}"
        yield (
            f"the model gives the same answer, {what}, to {each} test windows, whatever the "
            "signals are"
        )


def _is_telling(answers: Answers, y: NDArray[np.int64], model: Model, subject: Subject) -> bool:
    """Whether one class for all windows is a fault: there are others, or the score is one too."""
    if model.task == "anomaly" and not subject.truth.labelled:
        return bool((answers["score"] == answers["score"][0]).all() or answers["value"][0] == 1)
    return bool((y != y[0]).any())


def _thinned(windows: Windowed) -> Windowed:
    step = max(1, -(-len(windows) // MOST_WINDOWS))
    return windows.take(np.arange(0, len(windows), step))
