"""A time axis with dates, with counts, or with the time since the first row."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num

from trainer.dataset.clock import Clock

_UNITS = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1), ("ms", 1e-3))
_FEW = 3


@dataclass(frozen=True, slots=True)
class TimeAxis:
    """A time axis of a picture.

    Attributes:
        low: left end, as a number of Matplotlib.
        high: right end, likewise.
        counted: what is counted, such as `time` or `cycle`; empty for dates.
        unit: unit of what is counted; empty for a counter.
    """

    low: float
    high: float
    counted: str = ""
    unit: str = ""

    def at(self, share: float) -> float:
        """The position at a share of the axis, 0 for the left end and 1 for the right end."""
        return self.low + share * (self.high - self.low)

    def label(self, axes: Axes, what: str) -> None:
        """Set the limits, the ticks and the label of the axis.

        Args:
            axes: the axes of the picture.
            what: what has a first row that time counts from; empty where it does not.
        """
        axes.set_xlim(self.low, self.high)
        if not self.counted:
            dated(axes)
            return
        since = f" since the {what}'s first row" if what else ""
        axes.set_xlabel(f"{self.counted}{since}{', ' if self.unit else ''}{self.unit}")


def axis_of(start: int, end: int, clock: Clock, *, is_relative: bool) -> TimeAxis:
    """Make an axis between two times in nanoseconds."""
    if clock.kind != "dates":
        ends = np.array([start, max(end, start + 1)])
        low, high = ends / clock.unit_ns if is_relative else clock.count(ends)
        return TimeAxis(float(low), float(high), clock.axis)
    if not is_relative:
        low, high = (float(date2num(np.datetime64(t, "ns"))) for t in (start, max(end, start + 1)))
        return TimeAxis(low, high)
    seconds = max(end - start, 1) / 1e9
    unit, size = next(((u, s) for u, s in _UNITS if seconds >= _FEW * s), _UNITS[-1])
    return TimeAxis(0.0, seconds / size, "time", unit)


def labelled(axes: Axes, clock: Clock) -> None:
    """Label the x-axis with short dates, or with what is counted."""
    if clock.kind == "dates":
        dated(axes)
    else:
        axes.set_xlabel(clock.axis)


def dated(axes: Axes) -> None:
    """Label the x-axis with short dates."""
    locator = AutoDateLocator(minticks=3, maxticks=8)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))


def along(moments: Any) -> Any:  # noqa: ANN401  an array of times or numbers
    """Times as numbers of Matplotlib; numbers stay as they are."""
    return date2num(moments) if np.issubdtype(moments.dtype, np.datetime64) else moments
