"""A time axis with dates, or with the time since the first row."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num

_UNITS = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1), ("ms", 1e-3))
_FEW = 3


@dataclass(frozen=True, slots=True)
class TimeAxis:
    """A time axis of a picture.

    Attributes:
        low: left end, as a number of Matplotlib.
        high: right end, likewise.
        unit: unit of the time since the first row; empty for dates.
    """

    low: float
    high: float
    unit: str

    def at(self, share: float) -> float:
        """The position at a share of the axis, 0 for the left end and 1 for the right end."""
        return self.low + share * (self.high - self.low)

    def label(self, axes: Axes, what: str) -> None:
        """Set the limits, the ticks and the label of the axis."""
        axes.set_xlim(self.low, self.high)
        if self.unit:
            axes.set_xlabel(f"time since the {what}'s first row, {self.unit}")
        else:
            dated(axes)


def axis_of(start: int, end: int, *, is_relative: bool) -> TimeAxis:
    """Make an axis between two times in nanoseconds."""
    if not is_relative:
        low, high = (float(date2num(np.datetime64(t, "ns"))) for t in (start, max(end, start + 1)))
        return TimeAxis(low, high, "")
    seconds = max(end - start, 1) / 1e9
    unit, size = next(((u, s) for u, s in _UNITS if seconds >= _FEW * s), _UNITS[-1])
    return TimeAxis(0.0, seconds / size, unit)


def dated(axes: Axes) -> None:
    """Label the x-axis with short dates."""
    locator = AutoDateLocator(minticks=3, maxticks=8)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))


def along(moments: Any) -> Any:  # noqa: ANN401  an array of times or numbers
    """Times as numbers of Matplotlib; numbers stay as they are."""
    return date2num(moments) if np.issubdtype(moments.dtype, np.datetime64) else moments
