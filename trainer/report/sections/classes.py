"""A classifier on the test part: which classes it confuses, and its calibration."""

from typing import Final

import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import binomtest

from trainer.report.canvas import BLACK, BLUE, GREY, NARROW, logarithmic, picture
from trainer.report.headline import by_class
from trainer.report.markup import heading, joined, paragraph, table
from trainer.report.reported import Reported

MAX_CLASSES: Final = 15
_BINS = 10
_DARK = 0.55


def confusion(subject: Reported) -> Markup:
    """The confusion matrix; the rarest classes are combined."""
    names, counts = _counted(subject)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    head = joined(Markup('<th scope="col">{}</th>').format(name) for name in names)
    lines = [
        Markup('<tr><th scope="row">{}</th>{}</tr>').format(
            name, joined(_cell(*pair) for pair in zip(row, share, strict=True))
        )
        for name, row, share in zip(names, counts, shares, strict=True)
    ]
    return (
        heading("Confusion matrix")
        + paragraph(
            "A row for each true class, a column for each answer: the number of test windows, and "
            "their share of the row. Right answers are on the diagonal."
        )
        + Markup(
            '<div class="scroll" tabindex="0" role="region" aria-label="confusion matrix">'
            '<table class="matrix"><thead><tr><th scope="col">true \\ answered</th>{}</tr></thead>'
            "<tbody>{}</tbody></table></div>"
        ).format(head, joined(lines))
    )


def classes(subject: Reported) -> Markup:
    """A table of what became of each class."""
    return heading("By class") + table(
        ("class", "test windows", "found", "answered", "of these right", "most often taken for"),
        (
            (
                one.name,
                str(one.count),
                _share(one.found, one.count),
                str(one.answered),
                _share(one.found, one.answered),
                one.taken_for,
            )
            for one in by_class(subject)
        ),
    )


def _share(part: int, whole: int) -> str:
    return f"{part} ({part / whole:.0%})" if whole else "none"


def _cell(count: int, share: float) -> Markup:
    ink = "#fff" if share > _DARK else "#1b1f24"
    return Markup(
        '<td style="background: rgba(0, 90, 150, {:.2f}); color: {}">{}<br><small>{:.1%}</small>'
        "</td>"
    ).format(0.05 + 0.9 * share, ink, int(count), share)


def _counted(subject: Reported) -> tuple[list[str], NDArray[np.int64]]:
    """Names and counts, `[true, answered]`, of the most frequent classes and all others."""
    classes = len(subject.classes)
    frequent = np.argsort(-np.bincount(subject.y, minlength=classes), kind="stable")
    kept = np.sort(frequent[:MAX_CLASSES])
    place = np.full(classes, len(kept))
    place[kept] = np.arange(len(kept))
    names = [subject.classes[index] for index in kept]
    if classes > len(kept):
        names.append(f"{classes - len(kept)} others")
    counts = np.zeros((len(names), len(names)), dtype=np.int64)
    np.add.at(counts, (place[subject.y], place[subject.value]), 1)
    return names, counts


def calibration(subject: Reported) -> Markup:
    """How often answers of a given probability are right, and how many there are."""
    score = subject.answers["score"].astype(np.float64)
    if subject.is_two_sided:
        true, about = subject.event, f"'{subject.classes[subject.positive]}'"
    else:
        true, about = subject.value == subject.y, "the class that it answers"
    group = np.minimum((score * _BINS).astype(np.int64), _BINS - 1)
    counts = np.bincount(group, minlength=_BINS)
    filled = np.flatnonzero(counts)
    said = np.bincount(group, score, minlength=_BINS)[filled] / counts[filled]
    right = np.bincount(group[true], minlength=_BINS)[filled]
    came = right / counts[filled]
    tests = map(binomtest, right.tolist(), counts[filled].tolist())
    low, high = np.array([test.proportion_ci(method="wilson") for test in tests]).T

    def draw(figure: Figure) -> None:
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        above.plot([0, 1], [0, 1], color=BLACK, ls=":", lw=1)
        above.errorbar(
            said,
            came,
            yerr=(np.maximum(came - low, 0), np.maximum(high - came, 0)),
            fmt="o-",
            color=BLUE,
            ecolor=GREY,
            capsize=2,
            ms=4,
        )
        above.set_ylabel("share that was true")
        below.bar((np.arange(_BINS) + 0.5) / _BINS, counts, width=0.9 / _BINS, color=BLUE)
        logarithmic(below, 10)
        below.set_ylabel("windows")
        below.set_xlabel(f"probability of {_short(about)}")
        below.set_xlim(0, 1)

    text = (
        f"By the probability that the model gives {about}: the share of windows in which it was "
        "true (points, with a 95 % interval for independent windows), and the number of windows "
        "(bars, logarithmic above ten). On the dotted line the probabilities are right."
    )
    return picture("Calibration", text, draw, size=(NARROW[0], 3.8))


def _short(text: str, letters: int = 40) -> str:
    return text if len(text) <= letters else f"{text[: letters - 1]}…"
