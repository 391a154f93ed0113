"""`millhand-trainer drift`: what a gateway would have said of recorded data.

The rows go through the windows, the graph and the drift of a gateway; the alarms are told month by
month, or, without a time axis, a thousand samples at a time.
"""

import argparse
import glob
import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.bundle.reference import Document, Reference, read_document
from models.drift import Decision, Drift
from models.errors import BundleError, IncompatibleBundleError
from trainer.commands.inspect import inspect
from trainer.console import Console
from trainer.dataset.windows import Windowed, window_rows
from trainer.graph.export import Graph
from trainer.ingest.recorded_files import load
from trainer.ingest.recording import Recording
from trainer.recipe.document import Recipe, read_recipe

_STEP = 65_536
_ROWS_A_PERIOD = 1000


@dataclass(frozen=True, slots=True)
class Period:
    """A month, or a thousand rows.

    Attributes:
        begins: the month, or the number of its first row.
        decisions: windows that were judged in it.
        alarms: those that were an alarm.
        worst: the view that was furthest from the training part, and `ratio` how far in limits.
    """

    begins: str
    decisions: int
    alarms: int
    worst: str
    ratio: float


@dataclass(frozen=True, slots=True)
class Timeline:
    """What was found; `first_alarm` is the end of the first window that was one."""

    decisions: int
    alarms: int
    first_alarm: str | None
    periods: tuple[Period, ...]


def follow(reference: Reference, graph: Graph, windows: Windowed, recording: Recording) -> Timeline:
    """Judge windows of a recording as a gateway would, with every asset watched.

    Args:
        reference: of the bundle.
        graph: of the bundle.
        windows: cut as the bundle says, in the order in which they became due.
        recording: that they were cut from.
    """
    drift = Drift(reference)
    decisions: list[Decision] = []
    for start in range(0, len(windows), _STEP):
        part = windows.take(np.arange(start, min(start + _STEP, len(windows))))
        answers = graph.run(part.values)
        score = answers.get("score", answers["value"]).ravel()
        assets = [recording.assets[index] for index in part.asset]
        decisions += (
            decision._replace(position=start + decision.position)
            for decision in drift.feed(assets, part.values[:, -1], score)
        )
    rows = windows.rows[np.array([decision.position for decision in decisions], dtype=np.int64)]
    return _timeline(reference, decisions, _times(recording, rows), _periods(recording, rows))


def arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument("bundle", type=Path)
    parser.add_argument("files", type=Path, nargs="*", help="default: those of the recipe")
    parser.add_argument("--recipe", type=Path, required=True, help="describes the files")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Replay, and print the timeline."""
    console = Console()
    bundle, _ = inspect(options.bundle)
    manifest = bundle.manifest
    document = read_document(bundle.reference, manifest.channels)
    reference = None if document is None else Reference.of(document)
    if document is None or reference is None:
        reason = "was made before there was drift" if document is None else document.reason
        raise BundleError(f"{bundle.ref} does not say how drift is judged: {reason}; train anew")
    recipe = read_recipe(options.recipe)
    names = [channel.name for channel in manifest.channels]
    if [signal.name for signal in recipe.signals] != names:
        found = ", ".join(signal.name for signal in recipe.signals)
        raise IncompatibleBundleError(
            f"{bundle.ref} reads {', '.join(names)}; the recipe's signals are {found}"
        )
    recording = _recording(recipe, options.files, console)
    with console.stage("windows", total=len(recording)) as advance:
        every = np.arange(len(recording))
        windows = window_rows(recording, every, manifest.window, manifest.channels, advance=advance)
    with console.stage("judging"):
        timeline = follow(reference, Graph(bundle.model), windows, recording)
    _show(str(bundle.ref), document, timeline, console, as_json=options.json)
    return 0


def _recording(recipe: Recipe, files: list[Path], console: Console) -> Recording:
    source = recipe.data
    if files:
        patterns = tuple(glob.escape(str(path.absolute())) for path in files)
        source = source.model_copy(update={"files": patterns})
    with console.stage("reading"):
        recording = load(source, recipe.signals, opened=console.detail)
    for note in recording.notes:
        console.note(note)
    return recording


def _times(recording: Recording, rows: NDArray[np.int64]) -> list[str]:
    """When each row was, in words."""
    if not recording.timed:
        return [recording.place(row) for row in rows.tolist()]
    moments = recording.times_ns[rows].astype("datetime64[ns]").astype("datetime64[s]")
    return [f"{moment}Z" for moment in moments]


def _periods(recording: Recording, rows: NDArray[np.int64]) -> list[str]:
    if not recording.timed:
        return [f"row {row // _ROWS_A_PERIOD * _ROWS_A_PERIOD}" for row in rows.tolist()]
    return [str(m) for m in recording.times_ns[rows].astype("datetime64[ns]").astype("M8[M]")]


def _timeline(
    reference: Reference, decisions: list[Decision], times: list[str], periods: list[str]
) -> Timeline:
    judged, alarms = Counter(periods), Counter[str]()
    worst: dict[str, tuple[float, int]] = {}
    first = None
    for decision, time, period in zip(decisions, times, periods, strict=True):
        view = int(decision.ratios.argmax())
        ratio = float(decision.ratios[view])
        worst[period] = max(worst.get(period, (0.0, 0)), (ratio, view))
        if ratio > 1:
            alarms[period] += 1
            first = first or time
    told = tuple(
        Period(
            begins=period,
            decisions=count,
            alarms=alarms[period],
            worst=" ".join(reference.views[worst[period][1]]),
            ratio=round(worst[period][0], 3),
        )
        for period, count in judged.items()
    )
    return Timeline(len(decisions), alarms.total(), first, told)


def _show(
    label: str, document: Document, timeline: Timeline, console: Console, *, as_json: bool
) -> None:
    assert document.drift is not None  # noqa: S101  the caller has made a reference of it
    judgement = document.drift
    if as_json:
        fields: dict[str, Any] = {"judgement": judgement.model_dump(), **asdict(timeline)}
        console.print(json.dumps(fields, indent=1))
        return
    console.table(
        f"Drift of {label}",
        {
            "window": f"{judgement.window} samples of an asset",
            "false alarms": f"{judgement.false_alarms:.2%} of the windows, as calibrated",
            "windows judged": str(timeline.decisions),
            "alarms": str(timeline.alarms),
            "first alarm": timeline.first_alarm or "none",
        },
    )
    rows = [
        [p.begins, str(p.decisions), str(p.alarms), p.worst, f"{p.ratio:.2f}"]
        for p in timeline.periods
    ]
    header = ["from", "windows", "alarms", "furthest", "in limits"]
    console.grid("Timeline", header, rows)
