"""How the signals and the target go together: the parts of the picture about more than one."""

from typing import Any, Final

import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import rankdata

from trainer.draft import course
from trainer.draft.trial import Trial
from trainer.report.canvas import BLUE, NARROW, WIDE, picture
from trainer.report.markup import joined, paragraph, side_by_side, table

MAX_SIGNALS: Final = 24
_MAX_ROWS: Final = 20_000
_BINS: Final = 40
_CLASSES: Final = 20


def target(trial: Trial) -> Markup:
    """How the target is distributed, and how it goes on in time."""
    subject = trial.subject
    if not subject.truth.labelled:
        return paragraph("There are no labels: the model learns from all training rows.")
    y = np.where(subject.truth.known, subject.truth.y.astype(np.float64), np.nan)
    classes, known = subject.truth.classes, y[np.isfinite(y)]
    name = trial.proposal.goal.column or "remaining life"

    def spread(figure: Figure) -> None:
        axes = figure.subplots()
        if classes:
            counts = np.bincount(known.astype(np.int64), minlength=len(classes))[:_CLASSES]
            axes.barh([one[:20] for one in classes[:_CLASSES]], counts, color=BLUE)
            axes.invert_yaxis()
            axes.set_xlabel("rows")
        else:
            axes.hist(known, bins=_BINS, color=BLUE)
            axes.set_xlabel(name[:40])
            axes.set_ylabel("rows")

    def over_time(figure: Figure) -> None:
        axes = figure.subplots()
        course.draw(axes, trial, y, are_states=bool(classes))
        if classes and len(classes) <= _CLASSES:
            axes.set_yticks(range(len(classes)), [one[:20] for one in classes])
        else:
            axes.set_ylabel(name[:32])

    told = "The number of rows of each class" if classes else "The number of rows of each value"
    drawn = picture(f"Distribution of {name}", told, spread, size=NARROW)
    said = "The target of each row; grey is the test part, where it is a stretch of time"
    title = f"{name} over time" if trial.recording.timed else f"{name} by row"
    return side_by_side([drawn]) + picture(title, said, over_time, size=WIDE)


def correlations(trial: Trial) -> Markup:
    """Rank correlations between signals, and with the target (Spearman 1904)."""
    subject = trial.subject
    names, columns = _columns(trial)
    if len(names) < 2:  # noqa: PLR2004  one is never correlated
        return Markup()
    matrix = _ranked(columns)
    size = 1.8 + 0.27 * len(names)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.grid(visible=False)
        drawn = axes.pcolormesh(
            matrix[::-1], cmap="RdBu_r", vmin=-1, vmax=1, edgecolors="w", lw=0.3
        )
        places = np.arange(len(names)) + 0.5
        axes.set_xticks(places, [one[:22] for one in names], rotation=90)
        axes.set_yticks(places, [one[:22] for one in names[::-1]])
        figure.colorbar(drawn, ax=axes, shrink=0.6, ticks=[-1, 0, 1])

    text = "Rank correlation of the rows: red rises together, blue in opposition, white not at all"
    drawn = picture("Correlations", text, draw, size=(max(NARROW[0], size + 1.2), size))
    with_target = matrix[-1, :-1] if subject.truth.labelled else np.empty(0)
    order = np.argsort(-np.abs(with_target), kind="stable")
    rows = [(names[index], f"{with_target[index]:+.2f}") for index in order]
    strongest = table(("signal", "with the target"), rows) if rows else Markup()
    return joined((side_by_side([drawn]), strongest))


def _columns(trial: Trial) -> tuple[list[str], NDArray[np.float64]]:
    """Names and rows, `[rows, columns]`, of the first signals and the target, evenly thinned."""
    recording, truth = trial.recording, trial.subject.truth
    rows = np.unique(
        np.linspace(0, len(recording) - 1, min(len(recording), _MAX_ROWS)).astype(np.int64)
    )
    names = list(recording.channels[:MAX_SIGNALS])
    columns: list[NDArray[Any]] = [recording.values[rows, index] for index in range(len(names))]
    if truth.labelled:
        names.append("target")
        columns.append(np.where(truth.known[rows], truth.y[rows].astype(np.float64), np.nan))
    return names, np.column_stack(columns).astype(np.float64)


def _ranked(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """The matrix of rank correlations; 0 where a column is constant."""
    filled = np.where(np.isfinite(columns), columns, np.nanmedian(columns, axis=0, keepdims=True))
    ranks = rankdata(np.nan_to_num(filled), axis=0)
    ranks = ranks - ranks.mean(axis=0)
    norm = np.sqrt((ranks**2).sum(axis=0))
    scaled = ranks / np.where(norm > 0, norm, 1.0)
    return np.asarray(scaled.T @ scaled)
