"""A trial of a draft: its rows are read, split and checked as `train` will do it."""

import tomllib
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from numpy.typing import NDArray
from pydantic import ValidationError

from trainer.checks.finding import Finding
from trainer.checks.precision import coarse_signals
from trainer.checks.signals import stuck_runs
from trainer.checks.suite import CHECKS
from trainer.dataset.clock import Clock, clock_of
from trainer.dataset.splits import split
from trainer.dataset.subject import Subject
from trainer.dataset.training_rows import training_rows
from trainer.draft.excerpt import Excerpts
from trainer.draft.proposal import Proposal
from trainer.draft.recipe_text import recipe_text
from trainer.errors import DataError, RecipeError
from trainer.ingest.recorded_files import load
from trainer.ingest.recording import Recording
from trainer.recipe.document import Recipe
from trainer.recipe.split_section import ALLOWABLE
from trainer.recipe.validation_errors import told

MAX_SEEN: Final = 40
"""Most columns whose values are read although they were left out at first sight."""
_ROUNDS: Final = 4
_USELESS: Final = {
    "constant-signal": "it is constant in the training part",
    "nearly-empty-signal": "it has hardly any value in the training part",
    "counting-signal": "it counts from row to row: later values were never trained on",
    "wandering-signal": "its level wanders: the training part does not show all that is normal",
}
_STUCK: Final = (
    "it was stuck: one value far longer than ever otherwise; look at the picture, and leave those "
    "rows out to use it"
)
_BRIEF: Final = 0.05
"""Share of the rows below which a stuck stretch costs a model less than the lack of the signal."""
_LEAK: Final = (
    "it gives the target away, as what is recorded after the event does; take it in if it is known "
    "beforehand"
)


@dataclass(frozen=True)
class Trial:
    """What a draft has come to.

    Attributes:
        proposal: the draft, without signals that the checks speak against.
        recording: the rows that were looked at.
        subject: rows, target and both parts, of the last round.
        findings: what the checks still say.
        left_out: values of columns of numbers that are left out, `[rows]`, by column: those that
            the checks speak against, and those that were left out at first sight.
    """

    proposal: Proposal
    recording: Recording
    subject: Subject
    findings: tuple[Finding, ...]
    left_out: Mapping[str, NDArray[Any]]

    @property
    def clock(self) -> Clock:
        """What the times of the rows mean."""
        return clock_of(self.recording, self.subject.recipe)


def tried(proposal: Proposal, begun: Excerpts, folder: Path) -> Trial:
    """Read, split and check the rows; leave out what the checks speak against, and try again.

    Raises:
        DataError: the rows cannot be used as the draft says, or no signal is left.
    """
    left_out: dict[str, NDArray[Any]] = {}
    for _ in range(_ROUNDS):
        if not proposal.signals:
            raise DataError(
                "no column is left that could be a signal: "
                + "; ".join(f"'{name}': {why}" for name, why in proposal.left_out.items())
            )
        subject = _subject(proposal, begun, folder)
        found = tuple(one for check in CHECKS.values() for one in check(subject))
        changed = _changed(proposal, subject, found)
        if changed is proposal:
            break
        left_out |= _values(proposal, subject.recording, changed.left_out)
        proposal = changed
    kept = {one.name for one in proposal.signals}
    doubts = tuple(said for name, said in _briefly_stuck(subject).items() if name in kept)
    proposal = replace(proposal, doubts=(*proposal.doubts, *doubts))
    left_out |= _left_out_at_sight(proposal, subject, [*left_out])
    # Of a record of changes, rows that only had these signals are gone with them.
    shown = {name: one for name, one in left_out.items() if len(one) == len(subject.recording)}
    return Trial(proposal, subject.recording, subject, found, shown)


def recipe_of(text: str, folder: Path, begun: Excerpts | None = None) -> Recipe:
    """The text of a draft as a recipe, which reads the excerpts in place of the files.

    Raises:
        RecipeError: it is none, with a line for each mistake.
    """
    content = tomllib.loads(text)
    try:
        recipe = Recipe.model_validate(content, context={"folder": folder})
    except ValidationError as exc:
        raise RecipeError("\n".join(told(exc, content, Recipe))) from exc
    if begun is None or not begun.cut:
        return recipe
    files = tuple(str(path) for path in begun.paths.values())
    return recipe.model_copy(update={"data": recipe.data.model_copy(update={"files": files})})


