"""Whether there are enough positives: events are counted, because rows of one event are alike."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from trainer.checks.finding import Finding
from trainer.dataset.runs import run_numbers
from trainer.dataset.subject import Subject
from trainer.recipe.document import Classification, Regression

NAME = "too-few-positives"
# With ten events in the test part, all of them found, the lower end of the 95 % interval of the
# detection rate is 0.69; below ten it says hardly anything.
ENOUGH = 10
_TWO = 2
# One tail of a two-sided 95 % interval. If all n events are found, the Clopper-Pearson interval of
# their share begins at 0.025 ** (1 / n) (Clopper and Pearson 1934).
_TAIL = 0.025


def too_few_positives(subject: Subject) -> Iterator[Finding]:
    """Report classes or failures of which there are too few events to learn from or to measure."""
    target, every = subject.recipe.target, np.arange(len(subject.recording))
    if isinstance(target, Regression):
        if target.remaining is not None:
            asset = subject.recording.asset
            end = np.zeros(len(subject.recording.assets), dtype=np.int64)
            np.maximum.at(end, asset, every)
            yield from _of(subject, "whole runs", asset, subject.truth.known[end][asset])
        return
    if not subject.truth.labelled:
        return
    names, runs = subject.truth.classes, run_numbers(subject, every)
    wanted = list(range(len(names)))
    if isinstance(target, Classification) and len(names) == _TWO:
        wanted = [1 if target.positive is None else names.index(target.positive)]
    elif target.task == "anomaly":
        wanted = [1]
    for klass in wanted:
        yield from _of(subject, f"events of '{names[klass]}'", runs, subject.truth.y == klass)


def _of(
    subject: Subject, what: str, event: NDArray[np.int64], positive: NDArray[np.bool_]
) -> Iterator[Finding]:
    """Report too few events of a kind, `what`; `event` is the event number of each row."""
    learned, tested = (
        len(np.unique(event[part.rows][positive[part.rows]]))
        for part in (subject.parts.train, subject.parts.test)
    )
    is_detector = subject.recipe.target.task == "anomaly"
    counts = [tested] if is_detector else [learned, tested]
    if min(counts) >= ENOUGH:
        return
    evidence = f"{what}: {tested} in the test part"
    if not is_detector:
        evidence = f"{what}: {learned} in the training part, {tested} in the test part"
    if 0 < tested < ENOUGH:
        evidence += (
            f"; even if all {tested} are predicted correctly, the 95 % interval of their share "
            f"begins at {_TAIL ** (1 / tested):.2f}"
        )
    elif not tested:
        evidence += "; how well they are found cannot be measured"
    remedy = (
        f"record more of them, or promise no more than these can show; even {ENOUGH} in each part "
        "are few"
    )
    is_remark = is_detector or learned >= ENOUGH
    yield Finding(NAME, "warning", evidence, remedy, about="test" if is_remark else "data")
