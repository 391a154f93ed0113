"""A model of two classes on the test part: its score over time, and its curves."""

from typing import Any, Final

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve, roc_curve

from trainer.report.canvas import (
    BLACK,
    BLUE,
    COLUMNS,
    GREEN,
    NARROW,
    ORANGE,
    RED,
    Look,
    apart,
    logarithmic,
    picture,
    thinned,
)
from trainer.report.markup import joined, metric, paragraph, side_by_side
from trainer.report.reported import Reported
from trainer.report.sections.classes import calibration
from trainer.report.time_axis import along, labelled

MAX_ASSETS: Final = 4
MAX_STEPS: Final = 300
_TRUTH: Final[Look] = {"facecolor": "#f6c9b7", "edgecolor": "#d98f73", "hatch": "///", "lw": 0}
_BINS = 40
_MARKS = 200
_FAR = 10.0
"""Scores of anomalies above ten times the limit are drawn on a logarithmic axis."""


def alarms(subject: Reported) -> Markup:
    """The timeline, a histogram of the scores, and the curves where the truth is known."""
    narrow = [_histogram(subject)]
    if subject.event.any() and not subject.event.all():
        narrow += [_roc(subject), _precision(subject)]
    if subject.manifest.task == "classification":
        narrow.append(calibration(subject))
    return joined((_timeline(subject), side_by_side(narrow)))


def _timeline(subject: Reported) -> Markup:
    if not subject.is_timed:
        return paragraph("The rows have no time axis, so there is no timeline of alarms.")
    chosen = subject.shown_assets(MAX_ASSETS)
    several = len(subject.trained.recording.assets) > 1

    def draw(figure: Figure) -> None:
        panels = figure.subplots(len(chosen), 1, squeeze=False)[:, 0]
        for axes, (name, windows) in zip(panels, chosen.items(), strict=True):
            _course(axes, subject, windows)
            axes.set_title(f"asset {name}" if several else "", loc="left")
        handles, _ = panels[0].get_legend_handles_labels()
        if subject.is_labelled:
            handles.append(Patch(label="truth", **_TRUTH))
        figure.legend(handles=handles, loc="outside upper left", ncols=5)

    text = "The score on the test part; a score above the dashed threshold is an alarm."
    if subject.is_labelled:
        text += (
            " Shaded stretches have the label "
            f"'{subject.classes[subject.positive]}'; the marks above are windows with a right "
            "alarm (dots), and with an alarm where nothing is marked (crosses)."
        )
    if several:
        text += " The assets are in the order of their share of wrong answers, the worst on top."
    return picture("Alarms over time", text, draw, size=(9.0, 0.9 + 1.7 * len(chosen)))


def _course(axes: Axes, subject: Reported, windows: NDArray[np.int64]) -> None:
    moments = subject.moments[windows]
    score = subject.answers["score"][windows].astype(np.float64)
    threshold = _threshold(subject)
    at = along(moments)
    for first, last in _stretches(subject.event[windows], moments):
        axes.axvspan(at[first], at[last], **_TRUTH)
    kept = thinned(moments, score)
    breaks = apart(moments[kept])
    x, y = at[kept], score[kept]
    axes.plot(
        np.insert(x, breaks, x[breaks]),
        np.insert(y, breaks, np.nan),
        color=BLUE,
        lw=0.9,
        label="score",
    )
    axes.axhline(threshold, color=BLACK, ls="--", lw=1, label="threshold")
    if subject.manifest.task == "anomaly" and score.max() > _FAR:
        logarithmic(axes, 2)
    _marked(axes, subject, windows, at)
    margin = max(0.005 * (at[-1] - at[0]), 1e-6)
    axes.set_xlim(at[0] - margin, at[-1] + margin)
    axes.set_ylim(0, 1.3 * max(float(score.max()), threshold))  # the marks have room above
    labelled(axes, subject.clock)


def _marked(
    axes: Axes, subject: Reported, windows: NDArray[np.int64], at: NDArray[np.float64]
) -> None:
    """Draw the alarms along the upper edge, few enough to be distinguished."""
    alarm, event = subject.alarm[windows], subject.event[windows]
    marks = [("alarm", alarm, 0.94, "o", RED)]
    if subject.is_labelled:
        marks = [
            ("right alarm", alarm & event, 0.96, "o", GREEN),
            ("false alarm", alarm & ~event, 0.9, "x", RED),
        ]
    for label, chosen, height, sign, color in marks:
        x = _spread(at, chosen)
        look: Look = {"ms": 3.5, "color": color, "transform": axes.get_xaxis_transform()}
        axes.plot(x, np.full(len(x), height), sign, label=label, **look)


