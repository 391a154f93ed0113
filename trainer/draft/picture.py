"""The picture of the data: one page with each signal over time, gaps, correlations and target."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure
from numpy.typing import NDArray

from trainer.draft import course, relations
from trainer.draft.inputs import Input
from trainer.draft.trial import Trial
from trainer.ingest.recording import Recording
from trainer.report.canvas import GREY, ORANGE, WIDE, picture
from trainer.report.markup import items, joined, pairs, paragraph, table
from trainer.report.page import notice, titled

MAX_DRAWN: Final = 40
"""Most signals that are drawn; the page says how many there are beyond."""
_COLUMNS: Final = 240
_LOW: Final = (WIDE[0], course.LOW)
_PAUSES: Final = 10
_LONG: Final = 5


def picture_of(trial: Trial) -> bytes:
    """The page, in UTF-8; it needs no other file and no network."""
    proposal = trial.proposal
    title = f"What was looked at for {proposal.stream}"
    sections = {
        "Target": relations.target(trial),
        "Signals": _signals(trial),
        "Gaps": _gaps(trial),
        "Correlations": relations.correlations(trial),
        "Left out": _left_out(trial),
        "What the checks say": items(str(one) for one in trial.findings),
    }
    return titled(title, _lead(trial), sections)


def _lead(trial: Trial) -> Markup:
    proposal, recording = trial.proposal, trial.recording
    facts = {
        "looked at": proposal.looked_at,
        "files": _some(recording.files),
        "assets": f"{len(recording.assets)}: {_some(recording.assets)}",
        "from": _moment(trial, 0),
        "to": _moment(trial, -1),
        "time": str(proposal.data_notes.get("time") or "no column is the time"),
    }
    said = pairs("what", "found", facts)
    if not proposal.doubts:
        return said
    return said + notice("Unsure, to be checked first", items(proposal.doubts))


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_PAUSES]) + (", ..." if len(names) > _PAUSES else "")


def _moment(trial: Trial, row: int) -> str:
    recording = trial.recording
    if not recording.timed:
        return f"row {1 if row == 0 else len(recording)}"
    return trial.clock.moment(int(recording.times_ns[row]))


def _signals(trial: Trial) -> Markup:
    recording, signals = trial.recording, list(trial.proposal.signals)
    more = len(signals) - MAX_DRAWN
    said = paragraph(
        "The lowest and the highest value of each moment. Of several assets each has a line of its "
        "own, up to eight. Values outside of the range are not drawn. Grey is the test part, where "
        "it is a stretch of time."
    )
    if more > 0:
        said += paragraph(f"The first {MAX_DRAWN} of {len(signals)} signals are drawn.")
    return said + joined(_signal(trial, recording, one) for one in signals[:MAX_DRAWN])


def _signal(trial: Trial, recording: Recording, signal: Input) -> Markup:
    index = recording.channels.index(signal.name)
    unit = f", {signal.keys['unit']}" if signal.keys.get("unit") else ""
    values = recording.values[:, index].astype(np.float64)
    low, high = signal.keys.get("range", (-np.inf, np.inf))
    values = np.where((values >= low) & (values <= high), values, np.nan)
    states = signal.keys.get("codes", {})
    coded = "; ".join(f"{code} is {state}" for state, code in states.items())
    text = ". ".join(filter(None, (coded, *signal.notes)))
    return _course(trial, f"{signal.name}{unit}", values, text, are_states=bool(states))


def _left_out(trial: Trial) -> Markup:
    """Why columns are left out, and the course of those that hold numbers."""
    reasons = trial.proposal.left_out
    shown = [name for name in reasons if name in trial.left_out][:MAX_DRAWN]
    drawn = [
        _course(trial, name, trial.left_out[name].astype(np.float64), reasons[name])
        for name in shown
    ]
    said = paragraph(
        f"{len(shown)} of them are drawn: those that hold numbers which change. Texts, dates and "
        "what only some of the files have are not; the target is at the top of the page."
    )
    return table(("column", "why"), reasons.items()) + said + joined(drawn)


def _course(
    trial: Trial, name: str, values: NDArray[np.float64], text: str, *, are_states: bool = False
) -> Markup:
    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        course.draw(axes, trial, values, are_states=are_states)
        axes.set_ylabel(name[:32])

    return picture(f"Signal {name}", text or "No state was missing", draw, size=_LOW)


def _gaps(trial: Trial) -> Markup:
    """Where signals have no value, and the longest pauses between rows."""
    recording = trial.recording
    missing = ~np.isfinite(recording.values[:, :MAX_DRAWN].astype(np.float64))
    shares = missing.mean(axis=0)
    said = paragraph(
        f"{int(missing.any(axis=1).sum())} of {len(recording)} rows lack a value of a signal."
    )
    drawn = Markup()
    if shares.any():
        names = [one.name for one in trial.proposal.signals][:MAX_DRAWN]
        drawn = _missing(recording, missing, names)
    return said + drawn + _pauses(trial)


def _missing(recording: Recording, missing: NDArray[np.bool_], names: list[str]) -> Markup:
    chosen = np.flatnonzero(missing.any(axis=0))
    parts = np.array_split(np.arange(len(recording)), min(_COLUMNS, len(recording)))
    shares = np.array([missing[rows][:, chosen].mean(axis=0) for rows in parts])

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for line in range(len(chosen)):
            filled = np.flatnonzero(shares[:, line])
            axes.broken_barh(
                [(part / len(parts) * 100, 100 / len(parts)) for part in filled],
                (line - 0.4, 0.8),
                color=ORANGE,
            )
            axes.axhline(line - 0.5, color=GREY, lw=0.3)
        axes.set_yticks(range(len(chosen)), [names[index][:24] for index in chosen])
        axes.set_ylim(len(chosen) - 0.5, -0.5)
        axes.set_xlim(0, 100)
        axes.set_xlabel("rows in order of time, %")

    told = ", ".join(f"{names[i]} {missing[:, i].mean():.1%}" for i in chosen[:_PAUSES])
    size = (WIDE[0], 0.9 + 0.24 * len(chosen))
    return picture(
        "Rows without a value", f"Share of the rows without one: {told}", draw, size=size
    )


def _pauses(trial: Trial) -> Markup:
    recording = trial.recording
    if not recording.timed or len(recording) < 3:  # noqa: PLR2004  two steps to compare
        return Markup()
    order = np.argsort(recording.asset, kind="stable")
    steps = np.diff(recording.times_ns[order])
    same = np.diff(recording.asset[order]) == 0
    usual = float(np.median(steps[same & (steps > 0)])) if (same & (steps > 0)).any() else 0.0
    long = np.flatnonzero(same & (steps > _LONG * max(usual, 1.0)))
    if not len(long):
        return paragraph("There is no pause longer than five times the usual step.")
    longest = long[np.argsort(-steps[long], kind="stable")][:_PAUSES]
    rows = [
        (
            recording.assets[recording.asset[order[one]]],
            _at(trial, int(order[one])),
            trial.clock.span(float(steps[one])),
        )
        for one in longest
    ]
    span = trial.clock.span(usual)
    said = f"{len(long)} pauses are longer than five times the usual step of {span}."
    return paragraph(said) + table(("asset", "last row before the pause", "length"), rows)


def _at(trial: Trial, row: int) -> str:
    moment = trial.clock.moment(int(trial.recording.times_ns[row]))
    return f"{moment}, {trial.recording.place(row)}"
