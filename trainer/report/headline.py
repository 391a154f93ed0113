"""The figures that a task is about, in words: the first lines of a report and of the terminal.

A plant asks how far off a remaining life was at the end, how often an alarm is false and how soon a
fault is found, or which class is missed; averages over all windows come after that.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from trainer.evaluation.life import (
    MAE_AT_LAST,
    MAE_BY_RUN,
    RMSE_AT_LAST,
    at_last,
    cap,
    remaining_of,
)
from trainer.recipe.document import Regression
from trainer.report.markup import metric
from trainer.report.reported import Reported


def headline(subject: Reported) -> dict[str, Markup]:
    """The figures in words, by what they are about; empty for a number of no special meaning."""
    target, found = remaining_of(subject.trained), subject.detection
    if target is not None:
        return dict(_life(subject, target))
    if found is not None:
        return {name: Markup("{}").format(said) for name, said in found.words().items()}
    if subject.classes:
        return {"classes": Markup("{}").format(_worst(by_class(subject)))}
    return {}


@dataclass(frozen=True, slots=True)
class OfClass:
    """What became of the test windows of a class.

    Attributes:
        name: the class.
        count: number of test windows of the class.
        found: how many of them were answered with it.
        answered: number of test windows that were answered with it, right or wrong.
        taken_for: the class that it was most often taken for; empty where it never was.
    """

    name: str
    count: int
    found: int
    answered: int
    taken_for: str


def by_class(subject: Reported) -> tuple[OfClass, ...]:
    """What became of each class, in the order of the classes."""
    names, y, value = subject.classes, subject.y, subject.value
    counts = np.zeros((len(names), len(names)), dtype=np.int64)
    np.add.at(counts, (y, value), 1)
    wrong = counts - np.diag(np.diag(counts))
    return tuple(
        OfClass(
            name,
            int(counts[one].sum()),
            int(counts[one, one]),
            int(counts[:, one].sum()),
            names[int(wrong[one].argmax())] if wrong[one].any() else "",
        )
        for one, name in enumerate(names)
    )


def _worst(classes: tuple[OfClass, ...]) -> str:
    known = [one for one in classes if one.count]
    worst = min(known, key=lambda one: one.found / one.count)
    if worst.found == worst.count:
        return f"all windows of all {len(known)} classes found"
    return (
        f"{sum(one.found for one in known)} of {sum(one.count for one in known)} windows right; "
        f"the worst class is '{worst.name}': {worst.found} of {worst.count} found, most of the "
        f"others taken for '{worst.taken_for}'"
    )


def _life(subject: Reported, target: Regression) -> Iterator[tuple[str, Markup]]:
    metrics, trained = subject.manifest.metrics, subject.trained
    shown = {name: metric(name, metrics.formatted(name)) for name in metrics.values}
    unit = f" {target.unit}" if target.unit else ""
    yield (
        "remaining life",
        Markup("{}{}, the answer is off by {}{} on average, root mean square {}").format(
            at_last(trained), unit, shown[MAE_AT_LAST], unit, shown[RMSE_AT_LAST]
        ),
    )
    yield (
        "whole runs",
        Markup("off by {}{} on average, where each run counts once").format(
            shown[MAE_BY_RUN], unit
        ),
    )
    yield (
        "all windows",
        Markup("off by {}{} on average, root mean square {}").format(
            shown["mae"], unit, shown["rmse"]
        ),
    )
    limited = cap(trained, target)
    if limited is not None:
        yield "cap", Markup("{}").format(limited)
