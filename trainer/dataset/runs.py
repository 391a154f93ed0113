"""Events: consecutive rows of one asset with the same label, which are counted as one."""

import numpy as np
from numpy.typing import NDArray

from trainer.dataset.subject import Subject


def run_numbers(subject: Subject, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The number of the event that each row belongs to.

    With a time axis an event is a run: consecutive rows of one asset with the same label. Without
    one every row is an event, or every asset where the rows name theirs.
    """
    recording = subject.recording
    if not recording.timed:
        named = subject.recipe.data.names_assets
        return recording.asset[rows] if named else rows
    order = np.argsort(recording.asset, kind="stable")
    y = subject.truth.y[order]
    new = (np.diff(recording.asset[order]) != 0) | (np.diff(y) != 0)
    run = np.empty(len(order), dtype=np.int64)
    run[order] = np.concatenate([[0], np.cumsum(new)])
    return run[rows]
