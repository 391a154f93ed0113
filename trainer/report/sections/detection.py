"""Alarms and faults by asset or file, and every fault with the time until it was found."""

import numpy as np
from markupsafe import Markup

from trainer.evaluation.detection import Detection, Fault
from trainer.report.markup import heading, joined, paragraph, table
from trainer.report.reported import Reported

HEADER = ("normal", "false alarms", "faults", "found", "after (median)")


def detected(subject: Reported) -> Markup:
    """What was found and what was raised for nothing; nothing for models without alarms."""
    found = subject.detection
    if found is None or not found.labelled or not (found.timed or len(found.tested) > 1):
        return Markup("")
    text = paragraph(
        "Windows with an alarm that are less than a window apart are one alarm. It is false if it "
        "begins where nothing is marked. Marked windows in a row are one fault. It is found if one "
        "of them has an alarm."
        if found.timed
        else "The rows have no time axis, so each is counted for itself."
    )
    return joined((text, _by_group(found), _faults(found)))


def by_group(found: Detection) -> list[list[str]]:
    """A row for each asset or file with test windows, the one with most that is missed first."""
    rows = []
    for group in found.tested.tolist():
        own = [fault for fault in found.faults if fault.group == group]
        delays = [fault.delay_ns for fault in own if fault.delay_ns is not None]
        false = int(found.false_alarms[group])
        rank = (len(delays) - len(own), -false)
        after = found.after(float(np.median(delays))) if delays and found.timed else ""
        cells = (str(false), str(len(own)), str(len(delays)), after)
        normal = found.clock.span(float(found.normal_ns[group]))
        rows.append((rank, [found.groups[group], normal, *cells]))
    return [cells for _, cells in sorted(rows, key=lambda row: row[0])]


def _by_group(found: Detection) -> Markup:
    if len(found.tested) == 1:
        return Markup("")
    return heading(f"By {found.of}") + table((found.of, *HEADER), by_group(found))


def _faults(found: Detection) -> Markup:
    if not found.timed or not found.faults:
        return Markup("")
    worst = sorted(found.faults, key=lambda one: -np.inf if one.delay_ns is None else -one.delay_ns)
    return heading("Every fault") + table(
        (found.of, "begins", "marked for", "found"), (_row(fault, found) for fault in worst)
    )


def _row(fault: Fault, found: Detection) -> tuple[str, ...]:
    return (
        found.groups[fault.group],
        found.clock.moment(fault.begin_ns),
        found.clock.span(fault.length_ns),
        "not found" if fault.delay_ns is None else found.after(fault.delay_ns),
    )
