"""A regression on the test part: its answers compared with the truth, and the residuals."""

from typing import Final

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from trainer.evaluation.life import remaining_of
from trainer.report.canvas import (
    BLACK,
    BLUE,
    COLUMNS,
    NARROW,
    ORANGE,
    Look,
    apart,
    bands,
    picture,
    thinned,
)
from trainer.report.markup import joined, side_by_side
from trainer.report.reported import Reported
from trainer.report.time_axis import along, labelled

MAX_ASSETS: Final = 3
MAX_POINTS: Final = 400
_BINS = 40
_LEVELS = 12
_EACH = 20
_BANDS = 150
_TAILS = (0.5, 99.5)


def numbers(subject: Reported) -> Markup:
    """Answers and truth over time, a histogram of the residuals, and residuals by truth."""
    return joined((_over_time(subject), side_by_side((_histogram(subject), _against(subject)))))


def _over_time(subject: Reported) -> Markup:
    if not subject.is_timed:
        return Markup("")
    chosen = subject.shown_assets(MAX_ASSETS)
    wide = len(subject.trained.recording.assets) == 1

    def draw(figure: Figure) -> None:
        panels = figure.subplots(1, len(chosen), sharey=True, squeeze=False)[0]
        for axes, (name, windows) in zip(panels, chosen.items(), strict=True):
            _course(axes, subject, windows)
            axes.set_title("" if wide else f"asset {name}")
        panels[0].set_ylabel(_named("value", subject.trained.model.outputs[0].unit))
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper right", ncols=2)

    which = "" if wide else " The asset with the largest errors is on the left."
    text = f"The model's answers on the test part, and the truth.{which}"
    target = remaining_of(subject.trained)
    if target is not None and target.cap is not None:
        text += f" The truth is level at {target.cap:g} where it is cut off (target.cap)."
    if any(_is_long(windows) for windows in chosen.values()):
        text += " In long series the lines are means, and the bands reach from minimum to maximum."
    return picture("Answer and truth over time", text, draw, size=(9.0, 3.0))


def _course(axes: Axes, subject: Reported, windows: np.ndarray) -> None:
    moments = subject.moments[windows]
    truth: Look = {"color": BLACK, "lw": 1.6, "ls": (0, (4, 1.5)), "label": "truth"}
    answer: Look = {"color": BLUE, "lw": 0.9, "label": "answer"}
    for series, look in ((subject.y, truth), (subject.value, answer)):
        y = series[windows].astype(np.float64)
        if _is_long(windows):
            by_column = bands(moments, y, _BANDS)
            x = along(by_column.x)
            axes.fill_between(
                x, by_column.low, by_column.high, color=look["color"], alpha=0.25, lw=0
            )
            axes.plot(x, by_column.mean, **look)
            continue
        kept = thinned(moments, y)
        x, y = along(moments[kept]), y[kept]
        breaks = apart(moments[kept])
        axes.plot(np.insert(x, breaks, x[breaks]), np.insert(y, breaks, np.nan), **look)
    labelled(axes, subject.clock)


def _is_long(windows: np.ndarray) -> bool:
    return len(windows) > 2 * COLUMNS


def _histogram(subject: Reported) -> Markup:
    off = _residuals(subject)
    low, high = np.percentile(off, _TAILS)
    reach = max(abs(low), abs(high)) or 1.0
    beyond = int((np.abs(off) > reach).sum())

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        counts, edges = np.histogram(np.clip(off, -reach, reach), bins=_BINS, range=(-reach, reach))
        axes.stairs(counts, edges, fill=True, color=BLUE)
        axes.axvline(0, color=BLACK, ls="--")
        axes.axvline(float(off.mean()), color=ORANGE, lw=2)
        axes.set_xlabel(_named("answer minus truth", subject.trained.model.outputs[0].unit))
        axes.set_ylabel("test windows")

    text = (
        "The number of windows by error. The dashed line is no error, the solid line the mean "
        f"error (bias). {beyond} windows with larger errors are counted in the outermost bars."
    )
    return picture("Residuals", text, draw, size=NARROW)


def _against(subject: Reported) -> Markup:
    off, y = _residuals(subject), subject.y.astype(np.float64)
    few = int(np.clip(len(y) // _EACH, 1, _LEVELS))
    edges = np.unique(np.quantile(y, np.linspace(0, 1, few + 1)[1:-1]))
    level = np.searchsorted(edges, y, side="right")
    groups = [np.flatnonzero(level == one) for one in np.unique(level)]
    middle = [float(np.median(y[group])) for group in groups]
    low, half, high = np.array([np.percentile(off[group], [5, 50, 95]) for group in groups]).T
    rng = np.random.default_rng(subject.trained.recipe.seed)
    points = rng.choice(len(y), min(MAX_POINTS, len(y)), replace=False)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.plot(y[points], off[points], ".", color=BLUE, ms=2.5, alpha=0.45)
        axes.fill_between(middle, low, high, color=ORANGE, alpha=0.35, lw=0)
        axes.plot(middle, half, color=BLACK, lw=1.6)
        axes.axhline(0, color=BLACK, ls="--", lw=0.8)
        axes.set_xlabel(_named("truth", subject.trained.model.outputs[0].unit))
        axes.set_ylabel("answer minus truth")

    text = (
        f"{len(points)} of {len(y)} test windows as points; for groups of equal size the median "
        "error (line) and the range of nine in ten errors (band). Where the line is not at zero, "
        "the model answers too high or too low."
    )
    return picture("Residuals against truth", text, draw, size=NARROW)


def _residuals(subject: Reported) -> np.ndarray:
    return np.asarray(subject.value.astype(np.float64) - subject.y)


def _named(what: str, unit: str) -> str:
    return f"{what}, {unit}" if unit else what
