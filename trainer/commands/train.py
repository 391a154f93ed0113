"""`millhand-trainer train`: trains a model by a recipe, and writes its bundle.

`train` lists its steps from top to bottom. The bundle is written last, atomically, when the graph
has passed the parity check and keeps the budget.
"""

import argparse
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from models.bundle.manifest import WindowSpec
from models.bundle.package import Bundle
from models.errors import BundleError
from models.files import write_atomically
from trainer.bundle.earlier import free_seq, last_before
from trainer.bundle.explained import unexplained
from trainer.bundle.package import pack
from trainer.bundle.parity_check import CheckedModel, export_checked
from trainer.checks.row_notes import row_notes
from trainer.checks.suite import examine
from trainer.commands.inspect import inspect
from trainer.commands.train_summary import summarise
from trainer.console import Console
from trainer.dataset.splits import split
from trainer.dataset.subject import Subject
from trainer.dataset.targets import Truth
from trainer.dataset.training_rows import training_rows
from trainer.errors import ComparisonError, ParityError, UsageError
from trainer.estimators.candidate import Candidate
from trainer.estimators.fitting import fit
from trainer.evaluation.champion import Comparison, compare
from trainer.evaluation.useless_answers import useless_answers
from trainer.graph.export import Graph
from trainer.ingest.recording import Recording
from trainer.recipe.document import Anomaly, Recipe, read_recipe
from trainer.report.outcome import write_outcome
from trainer.report.trained import Trained
from trainer.search.candidates import search
from trainer.search.contest import contest
from trainer.search.detector_choice import best_detector
from trainer.search.journal import path_of, record_lengths
from trainer.search.leaderboard import Leaderboard
from trainer.search.tradeoff import with_costs
from trainer.search.window_lengths import ChosenLength, chosen_length


@dataclass(frozen=True, slots=True)
class Outcome:
    """A bundle that was written, and what it was made from.

    Attributes:
        bundle: the bundle.
        path: path of the file.
        trained: the model, its data, and everything that the report shows.
    """

    bundle: Bundle
    path: Path
    trained: Trained


Champion = Path | Literal["none"] | None
"""The bundle to compare with: a path, "none", or None for the stream's last one in the folder."""


