"""Signals that say nothing: always the same, hardly ever there, or stuck for a while."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.checks.finding import Finding
from trainer.errors import listed
from trainer.recordings.subject import Subject

NEARLY = 0.95
"""Share of samples without a value from which on a signal counts as nearly empty."""
STUCK_ROWS = 30
STUCK_TIMES = 20
"""So many times as long as 99 % of a signal's runs of one value."""
_COMMON = 0.99


def constant_signal(subject: Subject) -> Iterator[Finding]:
    """Signals with one value in the whole training part."""
    found = []
    for name, column in _columns(subject):
        low = np.fmin.reduce(column, axis=None)
        if low == np.fmax.reduce(column, axis=None):
            found.append(f"'{name}' is always {low:g}")
    if found:
        said = f"in the training part {listed(found)}"
        remedy = "leave it out, it adds nothing, or train on rows in which it changes"
        yield Finding("constant-signal", "warning", said, remedy)


def nearly_empty_signal(subject: Subject) -> Iterator[Finding]:
    """Signals with hardly a value, or none, within their range."""
    none, few = [], []
    for name, column in _columns(subject):
        share = float(np.isnan(column).mean())
        if share == 1:
            none.append(f"'{name}'")
        elif share >= NEARLY:
            few.append(f"'{name}' in {share:.1%}")
    remedy = "correct its range or column, or leave it out"
    if none:
        said = f"in the training part signal {listed(none)} has no value within its range"
        yield Finding("nearly-empty-signal", "error", said, remedy)
    if few:
        said = f"no value within its range in the samples of the training part: {listed(few)}"
        yield Finding("nearly-empty-signal", "warning", said, remedy)


def stuck_signal(subject: Subject) -> Iterator[Finding]:
    """Signals that keep one value far longer than they ever do otherwise."""
    recording = subject.recording
    if not recording.timed:
        return
    order = np.argsort(recording.asset, kind="stable")
    apart = np.diff(recording.asset[order]) != 0
    found = []
    for index, name in enumerate(recording.channels):
        column = recording.values[order, index]
        run = _longest(column, apart)
        if run is not None:
            start, length = run
            place = recording.place(order[start])
            found.append(f"'{name}' is {column[start]:g} in {length} rows from {place} on")
    if found:
        said = f"far longer than otherwise {listed(found)}"
        remedy = "see whether the sensor or its line was dead; if so, leave those rows out"
        yield Finding("stuck-signal", "warning", said, remedy)


def _longest(column: NDArray[np.float64], apart: NDArray[np.bool_]) -> tuple[int, int] | None:
    """Start and length of the longest run of one value, if it is out of all proportion."""
    starts = np.concatenate([[0], np.flatnonzero((np.diff(column) != 0) | apart) + 1])
    lengths = np.diff(np.append(starts, len(column)))
    valued = ~np.isnan(column[starts])
    starts, lengths = starts[valued], lengths[valued]
    if len(lengths) < STUCK_ROWS:
        return None
    at = int(np.argmax(lengths))
    usual = float(np.quantile(lengths, _COMMON))
    if lengths[at] < max(STUCK_ROWS, STUCK_TIMES * usual):
        return None
    return int(starts[at]), int(lengths[at])


def _columns(subject: Subject) -> Iterator[tuple[str, NDArray[Any]]]:
    for index, name in enumerate(subject.recording.channels):
        yield name, subject.parts.train.values[:, :, index]
