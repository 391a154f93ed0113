"""The worst alarms of the test part, and the signals that they are due to."""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from models.bundle.explain import Explain
from serving.explanation.explainer import Explainer
from trainer.report.markup import joined, paragraph, table
from trainer.report.reported import Reported

MOST: Final = 8
"""Stretches of alarms that are shown."""


def reasons_of_alarms(subject: Reported) -> Markup:
    """A table of the worst alarms; nothing where the model has none, or does not explain them."""
    explain, normal = subject.trained.explain, subject.trained.normal
    if explain is None or normal is None or not explain.alarms:
        return Markup("")
    worst = worst_alarms(subject, explain)
    if not len(worst):
        return paragraph("No test window is an alarm.")
    names = [str(channel.name) for channel in subject.manifest.channels]
    offsets = [channel.offset for channel in subject.manifest.channels]
    explainer = Explainer(explain, names, normal, offsets)
    rows = (_row(subject, explainer, index) for index in worst.tolist())
    heading = ("asset", "window ends", explain.output, "signals and their shares")
    return joined((paragraph(_said(explain)), table(heading, rows)))


def worst_alarms(subject: Reported, explain: Explain) -> NDArray[np.int64]:
    """The worst window of each stretch of alarms, worst stretch first, at most `MOST`."""
    alarm = np.isin(subject.value, explain.alarms)
    asset = subject.trained.parts.test.asset
    begins = np.flatnonzero(np.diff(alarm, prepend=False) | (np.diff(asset, prepend=-1) != 0))
    begins = begins[alarm[begins]]
    stretch = np.searchsorted(begins, np.arange(len(alarm)), side="right")
    height = _explained(subject, explain)
    order = np.flatnonzero(alarm)[np.argsort(-height[alarm], kind="stable")]
    _, first = np.unique(stretch[order], return_index=True)
    return np.asarray(order[np.sort(first)][:MOST])


def _explained(subject: Reported, explain: Explain) -> NDArray[np.float64]:
    output = subject.answers[explain.output].astype(np.float64)
    if explain.output == "probabilities":
        output = output[np.arange(len(output)), subject.value]
    return np.asarray(output)


def _row(subject: Reported, explainer: Explainer, index: int) -> tuple[str, ...]:
    trained = subject.trained
    window, value = trained.parts.test.values[index], subject.value[index]
    answers = np.concatenate(list(_answers(subject, explainer, window, value)))
    reasons = explainer.reasons(window, answers) or ()
    shares = ", ".join(
        f"{one['signal']} {'missing' if one['share'] is None else format(one['share'], '+.0%')}"
        for one in reasons
    )
    recording, row = trained.recording, trained.parts.test.rows[index]
    timed = subject.is_timed
    moment = subject.clock.moment(recording.times_ns[row]) if timed else recording.place(row)
    asset = recording.assets[trained.parts.test.asset[index]]
    return asset, moment, f"{_explained(subject, explainer.explain)[index]:.4g}", shares


def _answers(
    subject: Reported,
    explainer: Explainer,
    window: Any,  # noqa: ANN401  a row of an array
    value: float,
) -> Iterator[NDArray[np.float64]]:
    for block in explainer.blocks(window):
        yield explainer.explained(subject.trained.model.answer(block), value)


def _said(explain: Explain) -> str:
    what = "the probability of the class" if explain.output == "probabilities" else "the score"
    return (
        "The worst window of each stretch of alarms in the test part, and the three signals that "
        f"contribute most to {what}, compared with a normal window that is made up from medians. "
        "A share is a contribution divided by the amounts of all; one below 0 speaks against the "
        "alarm. A gateway publishes the same for the first prediction of an alarm."
    )
