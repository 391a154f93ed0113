"""Signals that are at another level in some files, or in the test part: an exchanged sensor.

The values of the two sides must not overlap, and lie apart by many times what they vary by on
either side, or as far as a change of unit takes them. Meters, which only ever go one way, are left
out. Rows of one class are compared, because another class may well be at another level.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trainer.checks.finding import Finding
from trainer.dataset.subject import Subject
from trainer.errors import first_few

NAME = "level-jump"
# How many middle halves of its values a signal must have moved by, unless a unit explains it.
FAR = 10.0
# Fewer values show no distribution; signals of fewer different values are states or setpoints.
_FEWEST, _DISTINCT = 20, 10
# The values of a side are these quantiles of them: a few strays do not make sides overlap.
_QUANTILES = (0.01, 0.25, 0.5, 0.75, 0.99)
# More values of a file and signal are thinned out.
_MOST = 20_000
# A unit explains a jump if the level is off by no more than this share of it, and the width of the
# middle half by no more than this factor.
_LEVEL_OFF, _WIDTH_OFF = 0.1, 1.5
# What a value is multiplied by, and what is then added. NIST SP 811, appendix B.8. Plain factors
# below 4 are left out: another load changes a signal as much.
UNITS = {
    "1.8 and plus 32, as from degC to degF": (1.8, 32.0),
    "1 and plus 273.15, as from degC to K": (1.0, 273.15),
    "1000, as from kPa to Pa": (1000.0, 0.0),
    "100, as from a fraction to per cent": (100.0, 0.0),
    "60, as from 1/s to 1/min": (60.0, 0.0),
    "3600, as from 1/s to 1/h": (3600.0, 0.0),
    "14.504, as from bar to psi": (14.5038, 0.0),
    "6.895, as from psi to kPa": (6.89476, 0.0),
    "25.4, as from inches to mm": (25.4, 0.0),
    "4.448, as from lbf to N": (4.44822, 0.0),
}

Values = NDArray[np.float64]


class _Level(NamedTuple):
    """Where a signal is: the quantiles of `_QUANTILES`."""

    low: float
    quarter: float
    middle: float
    three_quarters: float
    high: float

    @property
    def width(self) -> float:
        """The width of the middle half."""
        return self.three_quarters - self.quarter


class _Jump(NamedTuple):
    """A signal whose values on two sides do not overlap; a side is a file, or a part."""

    name: str
    sides: tuple[str, str]
    levels: tuple[_Level, _Level]

    def __str__(self) -> str:
        one, other = self.levels
        unit = self.unit
        return (
            f"'{self.name}' is around {one.middle:.4g} in {self.sides[0]} and around "
            f"{other.middle:.4g} in {self.sides[1]}" + (f" (times {unit})" if unit else "")
        )

    @property
    def unit(self) -> str:
        """The change of unit that explains the jump; empty if none does."""
        one, other = self.levels
        for text, (factor, offset) in UNITS.items():
            if _explains(one, other, factor, offset):
                return text
            if _explains(other, one, factor, offset):
                return f"{text}, the other way round"
        return ""

    @property
    def is_far(self) -> bool:
        """Whether the sides lie apart by many times what they vary by."""
        one, other = self.levels
        return abs(one.middle - other.middle) >= FAR * max(one.width, other.width)


def level_jump(subject: Subject) -> Iterator[Finding]:
    """Report signals that are at another level in some files, or in the test part."""
    found = _between_files(subject)
    known = {one.name for one in found}
    found += [one for one in _between_parts(subject) if one.name not in known]
    told = [one for one in found if one.unit or one.is_far]
    # Where most signals move, it is another load or product, unless units explain all of it.
    most = 2 * len(found) > max(2, len(subject.recording.channels))
    if most and not all(one.unit for one in found):
        return
    if not told:
        return
    evidence = (
        "the level changes by far more than the signal varies on either side: "
        f"{first_few([str(one) for one in told])}"
    )
    remedy = (
        "if a sensor was exchanged or its unit changed, bring the values to one unit, or leave out "
        "what came before; if it is another way to operate the plant, the data is right"
    )
    yield Finding(NAME, "warning", evidence, remedy, signals=tuple(one.name for one in told))


def _between_files(subject: Subject) -> list[_Jump]:
    """The jumps between two groups of files, each named by the files on either side of it."""
    recording, rows = subject.recording, _alike(subject, np.arange(len(subject.recording)))
    order = rows[np.argsort(recording.file[rows], kind="stable")]
    numbers, starts = np.unique(recording.file[order], return_index=True)
    pieces = [_thinned(piece) for piece in np.split(order, starts[1:])]
    if len(numbers) < 2:  # noqa: PLR2004  there is nothing to compare
        return []
    first = np.array([int(piece[0]) for piece in pieces])
    found = []
    for index, name in enumerate(recording.channels):
        columns = [_present(recording.values[piece, index]) for piece in pieces]
        used = [at for at, column in enumerate(columns) if len(column) >= _FEWEST]
        split = _apart([columns[at] for at in used])
        if split is None:
            continue
        sides = [[used[at] for at in side] for side in split]
        sides.sort(key=lambda side: min(first[at] for at in side))
        levels = [_level([columns[at] for at in side]) for side in sides]
        # The first file of the later side, and the last one of the other before it.
        later = min(sides[1], key=lambda at: first[at])
        before = max((at for at in sides[0] if first[at] <= first[later]), key=lambda at: first[at])
        named = (recording.files[numbers[before]], recording.files[numbers[later]])
        found.append(_Jump(name, named, (levels[0], levels[1])))
    return found


def _between_parts(subject: Subject) -> list[_Jump]:
    recording, parts = subject.recording, subject.parts
    rows = [_thinned(_alike(subject, one.rows)) for one in (parts.train, parts.test)]
    found = []
    for index, name in enumerate(recording.channels):
        columns = [_present(recording.values[one, index]) for one in rows]
        if min(map(len, columns)) >= _FEWEST and _apart(columns) is not None:
            one, other = (_level([column]) for column in columns)
            found.append(_Jump(name, ("the training part", "the test part"), (one, other)))
    return found


def _alike(subject: Subject, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Those of the rows that have the commonest class, or of a detector the normal ones."""
    truth, task = subject.truth, subject.recipe.target.task
    if task == "regression" or not truth.labelled:
        return rows
    known = truth.y[truth.known].astype(np.int64)
    klass = 0 if task == "anomaly" or not len(known) else int(np.bincount(known).argmax())
    alike: NDArray[np.int64] = rows[truth.known[rows] & (truth.y[rows] == klass)]
    return alike


