"""The course of a value over time or rows, with a line for each asset."""

from collections.abc import Iterator
from typing import Any, Final, Literal

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from trainer.draft.trial import Trial
from trainer.report.canvas import BLUE, GREY, apart, thinned
from trainer.report.time_axis import axis_of

COLUMNS: Final = 240
"""Columns of a line; its minimum and maximum in each column are drawn."""
LOW: Final = 1.7
"""Height in inches of a picture that has no room for the names of assets."""
MAX_ASSETS: Final = 8
"""Most assets that have a line."""
Way = Literal["points", "line", "steps"]
"""How values are drawn: as points without a time, as a line, or as steps between states."""
_FEW: Final = 5
_MOSTLY: Final = 0.9


def draw(
    axes: Axes, trial: Trial, values: NDArray[np.float64], *, are_states: bool = False
) -> None:
    """Draw a line for each asset, with the test part in grey behind it.

    Args:
        axes: an empty pair of axes.
        trial: the rows, in time order, and the test part.
        values: what is drawn, `[rows]`.
        are_states: whether the values are numbers of states, between which there is nothing.
    """
    recording, tested = trial.recording, trial.subject.parts.test.rows
    at = _places(axes, trial)
    if recording.timed and len(tested):
        for first, last in _stretches(at, tested):
            axes.axvspan(first, last, color=GREY, alpha=0.25, lw=0)
    assets = np.unique(recording.asset)[:MAX_ASSETS]
    for number, asset in enumerate(assets):
        own = np.flatnonzero((recording.asset == asset) & np.isfinite(values))
        if len(own):
            color = BLUE if len(assets) == 1 else f"C{number}"
            shown = at[own], values[own]
            columns = max(60, COLUMNS // len(assets))
            way: Way = "points" if not recording.timed else "steps" if are_states else "line"
            _line(axes, shown, color, columns, way)
            axes.plot([], [], color=color, label=recording.assets[asset][:16])
    if len(assets) > 1 and axes.figure.bbox.height > LOW * axes.figure.dpi:
        axes.legend(loc="upper left", ncols=4)


def _places(axes: Axes, trial: Trial) -> NDArray[np.float64]:
    """Label the x-axis, and give the place of each row on it."""
    recording = trial.recording
    if not recording.timed:
        axes.set_xlabel("row")
        return np.arange(len(recording), dtype=np.float64)
    first, last = int(recording.times_ns[0]), int(recording.times_ns[-1])
    axis = axis_of(first, last, trial.clock, is_relative=False)
    axis.label(axes, "data")
    share = (recording.times_ns - first) / max(1, last - first)
    return np.asarray(axis.low + share * (axis.high - axis.low))


def _line(
    axes: Axes,
    shown: tuple[NDArray[np.float64], NDArray[np.float64]],
    color: str,
    columns: int,
    way: Way,
) -> None:
    """Draw one asset's values, interrupted at pauses; points where there is no time."""
    at, values = shown
    if way == "points":
        few = np.linspace(0, len(at) - 1, min(len(at), columns)).astype(np.int64)
        axes.plot(at[few], values[few], ".", ms=2, color=color)
        return
    chosen = thinned(at, values, columns)
    groups = np.searchsorted(apart(at), chosen, side="right")
    for group in np.unique(groups)[:COLUMNS]:
        own = chosen[groups == group]
        marker = "." if len(own) == 1 else ""
        style = "steps-post" if way == "steps" else "default"
        axes.plot(at[own], values[own], color=color, lw=0.8, marker=marker, drawstyle=style)


def _stretches(at: NDArray[np.float64], tested: NDArray[Any]) -> Iterator[tuple[float, float]]:
    """Where the test part begins and ends; nothing where it is scattered over the time."""
    rows = np.sort(tested)
    breaks = np.flatnonzero(np.diff(rows) > max(1, len(at) // COLUMNS)) + 1
    if len(breaks) > _FEW:
        return
    for part in np.split(rows, breaks):
        if len(part) < _MOSTLY * (part[-1] - part[0] + 1):
            continue
        yield float(at[part[0]]), float(at[part[-1]])
