"""What a reader of the figures should know of the rows behind them."""

from math import isclose

import numpy as np

from trainer.checks.signals import NEARLY
from trainer.recipe.recipe import Recipe
from trainer.recordings.recording import LATE, Recording
from trainer.recordings.split import Parts


def remarks(recording: Recording, recipe: Recipe, parts: Parts) -> tuple[str, ...]:
    """Sentences on what was cleaned or left out, for the terminal and the report.

    What `trainer.checks` finds is said there, and not here again.
    """
    return (
        *(note for note in recording.notes if not note.endswith(LATE)),
        *_pace(recording, recipe),
        *_signals(recording, parts),
        *_left_out(parts),
    )


def _pace(recording: Recording, recipe: Recipe) -> list[str]:
    found_ms, wanted_s = recording.period_ms(), recipe.window.period_s
    if found_ms is None or wanted_s is None or isclose(found_ms / 1000, wanted_s, rel_tol=0.1):
        return []
    return [f"window.period_s is {wanted_s:g}, but rows are {found_ms / 1000:g} s apart (median)"]


def _signals(recording: Recording, parts: Parts) -> list[str]:
    said = []
    samples = parts.train.samples + parts.test.samples
    for index, name in enumerate(recording.channels):
        missing = parts.train.missing.get(name, 0) + parts.test.missing.get(name, 0)
        if missing and np.isnan(parts.train.values[:, :, index]).mean() < NEARLY:
            said.append(
                f"signal '{name}': no value within its range in {missing} of {samples} samples "
                f"({missing / samples:.1%})"
            )
    return said


def _left_out(parts: Parts) -> list[str]:
    said = []
    repeated = parts.train.dropped.get("duplicate", 0) + parts.test.dropped.get("duplicate", 0)
    if repeated:
        said.append(f"{repeated} rows repeat one of the same time and asset: left out")
    restarts = parts.train.restarts + parts.test.restarts
    if restarts:
        said.append(f"{restarts} pauses longer than window.max_gap_s: the window began anew")
    bad = parts.train.bad + parts.test.bad
    if bad:
        said.append(f"{bad} windows lack a required signal: left out")
    if parts.unknown:
        said.append(f"{parts.unknown} windows end with a row whose truth is not known: left out")
    if parts.unusable:
        said.append(f"{parts.unusable} training windows are not wholly normal: left out")
    return said
