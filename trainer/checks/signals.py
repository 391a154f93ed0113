"""Signals that carry no information: constant, nearly empty, stuck, or a count of the rows."""

from collections.abc import Iterator
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trainer.checks.finding import Finding
from trainer.checks.precision import coarse_signals
from trainer.dataset.subject import Subject
from trainer.errors import first_few
from trainer.features.expression import Expression

# Share of samples without a value from which on a signal counts as nearly empty.
NEARLY = 0.95
# A signal is stuck if it keeps one value for so many rows, and so many times as long as 99 % of
# its other runs of one value.
STUCK_ROWS = 30
STUCK_TIMES = 20
_COMMON = 0.99
# A stray value occurs so often, and is so many times the range of all other values away from them.
_REPEATED = 3
_FAR = 5


def constant_signal(subject: Subject) -> Iterator[Finding]:
    """Report signals with one value in the whole training part."""
    found, names, lost = [], [], {one.name for one in coarse_signals(subject)}
    for name, column in _columns(subject):
        low = np.fmin.reduce(column, axis=None)
        if low == np.fmax.reduce(column, axis=None) and name not in lost:
            found.append(f"'{name}' is always {low:g}")
            names.append(name)
    if found:
        evidence = f"in the training part {first_few(found)}"
        remedy = "leave it out, it adds nothing, or train on rows in which it changes"
        yield Finding("constant-signal", "warning", evidence, remedy, signals=tuple(names))


def nearly_empty_signal(subject: Subject) -> Iterator[Finding]:
    """Report signals with few values, or none, within their valid range."""
    none, few, named = [], [], []
    for name, column in chain(_columns(subject), _derived(subject)):
        share = float(np.isnan(column).mean())
        if share == 1:
            none.append(name)
        elif share >= NEARLY:
            few.append(f"'{name}' in {share:.1%}")
            named.append(name)
    remedy = "correct its range, column or expression, or leave it out"
    if none:
        listed = first_few([f"'{name}'" for name in none])
        evidence = f"in the training part signal {listed} has no value within its range"
        yield Finding("nearly-empty-signal", "error", evidence, remedy, signals=tuple(none))
    if few:
        evidence = (
            f"no value within its range in the samples of the training part: {first_few(few)}"
        )
        yield Finding("nearly-empty-signal", "warning", evidence, remedy, signals=tuple(named))


def stuck_signal(subject: Subject) -> Iterator[Finding]:
    """Report signals that keep one value far longer than they ever do otherwise."""
    recording, runs = subject.recording, stuck_runs(subject)
    if runs:
        found = [
            f"'{name}' is {recording.values[run.start, recording.channels.index(name)]:g} in "
            f"{run.length} rows from {recording.place(run.start)} on"
            for name, run in runs.items()
        ]
        evidence = f"one value far longer than ever otherwise: {first_few(found)}"
        remedy = "check whether the sensor or its line was dead; if so, leave those rows out"
        yield Finding("stuck-signal", "warning", evidence, remedy, signals=tuple(runs))


class Stuck(NamedTuple):
    """Where a signal keeps one value far longer than it does otherwise.

    Attributes:
        start: row at which the longest such run begins.
        length: rows of the longest run.
        rows: rows of all such runs.
    """

    start: int
    length: int
    rows: int


def stuck_runs(subject: Subject) -> dict[str, Stuck]:
    """The signals that were stuck, and where."""
    recording = subject.recording
    if not recording.timed:
        return {}
    order = np.argsort(recording.asset, kind="stable")
    apart = np.diff(recording.asset[order]) != 0
    found = {}
    for index, signal in enumerate(subject.recipe.signals):
        column = recording.values[order, index]
        if signal.range is not None:  # what is outside counts as missing, such as -9999
            low, high = signal.range
            column = np.where((column < low) | (column > high), np.nan, column)
        run = _longest(column, apart)
        if run is not None:
            found[signal.name] = run._replace(start=int(order[run.start]))
    return found


