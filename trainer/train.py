"""`millhand-trainer train`: from a recipe to a bundle that has proved itself.

`train` reads from top to bottom what happens. Nothing is written before everything has passed: the
bundle appears whole, or not at all.
"""

import argparse
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.bundle import Bundle
from models.files import write_atomically
from trainer.checks.finding import Finding, Subject
from trainer.checks.suite import examine
from trainer.console import Screen
from trainer.datasets import load
from trainer.errors import ParityError
from trainer.estimators import fit
from trainer.export import Graph, Parity, export, prove
from trainer.golden import vectors
from trainer.membership import with_membership
from trainer.package import Trained, pack, tolerance_of
from trainer.recipe import Recipe, Regression, read_recipe
from trainer.recording import Recording
from trainer.remarks import remarks
from trainer.split import split
from trainer.targets import truth


@dataclass(frozen=True, slots=True)
class Outcome:
    """A bundle that was written, and what is to be said of it.

    Attributes:
        path: where it is.
        remarks: what was cleaned or left out.
        findings: of the checks before the training.
        parity: of the graph with the estimator, on all held-out windows.
        latency_ms_p99: of one window on one thread, as measured here. It is no part of the bundle:
            the same recipe and data are to give the same bytes.
    """

    bundle: Bundle
    path: Path
    remarks: tuple[str, ...]
    findings: tuple[Finding, ...]
    parity: Parity
    latency_ms_p99: float


def train(recipe: Recipe, folder: Path, *, screen: Screen, seq: int | None = None) -> Outcome:
    """Train, prove and write the bundle `<stream>-<seq>.zip` into `folder`.

    Args:
        recipe: what to do.
        folder: where bundles go.
        screen: where progress goes.
        seq: of the bundle; one above the highest of its stream in `folder` if not given.

    Raises:
        DataError: the recorded data does not do, or a check found an error.
        ParityError: the graph is not the model, or costs more than the budget.
        OSError: the bundle cannot be written.
    """
    stream = recipe.bundle.stream
    seq = next_seq(folder, stream) if seq is None else seq
    recording = _read(recipe, screen)
    spec = recipe.window.spec(recording.period_ms())
    known = with_membership(truth(recording, recipe), recording, recipe)
    with screen.stage("windows", total=len(recording)) as advance:
        parts = split(recording, known, recipe, spec, advance=advance)
    with screen.stage("checking"):
        findings = examine(Subject(recording, known, recipe, parts))
    said = remarks(recording, recipe, parts)
    with screen.stage("fitting"):
        model = fit(parts.train, known, recipe)
    with screen.stage("exporting"):
        content = export(model, parts.test.values.shape[1:], stream, seq)
        graph = Graph(content)
    with screen.stage("proving"):
        tolerance = tolerance_of(model, known.y[parts.train.rows])
        parity = prove(graph, model, parts.test.values, tolerance)
        golden = vectors(model, parts.test.values, recipe.channels, tolerance)
        prove(graph, model, golden.windows, tolerance)
        latency = _within_budget(graph, content, parts.test.values, recipe)
    trained = Trained(recipe, seq, recording, known, spec, parts, model, said, findings, parity)
    bundle = pack(trained, content, golden)
    path = folder / f"{stream}-{seq}.zip"
    write_atomically(path, bundle.content)
    return Outcome(bundle, path, said, findings, parity, latency)


def next_seq(folder: Path, stream: str) -> int:
    """One above the highest seq of the stream's bundles in `folder`; 1 if there is none."""
    pattern = re.compile(re.escape(stream) + r"-(\d{1,15})\.zip")
    names = (pattern.fullmatch(path.name) for path in folder.glob("*.zip"))
    return 1 + max((int(name[1]) for name in names if name), default=0)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument("recipe", type=Path, help="the recipe, a TOML file")
    parser.add_argument("--out", type=Path, required=True, help="folder the bundle goes to")
    parser.add_argument("--seq", type=_seq, help="default: one above the highest in the folder")


def run(options: argparse.Namespace) -> int:
    """Train, and tell how it went."""
    screen = Screen()
    recipe = read_recipe(options.recipe)
    outcome = train(recipe, options.out, screen=screen, seq=options.seq)
    for remark in outcome.remarks:
        screen.remark(remark)
    for finding in outcome.findings:
        screen.remark(str(finding))
    manifest = outcome.bundle.manifest
    screen.table(
        f"{manifest.name} {manifest.version}",
        {
            "split": manifest.metrics.split,
            "test windows": str(manifest.metrics.test_rows),
            **{name: manifest.metrics.said(name) for name in manifest.metrics.values},
            "parity": ", ".join(f"{k} {v:.1e}" for k, v in outcome.parity.worst.items()),
            "latency p99": f"{outcome.latency_ms_p99:.2f} ms on one thread",
            "bundle": f"{outcome.path} ({len(outcome.bundle.content)} bytes)",
            "sha256": outcome.bundle.sha256,
        },
    )
    return 0


def _read(recipe: Recipe, screen: Screen) -> Recording:
    with screen.stage("reading"):
        return load(
            recipe.data,
            recipe.signals,
            label=recipe.target.column,
            numeric_label=isinstance(recipe.target, Regression),
            opened=screen.detail,
        )


def _within_budget(
    graph: Graph, content: bytes, windows: NDArray[np.float32], recipe: Recipe
) -> float:
    """The latency measured, if latency and size are within what the recipe allows."""
    latency, budget = graph.latency_ms_p99(windows), recipe.budget
    if latency > budget.latency_ms:
        raise ParityError(
            f"one window takes {latency:.2f} ms (p99, one thread), budget.latency_ms is "
            f"{budget.latency_ms:g}; no bundle is written"
        )
    if len(content) > budget.model_mb * 1e6:
        raise ParityError(
            f"the model has {len(content) / 1e6:.1f} MB, budget.model_mb is "
            f"{budget.model_mb:g}; no bundle is written"
        )
    return latency


def _seq(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("seq is a number from 1 on")
    return number
