"""The importance of each signal, as a picture and a table."""

from typing import Final

import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

from trainer.report.canvas import BLACK, BLUE, picture
from trainer.report.importance import REPEATS, SCORE_CHANGE, Importance, importance
from trainer.report.markup import folded, joined, paragraph, table
from trainer.report.reported import Reported

MAX_BARS: Final = 25
_LETTERS = 28


def signals_that_matter(subject: Reported) -> Markup:
    """Permutation importance of each signal."""
    found = importance(subject)
    if found is None:
        return paragraph(
            "Not computed: the metric is not defined on the test windows that were drawn for it."
        )
    order = np.argsort(-found.losses.mean(axis=0), kind="stable")
    rows = (
        (found.signals[one], f"{losses.mean():.3g}", f"{losses.min():.3g} to {losses.max():.3g}")
        for one in order
        for losses in (found.losses[:, one],)
    )
    numbers = table(("signal", found.metric, "range of the repeats"), rows)
    return joined((_drawn(found, order), folded("The same as a table", numbers)))


def _drawn(found: Importance, order: np.ndarray) -> Markup:
    shown = order[:MAX_BARS]
    mean = found.losses.mean(axis=0)[shown]
    low, high = found.losses.min(axis=0)[shown], found.losses.max(axis=0)[shown]
    at = np.arange(len(shown))

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.barh(at, mean, height=0.7, color=BLUE)
        axes.hlines(at, low, high, color=BLACK, lw=1.2)
        axes.axvline(0, color=BLACK, lw=0.8)
        names = [found.signals[one] for one in shown]
        axes.set_yticks(at, [n if len(n) <= _LETTERS else f"{n[:_LETTERS]}…" for n in names])
        axes.set_ylim(max(3, len(shown)) - 0.5, -0.5)
        axes.grid(visible=False, axis="y")
        is_change = found.metric == SCORE_CHANGE
        axes.set_xlabel(found.metric if is_change else f"how much worse {found.metric} becomes")

    return picture(
        "Importance of the signals",
        _said(found, len(order)),
        draw,
        size=(9.0, 0.8 + 0.24 * max(3, len(shown))),
    )


def _said(found: Importance, count: int) -> str:
    repeats = len(found.losses)
    before = "" if found.metric == SCORE_CHANGE else f" ({found.whole:.4g} before)"
    text = (
        f"How much worse {found.metric}{before} becomes on {found.windows} test windows when a "
        "signal is exchanged between them at random: the mean (bar) and the range (line) of "
        f"{repeats} repeats. Signals with the same information may each seem to matter little."
    )
    if found.metric == SCORE_CHANGE:
        text = text.replace(
            "How much worse change of the score becomes", "How much the score changes"
        )
    if found.cut_short:
        text += f" Time ran out after {repeats} of {REPEATS} repeats."
    if count > MAX_BARS:
        text += f" The first {MAX_BARS} of {count} are drawn."
    if found.left_out:
        text += f" {found.left_out} further signals were not tried."
    return text
