"""Whether the target is distributed differently in the test part than in the training part.

With enough rows every difference is significant, and rows in time are not independent. So the size
of the difference is reported, and compared with what chance gives in a permutation test: blocks of
rows as long as the target's autocorrelation, or whole assets, are assigned to the parts at random.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.checks.finding import Finding
from trainer.dataset.subject import Subject
from trainer.evaluation.autocorrelation import memory
from trainer.recipe.document import Regression

NAME = "target-drift"
# A difference below this concerns less than a tenth of the rows and is not worth a warning.
NOTED = 0.1
CHANCE = 0.99
_PERMUTATIONS = 999
_BINS = 50
# Bounds the table of permutations to 999 times 2000 random numbers, 16 MB.
_MAX_UNITS = 2000
# Fewer units have too few permutations for a 99 % quantile.
_MIN_UNITS = 4


def target_drift(subject: Subject) -> Iterator[Finding]:
    """Report a test part whose target is far from that of the training part."""
    task, parts = subject.recipe.target.task, subject.parts
    if task == "anomaly" or _is_by_protocol(subject):
        return
    rows = np.concatenate([parts.train.rows, parts.test.rows])
    tested = np.repeat([False, True], [len(parts.train), len(parts.test)])
    order = np.lexsort((rows, subject.recording.asset[rows]))
    rows, tested = rows[order], tested[order]
    y = subject.truth.y[rows]
    level = _levels(y) if task == "regression" else y
    unit = _units(subject, rows, y.astype(np.float64))
    found, chance = _difference(level, tested, unit, ordered=task == "regression")
    if found < NOTED or found <= chance:
        return
    before, after = y[~tested], y[tested]
    if task == "regression":
        spread = float(before.std()) or 1.0
        evidence = (
            f"mean {before.mean():.4g} in the training part, {after.mean():.4g} in the test part "
            f"({(after.mean() - before.mean()) / spread:+.2f} standard deviations); the two "
            f"distributions differ by {found:.2f}"
        )
    else:
        evidence = (
            f"{_shares(before, after, subject.truth.classes)}; the shares differ by {found:.2f}"
        )
    evidence += f", at most {chance:.2f} would be by chance in rows as similar as these"
    remedy = (
        "look for what has changed in between; trust the metrics of the test part, not those of "
        "the folds"
    )
    yield Finding(NAME, "warning", evidence, remedy, about="test")


def _is_by_protocol(subject: Subject) -> bool:
    """Whether the parts differ in how their runs end, which makes remaining lives differ.

    Runs that were stopped early, whose remaining life a table tells, never come near zero. They are
    often of one part alone, as in C-MAPSS, whose test runs were all stopped.
    """
    target, recording, parts = subject.recipe.target, subject.recording, subject.parts
    if not isinstance(target, Regression) or target.left is None:
        return False
    # The smallest remaining life of each asset: zero if it ran until it failed.
    least = np.full(len(recording.assets), np.inf)
    known = subject.truth.known
    np.minimum.at(least, recording.asset[known], subject.truth.y[known])
    stopped = [
        float((least[np.unique(part.asset)] > 0).mean()) for part in (parts.train, parts.test)
    ]
    return abs(stopped[1] - stopped[0]) >= NOTED


def _levels(y: NDArray[np.float64]) -> NDArray[np.int64]:
    edges = np.unique(np.quantile(y, np.linspace(0, 1, _BINS + 1)[1:-1]))
    return np.searchsorted(edges, y)


def _units(subject: Subject, rows: NDArray[np.int64], y: NDArray[np.float64]) -> NDArray[np.int64]:
    """The number of the unit of each row that is assigned as a whole, `[n]`.

    Units are assets where a group split keeps them whole, blocks in time, or random groups.
    """
    asset = subject.recording.asset[rows]
    if subject.recipe.split.method == "group" and subject.truth.member is None:
        return asset
    if not subject.recording.timed or subject.recipe.split.method == "random-optimistic":
        return np.random.default_rng(0).integers(0, _MAX_UNITS, len(rows))
    length = max(memory(y, asset), -(-len(rows) // _MAX_UNITS))
    first = np.concatenate([[0], np.flatnonzero(np.diff(asset)) + 1])
    rank = np.arange(len(rows)) - np.repeat(first, np.diff(np.append(first, len(rows))))
    block = rank // length
    return np.cumsum(np.concatenate([[0], (np.diff(block) != 0) | (np.diff(asset) != 0)]))


def _difference(
    level: NDArray[np.int64], tested: NDArray[np.bool_], unit: NDArray[np.int64], *, ordered: bool
) -> tuple[float, float]:
    """The distance of the two parts, and its 99 % quantile over random assignments.

    The distance of numbers is the largest difference of their cumulative distributions (the
    statistic of Kolmogorov and Smirnov); of classes, half the sum of the differences of their
    shares (total variation distance).
    """
    _, unit = np.unique(unit, return_inverse=True)
    units, levels = int(unit.max()) + 1, int(level.max()) + 1
    share = float(tested.mean())
    found = _apart(
        np.bincount(level[tested], minlength=levels)[None],
        np.bincount(level[~tested], minlength=levels)[None],
        ordered=ordered,
    )
    if units < _MIN_UNITS:
        return float(found[0]), 1.0
    counts = np.bincount(unit * levels + level, minlength=units * levels).reshape(units, levels)
    drawn = np.random.default_rng(0).random((_PERMUTATIONS, units)).argsort(axis=1).argsort(axis=1)
    assigned = (drawn < max(1, round(share * units))).astype(np.float64) @ counts
    chance = _apart(assigned, counts.sum(axis=0) - assigned, ordered=ordered)
    return float(found[0]), float(np.quantile(chance, CHANCE))


def _apart(one: NDArray[Any], other: NDArray[Any], *, ordered: bool) -> NDArray[np.float64]:
    """The distance of each pair of histograms `[n, levels]`, `[n]`."""
    shares = [part / np.maximum(1, part.sum(axis=1, keepdims=True)) for part in (one, other)]
    difference = shares[0] - shares[1]
    apart: NDArray[np.float64] = (
        np.abs(difference.cumsum(axis=1)).max(axis=1)
        if ordered
        else np.abs(difference).sum(axis=1) / 2
    )
    return apart


def _shares(before: NDArray[Any], after: NDArray[Any], classes: tuple[str, ...]) -> str:
    """The shares of up to three classes that differ most between the parts, in words."""
    changes = [(after == c).mean() - (before == c).mean() for c in range(len(classes))]
    most = np.argsort(-np.abs(changes), kind="stable")[:3]
    return ", ".join(
        f"'{classes[c]}' {(before == c).mean():.1%} in the training part, "
        f"{(after == c).mean():.1%} in the test part"
        for c in most
    )
