"""A picture of the split: on a time axis, or as a bar without one."""

from typing import Final

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from trainer.errors import listed
from trainer.recipe.split_section import GroupSplit, PredefinedSplit
from trainer.report.canvas import BLUE, GREY, ORANGE, Look, picture
from trainer.report.lanes import (
    BOTH,
    COLUMNS,
    MAX_LANES,
    NEITHER,
    SAID,
    TEST,
    TRAIN,
    Lanes,
    by_number,
    lanes,
)
from trainer.report.markup import folded, joined, paragraph
from trainer.report.reported import Reported
from trainer.report.time_axis import axis_of

LOOKS: Final[dict[int, Look]] = {
    TRAIN: {"facecolor": BLUE, "edgecolor": "white", "hatch": ""},
    TEST: {"facecolor": ORANGE, "edgecolor": "#5c4000", "hatch": "//"},
    BOTH: {"facecolor": "#b58fd0", "edgecolor": "black", "hatch": "xx"},
    NEITHER: {"facecolor": "#e4e7ea", "edgecolor": GREY, "hatch": "\\\\"},
}
"""Differ in colour and in pattern, so that a grey print shows them too."""
MAX_NAMES: Final = 1000
"""Most names of files or assets that are listed."""
_LANE = 0.17
_LETTERS = 24


def split_drawn(subject: Reported) -> Markup:
    """The split in words and as a picture."""
    parts = subject.trained.parts
    said = paragraph(
        f"{subject.manifest.metrics.split}. Trained on {len(parts.train)} windows, tested on "
        f"{len(parts.test)}."
    )
    drawn = _on_time(subject) if subject.is_timed else _bar(subject)
    return joined((said, drawn, _held_out(subject)))


def _held_out(subject: Reported) -> Markup:
    """The names of all files, values or assets that test; nothing where rows were parted alone."""
    trained, wanted = subject.trained, subject.trained.recipe.split
    rows, recording, member = trained.parts.test.rows, trained.recording, trained.truth.member
    if not isinstance(wanted, GroupSplit | PredefinedSplit):
        return Markup("")
    if isinstance(wanted, PredefinedSplit) and wanted.test_files:
        what, names = "files", [recording.files[one] for one in np.unique(recording.file[rows])]
    elif member is not None:
        what, names = f"values of '{wanted.column}'", np.unique(member[rows]).tolist()
    else:
        what, names = "assets", [recording.assets[one] for one in np.unique(recording.asset[rows])]
    summary = f"All {what} of the test part by name ({len(names)})"
    return folded(summary, paragraph(listed(sorted(names, key=by_number), MAX_NAMES)))


def _on_time(subject: Reported) -> Markup:
    trained = subject.trained
    found = lanes(trained.recording, trained.parts, trained.spec)
    height = 1.0 + _LANE * max(4, len(found.lanes))

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axis = axis_of(found.start, found.end, subject.clock, is_relative=found.is_relative)
        for position, lane in enumerate(found.lanes):
            for state, first, count in lane.runs():
                left, right = (axis.at(column / COLUMNS) for column in (first, first + count))
                axes.barh(position, right - left, left=left, height=0.75, lw=0, **LOOKS[state])
        axis.label(axes, found.what if found.is_relative else "")
        axes.set_yticks(range(len(found.lanes)), [_short(lane.name) for lane in found.lanes])
        axes.tick_params(axis="y", labelsize=8 if len(found.lanes) > 1 else 10, length=0)
        axes.invert_yaxis()
        axes.margins(y=0.01 if len(found.lanes) > 1 else 0.6)
        axes.grid(visible=False, axis="y")
        used = {state for lane in found.lanes for state, _, _ in lane.runs()}
        _legend(axes, used)

    return picture("The split on a time axis", _said(found), draw, size=(9.0, height))


def _bar(subject: Reported) -> Markup:
    parts = subject.trained.parts
    rows = len(subject.trained.recording)
    counts = {TRAIN: len(parts.train), TEST: len(parts.test)}
    counts[NEITHER] = max(0, rows - sum(counts.values()))

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        left = 0
        for state, count in counts.items():
            if not count:
                continue
            axes.barh(0, count, left=left, height=0.7, lw=0, **LOOKS[state])
            left += count
        axes.set_yticks([])
        axes.set_xlabel("rows")
        axes.grid(visible=False, axis="y")
        _legend(axes, {state for state, count in counts.items() if count})

    text = (
        "The rows have no time axis: the bar shows how many rows end a training window "
        f"({counts[TRAIN]}), a test window ({counts[TEST]}), or neither ({counts[NEITHER]})."
    )
    return picture("The split by rows", text, draw, size=(9.0, 1.5))


def _legend(axes: Axes, states: set[int]) -> None:
    patches = [
        Patch(label=said, lw=0, **LOOKS[state]) for state, said in SAID.items() if state in states
    ]
    axes.figure.legend(handles=patches, loc="outside upper left", ncols=4, handlelength=2.6)


def _said(found: Lanes) -> str:
    total = sum(found.counts.values())
    counted = {
        TRAIN: "train only",
        TEST: "test only",
        BOTH: "do both",
        NEITHER: "do neither",
    }
    sides = ", ".join(f"{found.counts[s]} {said}" for s, said in counted.items() if found.counts[s])
    text = f"Each line is one {found.what}; of {total}, {sides}." if total > 1 else ""
    if total > MAX_LANES:
        text += f" {len(found.lanes)} of them are drawn."
    if found.is_relative:
        text += " The axis counts from the first row of each line."
    return f"{text} Nothing was recorded where a line is blank.".strip()


def _short(name: str) -> str:
    return name if len(name) <= _LETTERS else f"…{name[1 - _LETTERS :]}"  # the ends differ
