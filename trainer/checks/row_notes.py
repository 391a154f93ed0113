"""Notes on the rows behind the metrics: what was cleaned, left out, or is missing."""

from math import isclose

import numpy as np

from trainer.checks.signals import NEARLY
from trainer.dataset.clock import clock_of
from trainer.dataset.splits import Parts
from trainer.errors import listed
from trainer.ingest.recording import LATE, Recording
from trainer.recipe.document import Recipe

# A pause of so many periods is more than jitter.
_LONG_PAUSE = 100
_LISTED = 5
_NAMED = 50


def row_notes(recording: Recording, recipe: Recipe, parts: Parts) -> tuple[str, ...]:
    """Sentences on what was cleaned or left out, for the terminal and the report.

    Findings of `trainer.checks` are not repeated here.
    """
    return (
        *(note for note in recording.notes if not note.endswith(LATE)),
        *_pace(recording, recipe),
        *_pauses(recording, recipe),
        *_signals(recording, parts),
        *_left_out(parts),
    )


def _pace(recording: Recording, recipe: Recipe) -> list[str]:
    found_ms, wanted_s = recording.period_ms(), recipe.window.period_s
    if found_ms is None or wanted_s is None or isclose(found_ms / 1000, wanted_s, rel_tol=0.1):
        return []
    return [f"window.period_s is {wanted_s:g}, but rows are {found_ms / 1000:g} s apart (median)"]


def _pauses(recording: Recording, recipe: Recipe) -> list[str]:
    """Long pauses within windows, which are allowed as long as `window.max_gap_s` is not set."""
    period_ms, window = recording.period_ms(), recipe.window
    if period_ms is None or window.length == 1 or window.max_gap_s is not None:
        return []
    row, longest_ns = recording.longest_pause()
    if longest_ns < _LONG_PAUSE * period_ms * 1e6:
        return []
    clock = clock_of(recording, recipe)
    usual, pause = clock.span(period_ms * 1e6), clock.span(longest_ns)
    apart = f"rows are {usual} apart (median), but {pause} before "
    remedy = "windows span the pause; set window.max_gap_s to begin a new window after it"
    return [f"{apart}{recording.place(row)}: {remedy}"]


def _signals(recording: Recording, parts: Parts) -> list[str]:
    samples = parts.train.samples + parts.test.samples
    lacking = {}
    for index, name in enumerate(recording.channels):
        missing = parts.train.missing.get(name, 0) + parts.test.missing.get(name, 0)
        if missing and np.isnan(parts.train.values[:, :, index]).mean() < NEARLY:
            lacking[name] = missing
    worst = sorted(lacking, key=lacking.__getitem__, reverse=True)
    notes = [
        f"signal '{name}': no value within its range in {lacking[name]} of {samples} samples "
        f"({lacking[name] / samples:.1%})"
        for name in worst[:_LISTED]
    ]
    if rest := worst[_LISTED:]:
        share = lacking[rest[0]] / samples
        notes.append(
            f"{len(rest)} more signals have no value in up to {share:.1%} of the samples: "
            f"{listed(rest, _NAMED)}"
        )
    return notes


def _left_out(parts: Parts) -> list[str]:
    notes = []
    repeated = parts.train.dropped.get("duplicate", 0) + parts.test.dropped.get("duplicate", 0)
    if repeated:
        notes.append(f"{repeated} rows repeat one of the same time and asset: left out")
    restarts = parts.train.restarts + parts.test.restarts
    if restarts:
        notes.append(f"{restarts} pauses longer than window.max_gap_s: the window began anew")
    bad = parts.train.bad + parts.test.bad
    if bad:
        notes.append(f"{bad} windows lack a required signal: left out")
    if parts.unknown:
        notes.append(f"{parts.unknown} windows end with a row whose label is not known: left out")
    if parts.unusable:
        notes.append(f"{parts.unusable} training windows are not wholly normal: left out")
    return notes
