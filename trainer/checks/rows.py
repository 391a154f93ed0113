"""Inputs that occur twice: with different labels, in both parts, or in two files."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.checks.finding import Finding
from trainer.dataset.subject import Subject
from trainer.errors import first_few

# Share of test windows that are in the training part too, from which on it is a warning: a
# machine that stands still repeats some windows, which is harmless.
NOTED_SHARE = 0.01
# From this share on it is an error.
COPIED = 0.1
# Bounds of the work in `_by_chance`: test windows and training samples.
_MAX_DRAWN, _MAX_SEEN = 2_000, 1_000_000
# If so many windows on average have the same samples, the inputs are coarse (few values each), and
# equal windows are not copies.
_COARSE = 4


def contradictory_rows(subject: Subject) -> Iterator[Finding]:
    """Report equal inputs with different labels, and the best metric that they leave possible."""
    keys = np.concatenate(subject.keys)
    rows = np.concatenate([subject.parts.train.rows, subject.parts.test.rows])
    if not subject.truth.labelled or not len(rows):
        return
    _, group = np.unique(keys, return_inverse=True)
    y = subject.truth.y[rows]
    size = np.bincount(group)
    is_number = subject.recipe.target.task == "regression"
    spoiled = _spoiled(group, y)[group]
    share = float(spoiled.mean())
    if not spoiled.any() or (is_number and share < NOTED_SHARE):
        return
    first, other = _pair(group, y, int(group[np.argmax(spoiled)]))
    evidence = (
        f"{int(spoiled.sum())} of {len(rows)} windows ({share:.1%}) have the same samples as "
        f"another with a different label, such as {_label(subject, rows[first])} and "
        f"{_label(subject, rows[other])}{_by_file(subject, rows[spoiled])}"
    )
    if is_number:
        mean = np.bincount(group, weights=y) / size
        bound = float(np.sqrt(np.mean((y - mean[group]) ** 2)))
        evidence += f"; no model can have an rmse below {bound:.3g} on them all"
    else:
        evidence += f"; no model can have an accuracy above {_best_share(group, y):.2%} on them all"
    remedy = "add a signal that distinguishes them, or correct the labels"
    yield Finding("contradictory-rows", "warning", evidence, remedy)


def duplicated_rows(subject: Subject) -> Iterator[Finding]:
    """Report test windows whose very samples are in the training part.

    Every content counts once, so that a machine that stands still does not look like copies.
    """
    trained, tested = (np.unique(keys) for keys in subject.keys)
    shared = np.intersect1d(trained, tested, assume_unique=True)
    share = len(shared) / max(1, len(tested))
    if share < NOTED_SHARE:
        return
    windows = sum(map(len, subject.keys))
    coarse = windows > _COARSE * len(np.union1d(trained, tested)) or _by_chance(subject) > share / 2
    found = int(np.isin(subject.keys[1], shared).sum())
    row = subject.parts.test.rows[int(np.argmax(np.isin(subject.keys[1], shared)))]
    evidence = (
        f"the samples of {found} of {len(subject.keys[1])} test windows are in the training part "
        f"too ({share:.1%} of the different ones), such as {subject.recording.place(row)}"
    )
    if coarse:
        remedy = "inputs of few values repeat themselves: the metrics hold for known inputs only"
    else:
        remedy = "leave out the copies, or split so that they stay together"
    severe = share >= COPIED and not coarse
    yield Finding("duplicated-rows", "error" if severe else "warning", evidence, remedy)


def _by_chance(subject: Subject) -> float:
    """The share of the different test windows that would be in the training part by chance.

    It is computed as if every sample of every signal were drawn independently from the values
    that the signal has in the training part.
    """
    _, first = np.unique(subject.keys[1], return_index=True)
    whole = subject.parts.train.values
    trained = whole[:: 1 + whole[:, :, 0].size // _MAX_SEEN]
    tested = subject.parts.test.values[first[:_MAX_DRAWN]]
    likely = np.zeros(len(tested))
    for channel in range(trained.shape[2]):
        values, counts = np.unique(trained[:, :, channel], return_counts=True)
        place = np.searchsorted(values, tested[:, :, channel]).clip(max=len(values) - 1)
        known = np.isclose(values[place], tested[:, :, channel], rtol=0, atol=0, equal_nan=True)
        share = np.where(known, counts[place] / counts.sum(), 0.0)
        with np.errstate(divide="ignore"):
            likely += np.log(share).sum(axis=1)
    return float(-np.expm1(-len(whole) * np.exp(likely)).mean())


def duplicated_files(subject: Subject) -> Iterator[Finding]:
    """Report files of the same content, whose rows count twice unless their times are equal."""
    recording, data = subject.recording, subject.recipe.data
    alike: dict[str, list[str]] = defaultdict(list)
    for name in recording.files:
        if name in recording.digests:
            alike[recording.digests[name]].append(name)
    pairs = [" = ".join(names) for names in alike.values() if len(names) > 1]
    if not pairs:
        return
    stamped = data.time is not None and data.time.column is not None and data.asset_from is None
    evidence = f"the same content in different files: {first_few(pairs)}"
    if stamped:
        evidence += "; their rows have the same times and assets, and count once"
    remedy = "name each content only once in data.files"
    opposed = _opposed(subject, [names for names in alike.values() if len(names) > 1])
    if opposed:
        evidence += f"; their labels contradict each other: {first_few(opposed)}"
        remedy += ", with the label that is right"
    yield Finding("duplicated-files", "warning" if stamped else "error", evidence, remedy)


def _opposed(subject: Subject, groups: list[list[str]]) -> list[str]:
    """Copies with other labels than the first of their group, and the first such row, in words."""
    line, y, found = subject.recording.line, subject.truth.y, []
    for first, *others in groups:
        one = _labelled(subject, first)
        for other in others:
            two = _labelled(subject, other)
            _, at, of = np.intersect1d(line[one], line[two], return_indices=True)
            apart = y[one[at]] != y[two[of]]
            if apart.any():
                pair = (one[at][apart][0], two[of][apart][0])
                said = " and ".join(_label(subject, row) for row in pair)
                found.append(f"{said}, in {int(apart.sum())} rows in all")
    return found


def _labelled(subject: Subject, name: str) -> NDArray[np.int64]:
    """The rows of a file whose label is known."""
    recording = subject.recording
    of_file = recording.file == recording.files.index(name)
    return np.flatnonzero(of_file & subject.truth.known)


def _label(subject: Subject, row: int) -> str:
    """The place of a row, and its label."""
    y, classes = subject.truth.y[row], subject.truth.classes
    return f"{subject.recording.place(row)} is " + (f"'{classes[int(y)]}'" if classes else f"{y:g}")


def _spoiled(group: NDArray[np.int64], y: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether each group of equal windows has more than one label, `[groups]`."""
    low, high = (np.full(int(group.max()) + 1, start) for start in (np.inf, -np.inf))
    np.minimum.at(low, group, y)
    np.maximum.at(high, group, y)
    return low < high


def _pair(group: NDArray[np.int64], y: NDArray[Any], wanted: int) -> tuple[int, int]:
    """The positions of two windows of the group `wanted` that have different labels."""
    members = np.flatnonzero(group == wanted)
    other = members[y[members] != y[members[0]]]
    return int(members[0]), int(other[0])


def _by_file(subject: Subject, rows: NDArray[np.int64]) -> str:
    """How many of the rows are in which file, those with most first; empty for a single file."""
    recording = subject.recording
    if len(recording.files) == 1:
        return ""
    counts = np.bincount(recording.file[rows], minlength=len(recording.files))
    most = [index for index in np.argsort(-counts, kind="stable") if counts[index]]
    return f"; they are in {first_few([f'{recording.files[at]} ({counts[at]})' for at in most])}"


def _best_share(group: NDArray[np.int64], y: NDArray[Any]) -> float:
    """Share of windows that are right if each group is given its commonest class."""
    _, both = np.unique(np.column_stack([group, y]), axis=0, return_counts=True)
    pair = np.unique(np.column_stack([group, y]), axis=0)
    best = np.zeros(int(group.max()) + 1)
    np.maximum.at(best, pair[:, 0], both)
    return float(best.sum() / len(group))
