"""Alarms in the words of a plant: how often they are false, and how soon a fault is found.

An alarm is a stretch of windows with an alarm; stretches less than a window apart are one, because
their windows share samples. It is false if it begins where nothing is marked. A fault is a stretch
of marked windows; it is found if a window in it has an alarm, and the delay counts from its first
window. Rows without a time axis do not follow each other: there each row is for itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.bundle.manifest import WindowSpec
from trainer.dataset.clock import Clock, clock_of
from trainer.dataset.subject import Subject

Mask = NDArray[np.bool_]
Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Fault:
    """One stretch of marked windows.

    Attributes:
        group: index of the asset or file that it is of.
        begin_ns: time of its first window, nanoseconds.
        length_ns: how long it is marked, nanoseconds; for rows without a time axis their number.
        delay_ns: time from its first window to the first alarm in it, nanoseconds; None if it was
            not found.
    """

    group: int
    begin_ns: int
    length_ns: float
    delay_ns: float | None


@dataclass(frozen=True, slots=True)
class Detection:
    """What became of alarms and faults on the test windows.

    Attributes:
        clock: what times mean.
        timed: whether the rows have a time axis; without one each row is for itself.
        what: what a fault is called, one and several of them.
        labelled: whether it is known which windows are normal.
        of: what groups are: `asset` or `file`.
        groups: names of all groups.
        normal_ns: normal time of each group, nanoseconds, `[groups]`; rows without a time axis.
        alarmed_ns: how much of it was in alarm, likewise.
        false_alarms: number of false alarms of each group, `[groups]`.
        faults: all faults, in the order of group and time.
        tested: indices of the groups that have test windows.
    """

    clock: Clock
    timed: bool
    what: tuple[str, str]
    labelled: bool
    of: str
    groups: tuple[str, ...]
    normal_ns: NDArray[np.float64]
    alarmed_ns: NDArray[np.float64]
    false_alarms: Indices
    faults: tuple[Fault, ...]
    tested: Indices

    def words(self) -> dict[str, str]:
        """False alarms and found faults in words, without what the test part has none of."""
        what = "false alarm" if self.labelled else "alarm"
        said = {f"{what}s": self._raised(what)} if self.normal_ns.any() else {}
        return said | ({"faults": self.found(self.faults)} if self.labelled else {})

    def _raised(self, what: str) -> str:
        normal, count = float(self.normal_ns.sum()), int(self.false_alarms.sum())
        whole = self.clock.span(normal) + (" of normal operation" if self.labelled else "")
        share = f"{100 * float(self.alarmed_ns.sum()) / normal:.3g} % of it in alarm"
        if count > 1:
            return f"one {what} in {self.clock.span(normal / count)}: {count} in {whole}, {share}"
        if not count and self.alarmed_ns.any():
            share += ", by alarms that outlast their fault"
        return f"{'one' if count else 'no'} {what} in {whole}, {share}"

    def found(self, faults: Sequence[Fault]) -> str:
        """How many of some faults were found, and after how long."""
        one, several = self.what
        delays = [fault.delay_ns for fault in faults if fault.delay_ns is not None]
        what = f"{len(faults)} {one if len(faults) == 1 else several}"
        if not faults:
            return f"no {one} in the test part, so what is found is not known"
        if not delays:
            return f"none of {what} found"
        found = f"{len(delays)} of {what} found"
        median = " (median)" if len(delays) > 1 else ""
        return found + (f", {self.after(float(np.median(delays)))}{median}" if self.timed else "")

    def after(self, delay_ns: float) -> str:
        """A delay in words."""
        return f"after {self.clock.span(delay_ns)}" if delay_ns else "at once"


def detection(
    subject: Subject, spec: WindowSpec, alarm: Mask, event: Mask, *, name: str = ""
) -> Detection:
    """Find alarms and faults on the test windows.

    Args:
        subject: the recording and both parts of the split.
        spec: the window, with the sample period that was measured.
        alarm: mask of the test windows with an alarm, `[n]`.
        event: mask of those that are marked as a fault, `[n]`.
        name: name of the class that an alarm stands for; empty for a detector.
    """
    recording, test = subject.recording, subject.parts.test
    by_file = len(recording.assets) == 1 and len(recording.files) > 1
    names = recording.files if by_file else recording.assets
    group = (recording.file if by_file else recording.asset)[test.rows]
    order = np.lexsort((recording.times_ns[test.rows], group))
    group, alarm, event = group[order], alarm[order], event[order]
    times = recording.times_ns[test.rows][order]
    step = spec.hop * (1.0 if spec.sample_period_ms is None else spec.sample_period_ms * 1e6)
    near = -(-spec.length // spec.hop) if recording.timed else 0
    alarms = _joined(_stretches(alarm, group, apart=not recording.timed), group, near)
    false = group[alarms[~event[alarms[:, 0]], 0]]
    count = len(names)
    return Detection(
        clock=clock_of(recording, subject.recipe),
        timed=recording.timed,
        what=_what(name, timed=recording.timed),
        labelled=subject.truth.labelled,
        of="file" if by_file else "asset",
        groups=names,
        normal_ns=_counted(group[~event], count) * step,
        alarmed_ns=_counted(group[alarm & ~event], count) * step,
        false_alarms=np.bincount(false, minlength=count),
        faults=tuple(
            _fault(int(group[first]), times[first : end + 1], alarm[first : end + 1], step)
            for first, end in _stretches(event, group, apart=not recording.timed).tolist()
        ),
        tested=np.unique(group),
    )


def _counted(group: NDArray[Any], count: int) -> NDArray[np.float64]:
    return np.bincount(group, minlength=count).astype(np.float64)


def _what(name: str, *, timed: bool) -> tuple[str, str]:
    """What a fault is called, one and several of them."""
    if not name:
        return ("marked fault", "marked faults") if timed else ("marked row", "marked rows")
    if timed:
        return f"stretch of '{name}'", f"stretches of '{name}'"
    return f"row of '{name}'", f"rows of '{name}'"


def _fault(group: int, times: Indices, alarm: Mask, step: float) -> Fault:
    begin, length = int(times[0]), float(times[-1] - times[0]) + step
    delay = float(times[int(alarm.argmax())] - begin) if alarm.any() else None
    return Fault(group, begin, length, delay)


def _stretches(mask: Mask, group: NDArray[Any], *, apart: bool) -> Indices:
    """First and last index of each stretch of True within a group, `[stretches, 2]`.

    With `apart` each True is a stretch of its own.
    """
    inside = np.flatnonzero(mask)
    if not len(inside):
        return np.empty((0, 2), dtype=np.int64)
    breaks = np.ones(len(inside) - 1, dtype=np.bool_)
    if not apart:
        breaks = (np.diff(inside) > 1) | (np.diff(group[inside]) != 0)
    first = np.append(inside[0], inside[1:][breaks])
    return np.column_stack([first, np.append(inside[:-1][breaks], inside[-1])])


def _joined(stretches: Indices, group: NDArray[Any], near: int) -> Indices:
    """The stretches, with those of a group joined that are less than `near` windows apart."""
    if len(stretches) < 2:  # noqa: PLR2004  one has no neighbour
        return stretches
    gap = stretches[1:, 0] - stretches[:-1, 1]
    breaks = (gap >= max(near, 1)) | (group[stretches[1:, 0]] != group[stretches[:-1, 1]])
    first = np.append(True, breaks)
    return np.column_stack([stretches[first, 0], stretches[np.append(breaks, True), 1]])
