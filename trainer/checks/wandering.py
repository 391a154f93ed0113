"""Signals whose level has been in too few places for anyone to know where it may be.

A detector takes what it was trained on for all that is normal. Of a pressure that goes up and down
in every window, a few hours show the whole range. A temperature that climbs with the weather passes
through its range once: every window shows nearly the same level, and the next day shows another.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from trainer.checks.finding import Finding
from trainer.dataset.subject import Subject
from trainer.errors import first_few

MOSTLY = 0.5
"""Share of a signal's variance that lies between windows, from which on it wanders."""
FEW = 10
"""Stretches above or below its median, up to which it has been seen too seldom."""
_MOST_WINDOWS = 10_000


def wandering_signal(subject: Subject) -> Iterator[Finding]:
    """Signals that change from window to window rather than within, and have seldom come back."""
    train, recipe = subject.parts.train, subject.recipe
    if recipe.target.task != "anomaly" or recipe.window.length == 1:
        return
    thinned = train.take(np.arange(0, len(train), -(-len(train) // _MOST_WINDOWS)))
    found = []
    for index, name in enumerate(subject.recording.channels):
        column = thinned.values[:, :, index].astype(np.float64)
        known = ~np.isnan(column).all(axis=1)
        share, stretches = _wandered(column[known], thinned.asset[known])
        if share > MOSTLY and stretches <= FEW:
            found.append(f"'{name}' ({share:.0%}, {stretches})")
    if found:
        said = (
            "signals that move from window to window more than within one, and were above or "
            f"below their median in {FEW} stretches at most (share of the variance, stretches): "
            f"{first_few(found)}"
        )
        remedy = (
            "what is normal of them cannot be told from so little, and any new level will be an "
            "alarm: leave them out, or train on more hours or assets"
        )
        yield Finding("wandering-signal", "warning", said, remedy)


def _wandered(column: NDArray[np.float64], asset: NDArray[np.int64]) -> tuple[float, int]:
    """Share of the variance between windows, and stretches above or below the median."""
    variance = float(np.nanvar(column)) if len(column) else 0.0
    if variance == 0:
        return 0.0, 0
    means = np.nanmean(column, axis=1)
    order = np.argsort(asset, kind="stable")
    above, of = (means > np.median(means))[order], asset[order]
    changes = (np.diff(above) != 0) | (np.diff(of) != 0)
    return float(means.var()) / variance, int(changes.sum()) + 1
