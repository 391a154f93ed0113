"""Signals whose steps are lost when their values become float32, as those of a meter do."""

from collections.abc import Iterator
from math import ceil, floor, log10
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trainer.checks.finding import Finding
from trainer.dataset.subject import Subject
from trainer.errors import first_few

# Rounding by more than this share of a step is worth a warning.
LOST = 0.1
# So many rows suffice to know a signal's level and step.
_MAX_ROWS = 200_000


class Coarse(NamedTuple):
    """A signal that float32 is too coarse for.

    Attributes:
        name: its name.
        level: its greatest distance from zero.
        step: the median of the distances of its values from row to row, other than 0.
        held: the distance of two float32 at that level.
        offset: a round number below all of its values.
    """

    name: str
    level: float
    step: float
    held: float
    offset: float


def steps_lost(subject: Subject) -> Iterator[Finding]:
    """Report signals whose steps a float32 cannot hold at their level, and the offset to write."""
    found = list(coarse_signals(subject))
    if not found:
        return
    listed = [
        f"'{one.name}' is near {one.level:.10g} and changes by {one.step:.3g} from row to row, but "
        f"a float32 there changes by {one.held:.3g}"
        for one in found
    ]
    keys = [f"'{one.name}' offset = {one.offset:.16g}" for one in found]
    remedy = (
        f"give the signal {first_few(keys)}, which is subtracted in double precision before, in "
        "training as on the gateway; or record its rate instead"
    )
    names = tuple(one.name for one in found)
    yield Finding("steps-lost", "warning", first_few(listed), remedy, signals=names)


def coarse_signals(subject: Subject) -> Iterator[Coarse]:
    """The signals whose steps are lost, less what their offset already restores."""
    recording, signals = subject.recording, subject.recipe.signals
    order = np.argsort(recording.asset, kind="stable")[:_MAX_ROWS]
    for index, signal in enumerate(signals):
        column = recording.values[order, index].astype(np.float64)
        known = column[np.isfinite(column)]
        if signal.codes or recording.values.dtype == np.float32 or not len(known):
            continue
        found = _coarse(signal.name, known, signal.offset)
        if found is not None:
            yield found


def _coarse(name: str, values: NDArray[np.float64], offset: float) -> Coarse | None:
    steps = np.abs(np.diff(values))
    steps = steps[steps > 0]
    if not len(steps):
        return None
    step, rest = float(np.median(steps)), values - offset
    with np.errstate(over="ignore"):
        lost = float(np.median(np.abs(rest.astype(np.float32).astype(np.float64) - rest)))
    if not LOST * step < lost < np.inf:
        return None
    level = float(np.abs(rest).max())
    return Coarse(name, level, step, float(np.spacing(np.float32(level))), _below(values))


def _below(values: NDArray[np.float64]) -> float:
    """A round number that is not above the values, and nearer to them than ten of their spans."""
    low, high = float(values.min()), float(values.max())
    unit = 10.0 ** ceil(log10(high - low))
    return floor(low / unit) * unit
