"""A time axis: of dates, or of time that has passed."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num

_UNITS = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1), ("ms", 1e-3))
_FEW = 3


@dataclass(frozen=True, slots=True)
class TimeAxis:
    """From `low` to `high`, as Matplotlib counts; `unit` is empty of dates."""

    low: float
    high: float
    unit: str

    def at(self, share: float) -> float:
        """The place of a share of the axis."""
        return self.low + share * (self.high - self.low)

    def label(self, axes: Axes, what: str) -> None:
        """Set limits, ticks and the label."""
        axes.set_xlim(self.low, self.high)
        if self.unit:
            axes.set_xlabel(f"time since the {what}'s first row, {self.unit}")
        else:
            dated(axes)


def axis_of(start: int, end: int, *, is_relative: bool) -> TimeAxis:
    """An axis between two times in nanoseconds."""
    if not is_relative:
        low, high = (float(date2num(np.datetime64(t, "ns"))) for t in (start, max(end, start + 1)))
        return TimeAxis(low, high, "")
    seconds = max(end - start, 1) / 1e9
    unit, size = next(((u, s) for u, s in _UNITS if seconds >= _FEW * s), _UNITS[-1])
    return TimeAxis(0.0, seconds / size, unit)


def dated(axes: Axes) -> None:
    """Dates along x, as few letters as they need."""
    locator = AutoDateLocator(minticks=3, maxticks=8)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))


def along(moments: Any) -> Any:  # noqa: ANN401  an array of times, or of numbers as it is
    """Times as Matplotlib counts them."""
    return date2num(moments) if np.issubdtype(moments.dtype, np.datetime64) else moments
