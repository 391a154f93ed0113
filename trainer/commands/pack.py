"""`millhand-trainer pack`: makes a bundle of a graph that another tool has exported.

`pack` lists its steps from top to bottom. The bundle is written last, atomically, when every check
has passed.
"""

import argparse
import glob
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.bundle.golden import write_golden
from models.bundle.manifest import Lineage, Manifest, Metrics, WindowSpec, schema_version
from models.bundle.package import Bundle, pack_bundle
from models.bundle.reference import write_reference
from models.files import write_atomically
from trainer.bundle import golden
from trainer.bundle.budget import ServingCost, promised, within_budget
from trainer.bundle.earlier import free_seq
from trainer.bundle.made_up import Profile, Window
from trainer.bundle.package import created, unnamed
from trainer.console import Console
from trainer.dataset.windows import Windowed, window_rows
from trainer.drift.reference import Samples, describe
from trainer.errors import DataError, GraphError, RecipeError, UsageError
from trainer.external.adaptation import for_inspection, with_answers, with_window
from trainer.external.declaration import Declaration, read_declaration
from trainer.external.explained import changes_of, explained, missing
from trainer.external.graph import ExternalGraph, read_external
from trainer.external.outputs import inspect_outputs, runnable
from trainer.external.report import CheckSummary, render
from trainer.external.shares import ClassShares
from trainer.external.trial import (
    TrialResult,
    check_answers,
    check_recorded,
    made_up,
    probe_count,
)
from trainer.graph.export import Graph
from trainer.ingest.recorded_files import load
from trainer.recipe.data_section import Source

# Packages whose versions affect a packed bundle.
PACKAGES = ("numpy", "onnx", "onnxruntime")
NOT_MEASURED = "not measured by millhand"
# Recorded windows that are scored for the reference.
MAX_SCORED = 4096


@dataclass(frozen=True, slots=True)
class Recorded:
    """Recorded rows for the golden vectors.

    Attributes:
        windowed: the windows of these rows; None without recorded data.
        spec: the window of the description, with the measured period.
        rows: number of rows that were read.
        digests: sha256 of the files by name.
        notes: notes on what was cleaned.
    """

    windowed: Windowed | None
    spec: WindowSpec
    rows: int
    digests: Mapping[str, str]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Packed:
    """A bundle that was written.

    Attributes:
        bundle: the bundle.
        path: path of the file.
        notes: notes on oddities, and on what cannot be checked.
        answered: how often each class is answered.
        cost: time for one window and memory, as measured on this machine.
    """

    bundle: Bundle
    path: Path
    notes: tuple[str, ...]
    answered: ClassShares
    cost: ServingCost


