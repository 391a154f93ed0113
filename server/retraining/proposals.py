"""The proposals: their documents in a folder, and their states in the ledger.

    <folder>/<id>/proposal.json     the proposal, see `server.retraining.proposal`
    <folder>/<id>/result.json       what its training has given, see `execution.result`
    <folder>/<id>/output.log        the end of what the last command has printed
    <folder>/<id>/...               the bundle, and the plan of its rollout

The document is written first, so that a proposal that the ledger knows can always be read. What
the ledger does not know was never a proposal.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final, cast

from pydantic import ValidationError

from models.files import write_atomically
from models.rollout.stage import MAX_REASON
from server.retraining.errors import RetrainingError
from server.retraining.proposal import Proposal
from server.retraining.states import NEXT, OPEN, State, sources
from server.rollouts.errors import LedgerError
from server.rollouts.ledger import Ledger, Line

DOCUMENT: Final = "proposal.json"
POLICY: Final = 'policy auto = "shadow"'
"""Who stands in the ledger where the settings have accepted a proposal."""
_MAX_BY: Final = 128
_MOST_STATES: Final = 100
_MAX_STREAM: Final = 48  # an identity has 64 characters at most


@dataclass(frozen=True, slots=True)
class Known:
    """A proposal and its state.

    Attributes:
        proposal: the document.
        line: the newest line of the ledger about it.
        folder: the folder of all its files.
    """

    proposal: Proposal
    line: Line
    folder: Path

    @property
    def state(self) -> State:
        """Its state."""
        return cast("State", self.line.state)

    @property
    def since(self) -> datetime:
        """Since when it has this state."""
        return datetime.fromisoformat(self.line.time)

    @property
    def is_open(self) -> bool:
        """Whether it is not over."""
        return self.state in OPEN


class Proposals:
    """All proposals. Each thread and each process has an object of its own.

    Args:
        folder: the folder of their documents.
        ledger: the ledger.
        clock: time of day.
    """

    def __init__(self, folder: Path, ledger: Ledger, clock: Callable[[], datetime]) -> None:
        self._folder, self._ledger, self._clock = folder, ledger, clock
        self._read: dict[str, Proposal] = {}

    def all(self) -> Sequence[Known]:
        """The proposals, the newest first.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        try:
            names = [one.parent.name for one in self._folder.glob(f"*/{DOCUMENT}")]
        except OSError:
            names = []
        known = [one for one in map(self._known, names) if one is not None]
        return sorted(known, key=lambda one: (one.proposal.time, one.proposal.id), reverse=True)

    def find(self, name: str) -> Known:
        """A proposal by its identity.

        Raises:
            RetrainingError: `retraining_unknown`.
            LedgerError: the ledger cannot be read.
        """
        found = self.all()
        for one in found:
            if one.proposal.id == name:
                return one
        names = ", ".join(one.proposal.id for one in found[:10]) or "none"
        raise RetrainingError(
            "retraining_unknown", f"there is no proposal '{name[:64]}'; the newest are {names}"
        )

    def of(self, stream: str) -> Sequence[Known]:
        """The proposals of a stream, the newest first.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        return [one for one in self.all() if one.proposal.stream == stream]

    def new_id(self, stream: str) -> str:
        """An identity that no proposal of a stream has had, as far as files remember."""
        stem = f"{stream[:_MAX_STREAM]}-retrain-"
        names = [one.name.removeprefix(stem) for one in self._folder.glob(f"{stem}*")]
        return f"{stem}{1 + max((int(one) for one in names if one.isdecimal()), default=0)}"

    def add(self, proposal: Proposal) -> Known:
        """Add a proposal.

        Raises:
            RetrainingError: `second_retraining`: another one of the stream is open.
            LedgerError: the ledger or the document cannot be written.
        """
        if other := next((one for one in self.of(proposal.stream) if one.is_open), None):
            raise RetrainingError(
                "second_retraining",
                f"{other.proposal.id} is {other.state}: wait for its end, or decline it",
            )
        folder = self._folder / proposal.id
        try:
            folder.mkdir(parents=True, mode=0o700)
            write_atomically(folder / DOCUMENT, proposal.model_dump_json(indent=2).encode())
        except FileExistsError as exc:  # another process has drawn the same identity
            raise RetrainingError(
                "second_retraining", f"{proposal.id} was proposed just now; look at it"
            ) from exc
        except OSError as exc:
            raise LedgerError(f"{folder} cannot be written: {exc.strerror}") from exc
        line = _line(proposal, "proposed", proposal.reason, proposal.by, proposal.time)
        line = replace(line, epoch=self._ledger.epoch(proposal.id) + 1)
        self._ledger.append_next(line)
        return Known(proposal, line, folder)

    def move(
        self, known: Known, state: State, *, by: str, reason: str, controller: str = ""
    ) -> Known:
        """Give a proposal its next state.

        Args:
            known: the proposal, with the state that it is believed to have.
            state: the next state.
            by: who or what has decided it.
            reason: why.
            controller: run of the server that writes it; empty for a person's decision.

        Raises:
            RetrainingError: `retraining_state`: its state does not allow it, or a name or a reason
                is missing.
            FencedError: somebody else has decided meanwhile.
            LedgerError: the ledger cannot be written.
        """
        proposal = known.proposal
        if state not in NEXT[known.state]:
            raise RetrainingError(
                "retraining_state",
                f"{proposal.id} is {known.state}; to be {state} it must be {sources(state)}",
            )
        reason, by = _checked("reason", reason, MAX_REASON), _checked("by", by, _MAX_BY)
        line = replace(_line(proposal, state, reason, by, self._clock()), controller=controller)
        # A rollout of the same identity may have begun, whose epochs must not be overtaken.
        is_last = state == "published"
        epoch = self._ledger.epoch(proposal.id) if is_last else known.line.epoch + 1
        line = replace(line, epoch=epoch)
        (self._ledger.append if is_last else self._ledger.append_next)(line)
        return replace(known, line=line)

    def lines(self, known: Known) -> Sequence[Line]:
        """The states that a proposal has had, the newest first.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        return self._ledger.lines(known.proposal.id, _MOST_STATES, "retrains")

    def tries(self, known: Known) -> int:
        """How often a training of a proposal was begun.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        return sum(one.state == "training" for one in self.lines(known))

    def was(self, known: Known, state: State) -> bool:
        """Whether a proposal has had a state.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        return any(one.state == state for one in self.lines(known))

    def consent(self, known: Known) -> str:
        """Who has accepted a proposal, as far as the ledger goes back.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        return next((one.by for one in self.lines(known) if one.state == "accepted"), known.line.by)

    def is_by_policy(self, known: Known) -> bool:
        """Whether the settings have accepted a proposal, and no person.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        return self.consent(known) == POLICY

    def prune(self, most: int) -> None:
        """Remove the files of the oldest proposals that are over, beyond so many."""
        for one in self.all()[most:]:
            if not one.is_open:
                shutil.rmtree(one.folder, ignore_errors=True)
                self._read.pop(one.proposal.id, None)

    def _known(self, name: str) -> Known | None:
        line = self._ledger.newest(name, "retrains")
        proposal = self._document(name) if line is not None else None
        return Known(proposal, line, self._folder / name) if line and proposal else None

    def _document(self, name: str) -> Proposal | None:
        if name not in self._read:
            try:
                content = (self._folder / name / DOCUMENT).read_bytes()
                self._read[name] = Proposal.model_validate_json(content)
            except (OSError, ValidationError):
                return None
        return self._read[name]


def _line(proposal: Proposal, state: State, reason: str, by: str, at: datetime) -> Line:
    return Line(
        time=at.isoformat(timespec="milliseconds"),
        rollout=proposal.id,
        epoch=0,
        stage=0,
        state=state,
        what="retrains",
        reason=reason,
        by=by,
        gateways=" ".join(one.gateway for one in proposal.gateways[:20])
        if state == "proposed"
        else "",
    )


def _checked(name: str, text: str, most: int) -> str:
    text = text.strip()
    if not 0 < len(text) <= most:
        raise RetrainingError(
            "retraining_state", f"{name} has {len(text)} characters; allowed are 1 to {most}"
        )
    return text
