"""The report of a bundle that was trained here, from the verdict to the last digest.

A section is a function from the subject to HTML; one that returns nothing is left out. To add one,
write it and put it in its place in `SECTIONS`.
"""

from collections.abc import Callable
from typing import Final

from markupsafe import Markup

from trainer.report.markup import side_by_side
from trainer.report.page import page
from trainer.report.reported import Reported
from trainer.report.sections.alarms import alarms
from trainer.report.sections.champion import champion
from trainer.report.sections.classes import calibration, confusion
from trainer.report.sections.importance import signals_that_matter
from trainer.report.sections.numbers import numbers
from trainer.report.sections.split import split_drawn
from trainer.report.sections.tables import (
    checks,
    contract,
    cost,
    data,
    figures,
    leader_board,
    proof,
)
from trainer.report.verdict import verdict

Section = Callable[[Reported], Markup]


def render(subject: Reported) -> bytes:
    """The page as UTF-8; the same for the same subject, but for how long the clock lets it work."""
    sections = {heading: section(subject) for heading, section in SECTIONS.items()}
    return page(subject.manifest, verdict(subject), sections)


def curves(subject: Reported) -> Markup:
    """Answers beside the truth, as the task has them."""
    task = subject.manifest.task
    if task == "regression":
        return numbers(subject)
    if subject.is_two_sided:
        matrix = confusion(subject) if subject.is_labelled else Markup("")
        return alarms(subject) + matrix
    return confusion(subject) + side_by_side([calibration(subject)])


SECTIONS: Final[dict[str, Section]] = {
    "All figures on data it never saw": figures,
    "Data": data,
    "Split": split_drawn,
    "Leaderboard": leader_board,
    "Against the champion": champion,
    "Answers against the truth": curves,
    "Which signals it lives on": signals_that_matter,
    "What goes in, what comes out": contract,
    "Checks before the training": checks,
    "Proof of the graph": proof,
    "What serving costs": cost,
}
"""In the order of the page; one whose content is empty is left out."""