def stray_value(subject: Subject) -> Iterator[Finding]:
    """Report a number that recurs far from all others, such as -9999: often it means "no value"."""
    found, names = [], []
    for name, column in _columns(subject):
        stray = far_and_repeated(column[:, -1])
        if stray is not None:
            value, count, low, high = stray
            found.append(f"'{name}' is {value:g} in {count} samples, else {low:g} to {high:g}")
            names.append(name)
    if found:
        evidence = f"one value far from all others: {first_few(found)}"
        remedy = "if it means 'no value', set data.na_values or the signal's range"
        yield Finding("stray-value", "warning", evidence, remedy, signals=tuple(names))


def counting_signal(subject: Subject) -> Iterator[Finding]:
    """Report signals that number the rows: a model learns from them when something happened."""
    recording = subject.recording
    order = np.argsort(recording.asset, kind="stable")
    on = (np.diff(recording.asset[order]) == 0) & (np.diff(recording.line[order]) == 1)
    on &= np.diff(recording.file[order]) == 0
    if on.sum() < STUCK_ROWS:
        return
    found, names = [], []
    for index, name in enumerate(recording.channels):
        steps = np.diff(recording.values[order, index])[on]
        step = float(np.nanmedian(steps)) if not np.isnan(steps).all() else 0.0
        if step and np.mean(steps == step) >= _COMMON and _is_new(subject, index):
            found.append(f"'{name}' by {step:g}")
            names.append(name)
    if found:
        evidence = f"the signal counts from row to row: {first_few(found)}"
        remedy = (
            "leave it out: a count tells when something happened, and its values in new data were "
            "never trained on"
        )
        yield Finding("counting-signal", "warning", evidence, remedy, signals=tuple(names))


def _is_new(subject: Subject, index: int) -> bool:
    """Whether the test part has values of its own; a count of cycles begins anew in each run."""
    train, test = (part.values[:, -1, index] for part in (subject.parts.train, subject.parts.test))
    return len(np.intersect1d(train, test)) < (1 - NEARLY) * len(np.unique(test))


def far_and_repeated(column: NDArray[Any]) -> tuple[float, int, float, float] | None:
    """The lowest or highest value, its count, and the range of all others; None if it is not far.

    Zero is never reported, because signals of a machine that is off are zero.
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


def _longest(column: NDArray[np.float64], apart: NDArray[np.bool_]) -> Stuck | None:
    """The runs of one value that are far longer than the others; None if there is none."""
    starts = np.concatenate([[0], np.flatnonzero((np.diff(column) != 0) | apart) + 1])
    lengths = np.diff(np.append(starts, len(column)))
    valued = ~np.isnan(column[starts])
    starts, lengths = starts[valued], lengths[valued]
    if len(lengths) < STUCK_ROWS:
        return None
    at = int(np.argmax(lengths))
    usual = float(np.quantile(lengths, _COMMON))
    least = max(STUCK_ROWS, STUCK_TIMES * usual)
    if lengths[at] < least:
        return None
    return Stuck(int(starts[at]), int(lengths[at]), int(lengths[lengths >= least].sum()))


def _columns(subject: Subject) -> Iterator[tuple[str, NDArray[Any]]]:
    for index, name in enumerate(subject.recording.channels):
        yield name, subject.parts.train.values[:, :, index]


def _derived(subject: Subject) -> Iterator[tuple[str, NDArray[Any]]]:
    """Each derived signal's name and last sample in each window, `[n]`; NaN if not defined."""
    last = subject.parts.train.values[:, -1].astype(np.float64)
    columns = dict(zip(subject.recording.channels, last.T, strict=True))
    with np.errstate(all="ignore"):
        for derived in subject.recipe.derived:
            value = Expression(derived.expression).evaluate(columns)
            columns[derived.name] = np.where(np.isfinite(value), value, np.nan)
            yield derived.name, columns[derived.name]