def _spread(at: NDArray[np.float64], chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """One position for each column that contains a chosen window."""
    x = at[chosen]
    if not len(x):
        return x
    column = ((x - at[0]) / ((at[-1] - at[0]) or 1.0) * _MARKS).astype(np.int64)
    return x[np.unique(column, return_index=True)[1]]


def _stretches(event: NDArray[np.bool_], moments: NDArray[Any]) -> list[tuple[int, int]]:
    """First and last window of each stretch of events; those less than a column apart are one."""
    edges = np.diff(event.astype(np.int8), prepend=0, append=0)
    first, last = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1
    least = (moments[-1] - moments[0]) / COLUMNS
    found: list[tuple[int, int]] = []
    for begin, end in zip(first.tolist(), last.tolist(), strict=True):
        if found and moments[begin] - moments[found[-1][1]] < least:
            found[-1] = (found[-1][0], end)
        else:
            found.append((begin, end))
    return found


def _histogram(subject: Reported) -> Markup:
    score = subject.answers["score"].astype(np.float64)
    threshold = _threshold(subject)
    high = min(float(score.max()), 5 * threshold) if subject.manifest.task == "anomaly" else 1.0
    event = subject.event

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        edges = np.linspace(0, max(high, 1.05 * threshold), _BINS + 1)
        for chosen, look in _sides(subject, event):
            counts, _ = np.histogram(np.minimum(score[chosen], edges[-1]), bins=edges)
            axes.stairs(counts, edges, **look)
        axes.axvline(threshold, color=BLACK, ls="--", label="threshold")
        logarithmic(axes, 10)
        axes.set_xlabel("score")
        axes.set_ylabel("test windows")
        figure.legend(loc="outside upper left", ncols=3)

    beyond = int((score > max(high, 1.05 * threshold)).sum())
    text = "The number of windows by score; the axis is logarithmic above ten."
    if beyond:
        text += f" {beyond} windows with a higher score are counted in the last bar."
    return picture("Scores", text, draw, size=NARROW)


def _sides(
    subject: Reported, event: NDArray[np.bool_]
) -> list[tuple[NDArray[np.bool_], dict[str, Any]]]:
    filled = {"fill": True, "facecolor": "#8dbfdd", "edgecolor": BLUE}
    if not subject.is_labelled:
        return [(~event, {**filled, "label": "all windows"})]
    names = subject.classes
    lined = {"edgecolor": RED, "hatch": "///", "fill": True, "facecolor": (0.9, 0.35, 0.1, 0.4)}
    return [
        (~event, {**filled, "label": names[1 - subject.positive]}),
        (event, {**lined, "label": names[subject.positive]}),
    ]


def _roc(subject: Reported) -> Markup:
    wrong, found, _ = roc_curve(subject.event, subject.answers["score"])
    kept = _few(len(wrong))
    said = _where(subject, ~subject.event), _where(subject, subject.event)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.plot(wrong[kept], found[kept], color=BLUE, lw=1.8)
        axes.plot([0, 1], [0, 1], color=BLACK, ls=":", lw=1)
        axes.plot(*said, "D", color=RED, ms=6)
        axes.set_xlabel("share of normal windows with an alarm")
        axes.set_ylabel("share of events found")
        axes.set_aspect("equal")

    area = metric("roc_auc", subject.manifest.metrics.formatted("roc_auc"))
    text = Markup(
        "What other thresholds would give; the diamond is the threshold of this model. Area under "
        "the curve: {}. The dotted line is guessing."
    ).format(area)
    return picture("ROC curve", text, draw, size=NARROW)


def _precision(subject: Reported) -> Markup:
    precise, found, _ = precision_recall_curve(subject.event, subject.answers["score"])
    kept = _few(len(precise))
    share = float(subject.event.mean())
    recall = _where(subject, subject.event)
    alarms = int(subject.alarm.sum())
    right = float((subject.alarm & subject.event).sum() / alarms) if alarms else 0.0

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.plot(found[kept], precise[kept], color=ORANGE, lw=1.8)
        axes.axhline(share, color=BLACK, ls=":", lw=1)
        axes.plot(recall, right, "D", color=RED, ms=6)
        axes.set_xlabel("share of events found (recall)")
        axes.set_ylabel("share of alarms right (precision)")
        axes.set_ylim(0, 1.03)
        axes.set_xlim(0, 1.03)

    area = metric("average_precision", subject.manifest.metrics.formatted("average_precision"))
    text = Markup(
        "The share of right alarms by the share of events found. Average precision: {}. The dotted "
        "line is an alarm at random."
    ).format(area)
    return picture("Precision over recall", text, draw, size=NARROW)


def _where(subject: Reported, among: NDArray[np.bool_]) -> float:
    return float(subject.alarm[among].mean())


def _few(count: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, count - 1, min(count, MAX_STEPS)).round().astype(np.int64))


def _threshold(subject: Reported) -> float:
    threshold = subject.trained.model.threshold
    if threshold is None:
        raise AssertionError("a model of two answers has a threshold")
    return threshold
