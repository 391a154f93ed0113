"""Signals whose level changes slowly, so that the training data shows only a part of their range.

A detector takes the training data for all that is normal. A pressure that goes up and down within
every window shows its whole range in a few hours. A temperature that follows the weather passes
through its range once: within a window it hardly changes, and the next day it is at a level that
the detector has never seen.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from trainer.checks.finding import Finding
from trainer.dataset.subject import Subject
from trainer.errors import first_few

MOSTLY = 0.5
# Share of a signal's variance that lies between the means of windows (the between-groups share of
# an analysis of variance), from which on a signal is reported.
MOSTLY = 0.5
# A signal that was above or below its median in at most so many stretches has hardly ever returned
# to a level it had before.
FEW = 10
# Windows that are examined, evenly spaced; more take time and change nothing.
_MOST_WINDOWS = 10_000


def wandering_signal(subject: Subject) -> Iterator[Finding]:
    """Report signals that change between windows more than within, and have seldom returned."""
    train, recipe = subject.parts.train, subject.recipe
    if recipe.target.task != "anomaly" or recipe.window.length == 1:
        return
    thinned = train.take(np.arange(0, len(train), -(-len(train) // _MOST_WINDOWS)))
    found, names = [], []
    for index, name in enumerate(subject.recording.channels):
        column = thinned.values[:, :, index].astype(np.float64)
        known = ~np.isnan(column).all(axis=1)
        share, stretches = _wandered(column[known], thinned.asset[known])
        if share > MOSTLY and stretches <= FEW:
            found.append(f"'{name}' ({share:.0%}, {stretches})")
            names.append(name)
    if found:
        evidence = (
            "signals that change from window to window more than within one, and were above or "
            f"below their median in at most {FEW} stretches (share of the variance, stretches): "
            f"{first_few(found)}"
        )
        remedy = (
            "so little data does not show their normal range, and any new level will raise an "
            "alarm: leave them out, or train on more hours or assets"
        )
        yield Finding("wandering-signal", "warning", evidence, remedy, signals=tuple(names))


def _wandered(column: NDArray[np.float64], asset: NDArray[np.int64]) -> tuple[float, int]:
    """The share of the variance between windows, and the stretches above or below the median."""
    variance = float(np.nanvar(column)) if len(column) else 0.0
    if variance == 0:
        return 0.0, 0
    means = np.nanmean(column, axis=1)
    order = np.argsort(asset, kind="stable")
    above, of = (means > np.median(means))[order], asset[order]
    changes = (np.diff(above) != 0) | (np.diff(of) != 0)
    return float(means.var()) / variance, int(changes.sum()) + 1
