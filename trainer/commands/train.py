"""`millhand-trainer train`: from a recipe to a bundle that has proved itself.

`train` reads from top to bottom what happens. Nothing is written before everything has passed: the
bundle appears whole, or not at all.
"""

import argparse
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from models.bundle import Bundle
from models.files import write_atomically
from trainer.bundle.export import Parity
from trainer.bundle.package import Trained, pack
from trainer.bundle.proof import Proven, proven
from trainer.checks.finding import Finding, Subject
from trainer.checks.suite import examine
from trainer.console import Screen
from trainer.errors import ParityError, UsageError
from trainer.estimators.choice import Choice
from trainer.estimators.estimators import fit
from trainer.evaluation.remarks import remarks
from trainer.evaluation.split import split
from trainer.recipe.recipe import Recipe, Regression, read_recipe
from trainer.recordings.datasets import load
from trainer.recordings.membership import with_membership
from trainer.recordings.recording import Recording
from trainer.recordings.targets import truth, with_tables
from trainer.search.board import Board
from trainer.search.journal import path_of
from trainer.search.search import search


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
        board: of the search, where there was one.
    """

    bundle: Bundle
    path: Path
    remarks: tuple[str, ...]
    findings: tuple[Finding, ...]
    parity: Parity
    latency_ms_p99: float
    board: Board | None = None


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
        KeyboardInterrupt: somebody wanted an end during a search, which the next call continues.
        OSError: the bundle cannot be written.
    """
    stream = recipe.bundle.stream
    seq = next_seq(folder, stream) if seq is None else seq
    recording = _read(recipe, screen)
    spec = recipe.window.spec(recording.period_ms())
    known = with_membership(truth(recording, recipe), recording, recipe)
    recording = with_tables(recording, known)
    with screen.stage("windows", total=len(recording)) as advance:
        parts = split(recording, known, recipe, spec, advance=advance)
    with screen.stage("checking"):
        findings = examine(Subject(recording, known, recipe, parts))
    said = remarks(recording, recipe, parts)
    if recipe.search is not None:
        journal = path_of(folder, recipe, recording.digests)
        board = search(parts.train, known, recipe, journal=journal, screen=screen)
    else:
        board = None

    def attempt(choice: Choice | None) -> Proven:
        with screen.stage("fitting"):
            model = fit(parts.train, known, recipe, choice)
        return proven(model, parts, known, (recipe, seq), screen)

    found, more = _first_proven(board, attempt)
    said += more
    trained = Trained(
        recipe, seq, recording, known, spec, parts, found.model, said, findings, found.parity
    )
    bundle = pack(trained, found.content, found.golden)
    path = folder / f"{stream}-{seq}.zip"
    write_atomically(path, bundle.content)
    return Outcome(bundle, path, said, findings, found.parity, found.latency_ms_p99, board)


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
    _check_folder(options.out)
    recipe = read_recipe(options.recipe)
    outcome = train(recipe, options.out, screen=screen, seq=options.seq)
    for remark in outcome.remarks:
        screen.remark(remark)
    for finding in outcome.findings:
        screen.remark(str(finding))
    if outcome.board is not None:
        board = outcome.board
        screen.grid(f"{board.tried} candidates", board.header(board.metric), board.rows())
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


def _first_proven(
    board: Board | None, attempt: Callable[[Choice | None], Proven]
) -> tuple[Proven, tuple[str, ...]]:
    """The best of the board that proves itself, or the default; and what is to be said of it."""
    if board is None:
        try:
            return attempt(None), ()
        except ParityError as exc:
            raise ParityError(f"{exc}; no bundle is written") from exc
    said = list(board.remarks)
    for entry in board.entries:
        try:
            found = attempt(entry.choice)
        except ParityError as exc:
            said.append(f"search: {entry.family} is left out: {exc}")
            continue
        said.append(
            f"search: {board.tried} candidates tried on folds of the training part; the model is "
            f"{entry.family} on {entry.features} features, {board.metric} {entry.said} there"
        )
        return found, tuple(said)
    raise ParityError("\n".join([*said, "search: no family is left; no bundle is written"]))


def _seq(text: str) -> int:
    if not re.fullmatch(r"[1-9]\d{0,14}", text):
        raise argparse.ArgumentTypeError(f"'{text}': seq is a whole number from 1 on")
    return int(text)


def _check_folder(folder: Path) -> None:
    """Refuse, before hours of work, what no bundle could be written to.

    Raises:
        UsageError: it is no folder, or nothing may be written there.
    """
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        raise UsageError(f"--out {folder}: {there} is a file; give a folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UsageError(f"--out {folder}: nothing may be written to {there}; give another folder")
