"""`millhand-trainer drift`: the drift alarms that a gateway would have raised on recorded data.

The rows go through the windows, the graph and the drift detection of a gateway. The alarms are
counted by month, or by a thousand rows or counts where the data has no dates.
"""

import argparse
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
from trainer.commands.replay import recorded
from trainer.console import Console
from trainer.dataset.clock import Clock, clock_of
from trainer.dataset.windows import Windowed, window_rows
from trainer.graph.export import Graph
from trainer.ingest.recording import Recording
from trainer.recipe.document import read_recipe

# Windows that are scored at once.
_STEP = 65_536
_ROWS_A_PERIOD = 1000


@dataclass(frozen=True, slots=True)
class Period:
    """The alarms of a month, or of a thousand rows or counts.

    Attributes:
        begins: the month, such as `2024-05`, or the period's first row or count.
        decisions: number of comparisons with the training part.
        alarms: number of comparisons that raised an alarm.
        worst: signal and view that were furthest from the training part.
        ratio: distance of `worst`, in units of its limit; above 1 is an alarm.
    """

    begins: str
    decisions: int
    alarms: int
    worst: str
    ratio: float


@dataclass(frozen=True, slots=True)
class Timeline:
    """The alarms of a whole recording.

    Attributes:
        decisions: number of comparisons with the training part.
        alarms: number of comparisons that raised an alarm.
        first_alarm: time, or place in the files, of the first alarm; None if there is none.
        periods: the same by period, in order.
    """

    decisions: int
    alarms: int
    first_alarm: str | None
    periods: tuple[Period, ...]


def follow(
    reference: Reference, graph: Graph, windows: Windowed, recording: Recording, clock: Clock
) -> Timeline:
    """Compare a recording with the training part as a gateway would, for every asset.

    Args:
        reference: the reference of the bundle.
        graph: the graph of the bundle.
        windows: windows as the manifest describes them, in the order in which they became due.
        recording: the recording that the windows are from.
        clock: what its times mean.
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
    times, periods = _times(recording, rows, clock), _periods(recording, rows, clock)
    return _timeline(reference, decisions, times, periods)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command to its parser."""
    add = parser.add_argument
    add("bundle", type=Path, help="bundle with the reference to compare with")
    add("files", type=Path, nargs="*", help="recorded files; default: those of the recipe")
    add("--recipe", type=Path, required=True, help="recipe that describes the files")
    add("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Run the recording through the bundle, and print the alarms by period."""
    console = Console()
    bundle, _ = inspect(options.bundle)
    manifest = bundle.manifest
    document = read_document(bundle.reference, manifest.channels)
    reference = None if document is None else Reference.of(document)
    if document is None or reference is None:
        reason = "it was made before drift limits" if document is None else document.reason
        raise BundleError(f"{bundle.ref} has no limits of drift: {reason}; train it anew")
    recipe = read_recipe(options.recipe)
    names = [channel.name for channel in manifest.channels]
    if [signal.name for signal in recipe.signals] != names:
        found = ", ".join(signal.name for signal in recipe.signals)
        raise IncompatibleBundleError(
            f"{bundle.ref} reads {', '.join(names)}; the recipe's signals are {found}"
        )
    recording = recorded(recipe, options.files, console)
    with console.stage("windows", total=len(recording)) as advance:
        every = np.arange(len(recording))
        windows = window_rows(recording, every, manifest.window, manifest.channels, advance=advance)
    with console.stage("comparing"):
        timeline = follow(
            reference, Graph(bundle.model), windows, recording, clock_of(recording, recipe)
        )
    _show(str(bundle.ref), document, timeline, console, as_json=options.json)
    return 0


def _times(recording: Recording, rows: NDArray[np.int64], clock: Clock) -> list[str]:
    """The time of each row, or its place in the files without a time axis."""
    if not recording.timed:
        return [recording.place(row) for row in rows.tolist()]
    return [clock.moment(time_ns) for time_ns in recording.times_ns[rows].tolist()]


def _periods(recording: Recording, rows: NDArray[np.int64], clock: Clock) -> list[str]:
    times_ns = recording.times_ns[rows]
    if clock.kind == "dates":
        return [str(m) for m in times_ns.astype("datetime64[ns]").astype("M8[M]")]
    counts = clock.count(times_ns).astype(np.int64) if recording.timed else rows
    return [f"{clock.axis} {n // _ROWS_A_PERIOD * _ROWS_A_PERIOD}" for n in counts.tolist()]


def _timeline(
    reference: Reference, decisions: list[Decision], times: list[str], periods: list[str]
) -> Timeline:
    total, alarms = Counter(periods), Counter[str]()
    worst: dict[str, tuple[float, int]] = {}
    first = None
    for decision, time, period in zip(decisions, times, periods, strict=True):
        view = int(decision.ratios.argmax())
        ratio = float(decision.ratios[view])
        worst[period] = max(worst.get(period, (0.0, 0)), (ratio, view))
        if ratio > 1:
            alarms[period] += 1
            first = first or time
    found = tuple(
        Period(
            begins=period,
            decisions=count,
            alarms=alarms[period],
            worst=" ".join(reference.views[worst[period][1]]),
            ratio=round(worst[period][0], 3),
        )
        for period, count in total.items()
    )
    return Timeline(len(decisions), alarms.total(), first, found)


def _show(
    label: str, document: Document, timeline: Timeline, console: Console, *, as_json: bool
) -> None:
    assert document.drift is not None  # noqa: S101  `run` has made a reference of the document
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
            "windows compared": str(timeline.decisions),
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
