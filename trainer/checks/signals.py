"""Signals that say nothing: always the same, hardly ever there, or stuck for a while."""

from collections.abc import Iterator
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.checks.finding import Finding
from trainer.dataset.subject import Subject
from trainer.errors import first_few
from trainer.features.expression import Expression

NEARLY = 0.95
"""Share of samples without a value from which on a signal counts as nearly empty."""
STUCK_ROWS = 30
STUCK_TIMES = 20
"""So many times as long as 99 % of a signal's runs of one value."""
_COMMON = 0.99
_REPEATED = 3
_FAR = 5
"""So many times the range of all other values away from them."""


def constant_signal(subject: Subject) -> Iterator[Finding]:
    """Signals with one value in the whole training part."""
    found = []
    for name, column in _columns(subject):
        low = np.fmin.reduce(column, axis=None)
        if low == np.fmax.reduce(column, axis=None):
            found.append(f"'{name}' is always {low:g}")
    if found:
        said = f"in the training part {first_few(found)}"
        remedy = "leave it out, it adds nothing, or train on rows in which it changes"
        yield Finding("constant-signal", "warning", said, remedy)


def nearly_empty_signal(subject: Subject) -> Iterator[Finding]:
    """Signals with hardly a value, or none, within their range."""
    none, few = [], []
    for name, column in chain(_columns(subject), _derived(subject)):
        share = float(np.isnan(column).mean())
        if share == 1:
            none.append(f"'{name}'")
        elif share >= NEARLY:
            few.append(f"'{name}' in {share:.1%}")
    remedy = "correct its range, column or expression, or leave it out"
    if none:
        said = f"in the training part signal {first_few(none)} has no value within its range"
        yield Finding("nearly-empty-signal", "error", said, remedy)
    if few:
        said = f"no value within its range in the samples of the training part: {first_few(few)}"
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
        said = f"far longer than otherwise {first_few(found)}"
        remedy = "see whether the sensor or its line was dead; if so, leave those rows out"
        yield Finding("stuck-signal", "warning", said, remedy)


def stray_value(subject: Subject) -> Iterator[Finding]:
    """One number, again and again, far from all others: what many write for "no value"."""
    found = []
    for name, column in _columns(subject):
        stray = _far_and_repeated(column[:, -1])
        if stray is not None:
            value, count, low, high = stray
            found.append(f"'{name}' is {value:g} in {count} samples, else {low:g} to {high:g}")
    if found:
        said = f"one value far from all others {first_few(found)}"
        remedy = "if it means 'no value', set data.na_values or the signal's range"
        yield Finding("stray-value", "warning", said, remedy)


def counting_signal(subject: Subject) -> Iterator[Finding]:
    """Signals that number the rows: they know when something was, and not how."""
    recording = subject.recording
    order = np.argsort(recording.asset, kind="stable")
    on = (np.diff(recording.asset[order]) == 0) & (np.diff(recording.line[order]) == 1)
    on &= np.diff(recording.file[order]) == 0
    if on.sum() < STUCK_ROWS:
        return
    found = []
    for index, name in enumerate(recording.channels):
        steps = np.diff(recording.values[order, index])[on]
        step = float(np.nanmedian(steps)) if not np.isnan(steps).all() else 0.0
        if step and np.mean(steps == step) >= _COMMON and _is_new(subject, index):
            found.append(f"'{name}' by {step:g}")
    if found:
        said = f"goes on from row to row by one step: {first_few(found)}"
        remedy = "leave it out: it numbers the rows, and says when something was rather than how"
        yield Finding("counting-signal", "warning", said, remedy)


def _is_new(subject: Subject, index: int) -> bool:
    """Whether test rows have values of their own: counters of runs, as of cycles, begin anew."""
    train, test = (part.values[:, -1, index] for part in (subject.parts.train, subject.parts.test))
    return len(np.intersect1d(train, test)) < (1 - NEARLY) * len(np.unique(test))


def _far_and_repeated(column: NDArray[Any]) -> tuple[float, int, float, float] | None:
    """The lowest or highest value, how often it is there, and the range of all others.

    Zero is not strange: machines are off.
    """
    known = column[~np.isnan(column)]
    if len(known) < STUCK_ROWS:
        return None
    for stray in (known.min(), known.max()):
        others = known[known != stray]
        count = len(known) - len(others)
        if stray == 0 or count < _REPEATED or len(np.unique(others)) < STUCK_ROWS:
            continue
        low, high = float(others.min()), float(others.max())
        if max(low - stray, stray - high) > _FAR * (high - low):
            return float(stray), count, low, high
    return None


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


def _derived(subject: Subject) -> Iterator[tuple[str, NDArray[Any]]]:
    """Derived signals at the last sample of each window; NaN where they cannot be computed."""
    last = subject.parts.train.values[:, -1].astype(np.float64)
    columns = dict(zip(subject.recording.channels, last.T, strict=True))
    with np.errstate(all="ignore"):
        for derived in subject.recipe.derived:
            value = Expression(derived.expression).of(columns)
            columns[derived.name] = np.where(np.isfinite(value), value, np.nan)
            yield derived.name, columns[derived.name]
