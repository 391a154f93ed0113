"""The report of a bundle that was trained here.

A section is a function from the subject of the report to HTML; a section that returns nothing is
left out. To add a section, write its function and add it to `SECTIONS`.
"""

from collections.abc import Callable
from typing import Final

from markupsafe import Markup

from trainer.report.markup import side_by_side
from trainer.report.page import page
from trainer.report.reported import Reported
from trainer.report.sections.alarms import alarms
from trainer.report.sections.champion import champion
from trainer.report.sections.classes import calibration, classes, confusion
from trainer.report.sections.contributions import reasons_of_alarms
from trainer.report.sections.detection import detected
from trainer.report.sections.importance import signals_that_matter
from trainer.report.sections.numbers import numbers
from trainer.report.sections.split import split_drawn
from trainer.report.sections.tables import (
    checks,
    contract,
    cost,
    data,
    leaderboard,
    metrics,
    model,
    proof,
)
from trainer.report.verdict import verdict

Section = Callable[[Reported], Markup]


def render(subject: Reported) -> bytes:
    """The page in UTF-8; equal for equal subjects, except for limits of time."""
    sections = {heading: section(subject) for heading, section in SECTIONS.items()}
    return page(subject.manifest, verdict(subject), sections)


def curves(subject: Reported) -> Markup:
    """The answers compared with the truth, by task."""
    task = subject.manifest.task
    if task == "regression":
        return numbers(subject)
    if subject.is_two_sided:
        matrix = confusion(subject) if subject.is_labelled else Markup("")
        return alarms(subject) + matrix
    return classes(subject) + confusion(subject) + side_by_side([calibration(subject)])


SECTIONS: Final[dict[str, Section]] = {
    "Metrics on the test data": metrics,
    "Alarms and faults": detected,
    "Model": model,
    "Data": data,
    "Split": split_drawn,
    "Leaderboard": leaderboard,
    "Comparison with the champion": champion,
    "Answers and truth": curves,
    "Importance of the signals": signals_that_matter,
    "Signals behind the worst alarms": reasons_of_alarms,
    "Inputs and outputs": contract,
    "Checks before the training": checks,
    "Parity check of the graph": proof,
    "Cost of serving": cost,
}
"""The sections in the order of the page."""