def _subject(proposal: Proposal, begun: Excerpts, folder: Path) -> Subject:
    recipe = recipe_of(recipe_text(proposal), folder, begun)
    recipe = recipe.of_length(recipe.lengths[-1])
    recording, known = training_rows(recipe)
    spec = recipe.window.spec(recording.period_ms())
    return Subject(recording, known, recipe, split(recording, known, recipe, spec))


def _values(
    proposal: Proposal, recording: Recording, columns: Collection[str]
) -> dict[str, NDArray[Any]]:
    """The values of those signals whose columns are named, `[rows]`, by column."""
    return {
        one.column: recording.values[:, recording.channels.index(one.name)]
        for one in proposal.signals
        if one.column in columns
    }


def _left_out_at_sight(
    proposal: Proposal, subject: Subject, known: Collection[str]
) -> dict[str, NDArray[Any]]:
    """The values of columns of changing numbers that are left out, `[rows]`, by column.

    Args:
        proposal: the draft.
        subject: the rows that were looked at.
        known: columns whose values are known already.
    """
    used = {proposal.goal.column, *proposal.clock.columns, *proposal.fleet.columns, *known}
    columns = [proposal.columns[name] for name in proposal.left_out if name in proposal.columns]
    numbers = [one for one in columns if one.kind == "number" and one.distinct > 1]
    names = [one.name for one in numbers if one.name not in used][:MAX_SEEN]
    recipe = subject.recipe
    copies = "duplicated-files" in recipe.checks.allow
    if names:
        # A picture less is better than no draft.
        with suppress(DataError):
            found = load(recipe.data, recipe.signals, numbers=names, copies=copies).numbers
            return {name: found[name] for name in names}
    return {}


def _changed(proposal: Proposal, subject: Subject, findings: tuple[Finding, ...]) -> Proposal:
    """The draft after the findings; the same object if they change nothing."""
    brief = _briefly_stuck(subject)
    for names, reason in _speaking_against(findings, brief):
        left = [one for one in proposal.signals if one.name not in names]
        if left and len(left) < len(proposal.signals):
            proposal = proposal.without(names, reason)
    for finding in findings:
        severe = finding.severity == "error" and not finding.signals
        if severe and finding.name not in ALLOWABLE:
            raise DataError(str(finding))
        if severe and finding.name not in proposal.allow:
            doubt = f"{finding}. It is allowed, so that train runs: take it out of allow then"
            proposal = replace(
                proposal, allow=(*proposal.allow, finding.name), doubts=(*proposal.doubts, doubt)
            )
    return _with_offsets(proposal, subject)


def _briefly_stuck(subject: Subject) -> dict[str, str]:
    """Signals that were stuck in so few rows that they are kept, each with a doubt."""
    rows = len(subject.recording)
    return {
        name: f"'{name}' was stuck in {run.rows} of {rows} rows, for the longest from "
        f"{subject.recording.place(run.start)} on: it is kept, because these are few; leave them "
        "out if the sensor was dead"
        for name, run in stuck_runs(subject).items()
        if run.rows < _BRIEF * rows
    }


def _speaking_against(
    findings: tuple[Finding, ...], brief: Collection[str]
) -> Iterator[tuple[tuple[str, ...], str]]:
    for finding in findings:
        if finding.name == "stuck-signal":
            yield tuple(one for one in finding.signals if one not in brief), _STUCK
        elif reason := _USELESS.get(finding.name):
            yield finding.signals, reason
        elif finding.name == "target-leak" and finding.severity == "error":
            yield finding.signals, _LEAK


def _with_offsets(proposal: Proposal, subject: Subject) -> Proposal:
    offsets: Mapping[str, Any] = {one.name: one.offset for one in coarse_signals(subject)}
    told_of = [one for one in proposal.signals if one.name in offsets and "offset" not in one.keys]
    if not told_of:
        return proposal
    note = "the offset is subtracted before, because float32 cannot hold the signal's steps"
    signals = [
        one.with_key("offset", offsets[one.name], note) if one in told_of else one
        for one in proposal.signals
    ]
    return replace(proposal, signals=signals)