def _thinned(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    return rows[:: 1 + len(rows) // _MOST]


def _present(column: NDArray[Any]) -> Values:
    present: Values = column[np.isfinite(column)].astype(np.float64)
    return present


def _level(columns: list[Values]) -> _Level:
    return _Level(*map(float, np.quantile(np.concatenate(columns), _QUANTILES)))


def _apart(columns: list[Values]) -> tuple[list[int], list[int]] | None:
    """The indices of the columns below and above the widest gap; None without a clear one."""
    if any(len(np.unique(column)) < _DISTINCT or _is_meter(column) for column in columns):
        return None
    levels = [_level([column]) for column in columns]
    order = sorted(range(len(levels)), key=lambda at: levels[at].middle)
    gaps = [
        min(levels[at].low for at in order[cut:]) - max(levels[at].high for at in order[:cut])
        for cut in range(1, len(order))
    ]
    if not gaps or max(gaps) <= 0:
        return None
    cut = 1 + int(np.argmax(gaps))
    return order[:cut], order[cut:]


def _is_meter(column: Values) -> bool:
    steps = np.diff(column)
    return bool((steps >= 0).all() or (steps <= 0).all())


def _explains(one: _Level, other: _Level, factor: float, offset: float) -> bool:
    """Whether `other` is `one` times the factor plus the offset, in level and width."""
    if min(one.width, other.width) <= 0:
        return False
    stretched = other.width / one.width / factor
    expected = one.middle * factor + offset
    return (
        abs(expected - other.middle) <= _LEVEL_OFF * abs(other.middle)
        and 1 / _WIDTH_OFF <= stretched <= _WIDTH_OFF
    )