def train(
    recipe: Recipe,
    folder: Path,
    *,
    console: Console,
    seq: int | None = None,
    champion: Champion = None,
) -> Outcome:
    """Train a model, check its graph, and write the bundle `<stream>-<seq>.zip` into `folder`.

    Args:
        recipe: the recipe.
        folder: the folder that bundles are written to.
        console: shows the progress.
        seq: seq of the bundle; None takes one above the highest of its stream in `folder`.
        champion: the earlier bundle that the new model is compared with.

    Raises:
        DataError: the recorded data cannot be used, or a check found an error.
        ParityError: the graph differs from the model, or exceeds the budget.
        UsageError: there is a bundle of this seq in `folder` already.
        KeyboardInterrupt: the user stopped the search; the next call continues it.
        OSError: the bundle cannot be written.
    """
    stream = recipe.bundle.stream
    seq = free_seq(folder, stream, seq)
    recording, known = _read(recipe, console)
    length = chosen_length(recording, known, recipe, console)
    recipe = length.recipe
    spec = recipe.window.spec(recording.period_ms())
    with console.stage("windows", total=len(recording)) as advance:
        parts = split(recording, known, recipe, spec, advance=advance)
    subject = Subject(recording, known, recipe, parts)
    with console.stage("checking"):
        findings = examine(subject)
    leaderboard = _searched(subject, length, folder, console)
    found, chosen = _first_passing(leaderboard, partial(_attempt, subject, seq, console))
    against = champion if champion is not None else last_before(folder, stream, seq)
    comparison, compared = _compared(against, subject, spec, found, console)
    trained = Trained(
        recording=recording,
        truth=known,
        recipe=recipe,
        parts=parts,
        seq=seq,
        spec=spec,
        model=found.model,
        explain=found.explained.section if found.explained else None,
        normal=found.explained.normal if found.explained else None,
        notes=(
            *row_notes(recording, recipe, parts),
            *length.notes,
            *chosen,
            *compared,
            *unexplained(recipe.explain, found.explained),
            *found.notes,
        ),
        findings=findings,
        optimised=found.optimised,
        parity=found.parity,
        latency=found.latency,
        memory_bytes=found.memory_bytes,
        leaderboard=leaderboard,
        comparison=comparison,
        doubts=useless_answers(found.model, subject),
    )
    with console.stage("reporting"):
        bundle = pack(trained, found.content, found.golden)
    path = folder / f"{stream}-{seq}.zip"
    write_atomically(path, bundle.content)
    return Outcome(bundle, path, trained)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command to its parser."""
    add = parser.add_argument
    add("recipe", type=Path, help="the recipe, a TOML file")
    add("--out", type=Path, required=True, help="folder that the bundle is written to")
    add("--seq", type=_seq, help="seq of the bundle; default: one above the highest in the folder")
    earlier = "earlier bundle to compare with, or none; default: the stream's last in the folder"
    add("--champion", type=_champion, metavar="BUNDLE", help=earlier)
    said = "also write bundle, metrics and comparison as JSON into this file, for programs"
    add("--outcome", type=Path, metavar="FILE", help=said)


def run(options: argparse.Namespace) -> int:
    """Train, and print notes, findings, leaderboard and metrics."""
    console = Console()
    _check_folder(options.out)
    recipe = read_recipe(options.recipe)
    champion: Champion = options.champion
    if isinstance(champion, Path) and not champion.is_file():
        raise UsageError(f"--champion {champion}: there is no such file; give a bundle, or 'none'")
    outcome = train(recipe, options.out, console=console, seq=options.seq, champion=champion)
    if options.outcome is not None:
        trained = outcome.trained
        write_outcome(options.outcome, outcome.bundle, outcome.path, trained.comparison)
    summarise(outcome.bundle, outcome.path, outcome.trained, console)
    return 0


def _read(recipe: Recipe, console: Console) -> tuple[Recording, Truth]:
    with console.stage("reading"):
        return training_rows(recipe, opened=console.detail)


def _searched(
    subject: Subject, length: ChosenLength, folder: Path, console: Console
) -> Leaderboard | None:
    recipe, train_part = subject.recipe, subject.parts.train
    if recipe.search is None:
        board = contest(train_part, subject.truth, recipe, console)
        return None if board is None else replace(board, lengths=length.tried)
    if isinstance(recipe.target, Anomaly):
        return best_detector(subject, recipe.target, recipe.search, console)
    journal = path_of(folder, recipe, subject.recording.digests)
    record_lengths(journal, [one.row() for one in length.tried])
    found = search(train_part, subject.truth, recipe, journal=journal, console=console)
    ranked = with_costs(found, train_part, subject.truth, recipe, console)
    return replace(ranked, lengths=length.tried)


def _attempt(
    subject: Subject, seq: int, console: Console, candidate: Candidate | None
) -> CheckedModel:
    parts, known, recipe = subject.parts, subject.truth, subject.recipe
    with console.stage("fitting"):
        model = fit(parts.train, known, recipe, candidate)
    return export_checked(model, parts, known, (recipe, seq), console)


def _compared(
    champion: Champion, subject: Subject, spec: WindowSpec, found: CheckedModel, console: Console
) -> tuple[Comparison | None, tuple[str, ...]]:
    """The comparison with the champion, or a note why there is none; training goes on then."""
    if not isinstance(champion, Path):
        return None, ()
    with console.stage("comparing"):
        try:
            earlier, _ = inspect(champion)
            graph = Graph(found.content)
            return compare(earlier, subject, spec, found.model, graph), ()
        except OSError as exc:
            why = exc.strerror or type(exc).__name__
        except (BundleError, ComparisonError) as exc:
            why = str(exc).removeprefix(f"{champion}: ")
    return None, (f"comparison: not with {champion.name}: {why}",)


def _first_passing(
    leaderboard: Leaderboard | None, attempt: Callable[[Candidate | None], CheckedModel]
) -> tuple[CheckedModel, tuple[str, ...]]:
    """The best entry that passes the parity check and the budget, or the default; and notes."""
    if leaderboard is None:
        try:
            return attempt(None), ()
        except ParityError as exc:
            raise ParityError(f"{exc}; no bundle is written") from exc
    said = list(leaderboard.notes)
    for entry in leaderboard.entries:
        try:
            found = attempt(entry.candidate)
        except ParityError as exc:
            said.append(f"{leaderboard.origin}: {entry.family} is left out: {exc}")
            continue
        said.append(
            f"{leaderboard.origin}: {leaderboard.tried} candidates tried on folds of the training "
            f"part; the model is {entry.family} on {entry.features} features, "
            f"{leaderboard.metric} {entry.said} there"
        )
        return found, tuple(said)
    nothing = f"{leaderboard.origin}: no family is left; no bundle is written"
    raise ParityError("\n".join([*said, nothing]))


def _champion(text: str) -> Champion:
    return "none" if text == "none" else Path(text)


def _seq(text: str) -> int:
    if not re.fullmatch(r"[1-9]\d{0,14}", text):
        raise argparse.ArgumentTypeError(f"'{text}': a whole number from 1 on is needed")
    return int(text)


def _check_folder(folder: Path) -> None:
    """Check before hours of training that the bundle can be written.

    Raises:
        UsageError: the path is a file, or cannot be written to.
    """
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        raise UsageError(f"--out {folder}: {there} is a file; give a folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UsageError(f"--out {folder}: {there} cannot be written to; give another folder")
