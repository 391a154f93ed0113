"""Whether the signals have values in the same rows, as samples have."""

from collections.abc import Iterator

import numpy as np

from trainer.checks.finding import Finding
from trainer.checks.signals import NEARLY
from trainer.dataset.subject import Subject
from trainer.errors import first_few

# Share of rows with more than half of the signals, below which these do not come together.
TOGETHER = 0.1


def signals_apart(subject: Subject) -> Iterator[Finding]:
    """Report signals that hardly ever share a row, as in a record of changes."""
    recording = subject.recording
    present = ~np.isnan(recording.values)
    counts = present.sum(axis=0)
    used = counts > (1 - NEARLY) * len(recording)
    if recording.reported is not None or used.sum() < 2:  # noqa: PLR2004  one is never apart
        return
    many = 2 * present[:, used].sum(axis=1) > used.sum()
    if many.mean() >= TOGETHER:
        return
    listed = [f"'{recording.channels[index]}' in {counts[index]}" for index in np.flatnonzero(used)]
    evidence = (
        f"the signals hardly ever come together: of {len(recording)} rows with a value "
        f"{int(present[:, used].all(axis=1).sum())} have all of them, {first_few(listed)}"
    )
    remedy = (
        "if only changes were recorded, set data.rows = 'messages', each signal's max_age_s to the "
        "time for which its value holds, and window.trigger to what completes a sample"
    )
    yield Finding("signals-apart", "warning", evidence, remedy)