def pack(  # noqa: PLR0913  the options of the command line
    model: Path,
    description: Path,
    folder: Path,
    *,
    console: Console,
    files: Sequence[Path] = (),
    seq: int | None = None,
) -> Packed:
    """Adapt and check a graph, and write the bundle `<stream>-<seq>.zip` into `folder`.

    Args:
        model: path of an ONNX file, with its weights in it or in files beside it.
        description: path of its description, see `trainer.external.declaration`.
        folder: the folder that bundles are written to.
        console: shows the progress.
        files: paths of recorded rows, instead of the files that the description names.
        seq: seq of the bundle; None takes one above the highest of its stream in `folder`.

    Raises:
        RecipeError: the description has mistakes, or lacks ranges for golden vectors.
        DataError: the recorded rows cannot be read, or give no window.
        GraphError: the graph cannot be served.
        OSError: a file cannot be read, or the bundle cannot be written.
    """
    wanted = read_declaration(description)
    external = read_external(model)
    stream = wanted.bundle.stream
    seq = free_seq(folder, stream, seq)
    recorded = _recorded(wanted, description, files, console)
    shown = None if recorded.windowed is None else _shown(recorded.windowed)
    probes = made_up(wanted, shown)
    with console.stage("adapting"):
        behind = with_window(external, wanted)
        seen = inspect_outputs(for_inspection(behind, external, wanted), external, wanted, probes)
        marks = {"stream": stream, "seq": str(seq)}
        content = with_answers(behind, external, wanted, seen, marks)
        graph = runnable(content)
    with console.stage("trial"):
        if shown is not None:
            check_recorded(graph, wanted, shown)
        result = check_answers(graph, wanted, _usual(wanted, recorded, probes), probes)
        answered = ClassShares.of(graph, wanted, _typical(recorded), probes)
        cost = within_budget(graph, content, probes, wanted.budget, GraphError)
        reasons = explained(graph, wanted, shown, result)
    notes = (
        *external.notes,
        *recorded.notes,
        *result.notes,
        *answered.notes,
        *missing(wanted, shown, reasons),
    )
    digests = {
        **external.digests,
        description.name: _sha256(description),
        **unnamed(recorded.digests),
    }
    lineage = _lineage(external, model, digests)
    changed = {"budget": promised(wanted.budget, cost.memory_bytes)}
    manifest = _manifest(wanted, seq, recorded.spec, result, lineage).model_copy(
        update=changed | changes_of(result, reasons)
    )
    changes = {str(one.name): one.source for one in wanted.outputs}
    summary = CheckSummary(len(probes), recorded.rows, answered, notes, changes)
    members = {
        "model.onnx": content,
        "golden.npz": write_golden(reasons.golden if reasons else result.golden),
        "reference.json": _reference(graph, manifest, recorded.windowed),
        "report.html": render(manifest, summary),
    }
    bundle = pack_bundle(manifest, members)
    path = folder / f"{stream}-{seq}.zip"
    write_atomically(path, bundle.content)
    return Packed(bundle, path, notes, answered, cost)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command to its parser."""
    add = parser.add_argument
    add("model", type=Path, help="the ONNX file to pack")
    add("--manifest", type=Path, required=True, help="description of the model, a TOML file")
    add("--out", type=Path, required=True, help="folder that the bundle is written to")
    samples = "recorded files for the golden vectors; default: those of the description"
    add("--samples", type=Path, nargs="+", default=(), help=samples)
    add("--seq", type=int, help="seq of the bundle; default: one above the highest in the folder")


def run(options: argparse.Namespace) -> int:
    """Pack, and print the notes and a summary of the bundle."""
    if options.seq is not None and options.seq < 1:
        raise UsageError(f"--seq is {options.seq}; a whole number from 1 on is needed")
    console = Console()
    packed = pack(
        options.model,
        options.manifest,
        options.out,
        console=console,
        files=options.samples,
        seq=options.seq,
    )
    for note in packed.notes:
        console.note(note)
    manifest = packed.bundle.manifest
    console.table(
        f"{manifest.name} {manifest.version}",
        {
            "origin": manifest.lineage.origin,
            "metrics": manifest.metrics.split,
            **{name: f"{value:g}" for name, value in manifest.metrics.values.items()},
            "golden vectors": f"{manifest.golden.count}, the graph's own answers",
            **({"answers": packed.answered.said} if packed.answered.shares else {}),
            "latency p99": f"{packed.cost.latency.p99_ms:.2f} ms on one thread",
            "memory": f"{packed.cost.memory_bytes / 1e6:.0f} MB",
            "bundle": f"{packed.path} ({len(packed.bundle.content)} bytes)",
            "sha256": packed.bundle.sha256,
        },
    )
    return 0


def _recorded(
    wanted: Declaration, description: Path, files: Sequence[Path], console: Console
) -> Recorded:
    source = _source(wanted, files)
    if source is None:
        _check_ranges(wanted, description)
        return Recorded(None, wanted.window.spec(None), 0, {}, ())
    with console.stage("reading"):
        recording = load(source, wanted.signals, opened=console.detail)
    spec = wanted.window.spec(recording.period_ms())
    rows = np.arange(len(recording), dtype=np.int64)
    with console.stage("windows", total=len(rows)) as advance:
        windowed = window_rows(recording, rows, spec, wanted.channels, advance=advance)
    if not len(windowed):
        raise DataError(
            f"{', '.join(recording.files[:3])}: {len(recording)} rows give no window of "
            f"{spec.length} samples with every required signal in its range; give more rows"
        )
    return Recorded(windowed, spec, len(recording), recording.digests, tuple(recording.notes))


def _source(wanted: Declaration, files: Sequence[Path]) -> Source | None:
    """The files of the command line, read as `[data]` describes, or the files of `[data]`."""
    if not files:
        return wanted.data
    patterns = tuple(glob.escape(str(path.absolute())) for path in files)
    if wanted.data is not None:
        return wanted.data.model_copy(update={"files": patterns})
    if wanted.window.length > 1 or wanted.window.trigger == "period":
        raise UsageError(
            "--samples needs [data] with time in the description: without a time axis every row is "
            "a window of its own"
        )
    return Source(files=patterns)


def _check_ranges(wanted: Declaration, description: Path) -> None:
    lines = [
        f"{description}: signals[{index}].range: is missing; without --samples or [data] the "
        "golden vectors are drawn within the ranges, so every signal needs one"
        for index, signal in enumerate(wanted.signals)
        if signal.range is None
    ]
    if lines:
        raise RecipeError("\n".join(lines))


def _manifest(
    wanted: Declaration, seq: int, spec: WindowSpec, result: TrialResult, lineage: Lineage
) -> Manifest:
    claim = wanted.metrics
    metrics = Metrics(split=NOT_MEASURED, test_rows=0, values={})
    if claim is not None:
        split = f"claimed by the description, {NOT_MEASURED}: {claim.split}"
        metrics = Metrics(split=split, test_rows=claim.test_rows, values=claim.values)
    return Manifest(
        schema_version=schema_version(wanted.channels, metrics),
        stream=wanted.bundle.stream,
        name=wanted.bundle.name or wanted.bundle.stream,
        version=wanted.bundle.version,
        seq=seq,
        created=created(),
        task=wanted.task,
        channels=wanted.channels,
        window=spec,
        outputs=wanted.promised(),
        golden=result.tolerance,
        metrics=metrics,
        lineage=lineage,
        budget=promised(wanted.budget, 0),
    )


def _lineage(external: ExternalGraph, model: Path, digests: Mapping[str, str]) -> Lineage:
    return Lineage(
        data=dict(digests),
        code_version=version("millhand"),
        packages={package: version(package) for package in PACKAGES},
        seed=0,
        origin=f"packed from {model.name}, made by {external.producer}; the golden vectors are the "
        "graph's own answers: they verify the transport, not the answers",
    )


def _reference(graph: Graph, manifest: Manifest, windowed: Windowed | None) -> bytes:
    """The reference, which describes recorded rows only, and has no limits of drift."""
    reason = "packed from an external graph, whose training data is not known"
    width = len(manifest.channels)
    asset, values = np.empty(0, np.int64), np.empty((0, width), np.float32)
    scores = np.empty(0, np.float32)
    if windowed is not None:
        asset, values = windowed.asset, windowed.values[:, -1]
        scores = np.full(len(windowed), np.nan, np.float32)
        asked = _spread(len(windowed), MAX_SCORED)
        answers = graph.run(windowed.values[asked])
        scores[asked] = answers.get("score", answers["value"])
    document = describe(Samples(asset, values, scores), manifest.channels, None)
    return write_reference(document.model_copy(update={"reason": reason}))


def _typical(recorded: Recorded) -> NDArray[np.float32] | None:
    """Recorded windows spread over all, `[n, length, channels]`; None without recorded rows."""
    if recorded.windowed is None:
        return None
    values = recorded.windowed.values
    return np.asarray(values[_spread(len(values), probe_count(*values.shape[1:]))])


def _shown(windowed: Windowed) -> NDArray[np.float32]:
    """Windows spread over all, and those that end with an extreme of a signal, `[n, ...]`."""
    values = windowed.values
    count, last = probe_count(*values.shape[1:]), values[:, -1]
    lowest = np.where(np.isnan(last), np.inf, last).argmin(axis=0)
    highest = np.where(np.isnan(last), -np.inf, last).argmax(axis=0)
    extremes = np.concatenate([lowest, highest])[:count]
    chosen = np.unique(np.concatenate([_spread(len(values), count), extremes]))
    return np.asarray(values[chosen])


def _usual(wanted: Declaration, recorded: Recorded, probes: NDArray[np.float32]) -> Window:
    """Windows for the golden vectors: made up, unless the description allows recorded ones."""
    if recorded.windowed is None:
        return probes
    if wanted.bundle.golden == "real":
        return _shown(recorded.windowed)
    return golden.made_up(Profile.of(recorded.windowed.values))


def _spread(count: int, most: int) -> NDArray[np.int64]:
    return np.linspace(0, count - 1, min(count, most)).round().astype(np.int64)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
