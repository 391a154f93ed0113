"""The closed loop: proposes, has trained what was consented to, and follows it to its rollout.

It may be killed anywhere. Each state of a proposal is in the ledger before what it stands for
begins, and a command ends with the server; so whatever was under way is known at the next start.
One command runs at a time. The rollout itself is the controller's (`server.rollouts.controller`).
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal, Protocol

from server.retraining.evidence.triggers import cause
from server.retraining.execution.publication import Publication
from server.retraining.execution.running import program
from server.retraining.execution.training import Training
from server.retraining.opened import Opened
from server.retraining.proposal import Witness
from server.retraining.proposals import POLICY, Known
from server.retraining.proposing import propose
from server.retraining.settings import RetrainedStream
from server.rollouts.errors import RolloutError
from server.rollouts.rules.decision import moment


class Witnesses(Protocol):
    """What gateways have said."""

    missing: str

    def witnesses(self, stream: str) -> Sequence[Witness]:
        """What each gateway says of a stream."""


class Loop:
    """Follows all streams, one look after the other. One thread owns it.

    Args:
        of: the server's registry, ledger and proposals.
        run: tells this run of the server from every other.

    Attributes:
        troubles: why something does not go on, by stream.
    """

    def __init__(self, of: Opened, run: str) -> None:
        self._of, self._run = of, run
        self._training, self._publication = Training(of, run), Publication(of, run)
        self.troubles: dict[str, str] = {}

    def turn(self, heard: Witnesses, now: datetime) -> None:
        """Look at every stream, and do what is due.

        Args:
            heard: what gateways have said.
            now: time of day.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        known = self._of.proposals.all()
        last = {one.proposal.stream: one for one in reversed(known)}
        for wanted in self._of.retraining.streams:
            try:
                self._look(wanted, last.get(wanted.stream), heard, now)
            except (RolloutError, OSError) as exc:
                self.troubles[wanted.stream] = str(exc)

    def close(self) -> None:
        """End the command that runs; its training is begun anew at the next start."""
        self._training.close()
        self._publication.close()

    def _look(
        self, wanted: RetrainedStream, last: Known | None, heard: Witnesses, now: datetime
    ) -> None:
        if last is None or not last.is_open:
            self.troubles.pop(wanted.stream, None)
            if last is not None and last.state == "published":
                self._publication.begin_rollout(last)
            self._propose(wanted, last, heard, now)
            return
        if self._expires(last, now):
            return
        if last.state == "proposed":
            self._answer(last)
        elif last.state in ("accepted", "training"):
            self._training.look(last, wanted, now, is_busy=self._publication.is_busy)
        else:
            self._publication.look(last, is_busy=self._training.is_busy)
        self.troubles.pop(wanted.stream, None)

    def _propose(
        self, wanted: RetrainedStream, last: Known | None, heard: Witnesses, now: datetime
    ) -> None:
        quiet = timedelta(seconds=self._of.retraining.quiet_s)
        if last is not None and now < last.since + quiet:
            return
        witnesses = heard.witnesses(wanted.stream)
        found = cause(wanted, witnesses, last.proposal if last is not None else None)
        if found is not None:
            propose(self._of, wanted.stream, found, by=self._of.by, now=now)

    def _answer(self, known: Known) -> None:
        """Accept a proposal where the settings do."""
        if self._of.retraining.auto != "shadow":
            return
        program(self._of.retraining.command)
        self._move(known, "accepted", POLICY, "retraining.auto accepts every proposal")

    def _expires(self, known: Known, now: datetime) -> bool:
        """Let a proposal expire that waits for a person in vain."""
        ends = known.since + timedelta(seconds=self._of.retraining.answer_s)
        if known.state not in ("proposed", "trained") or now < ends:
            return False
        what = "answered" if known.state == "proposed" else "published its bundle"
        self._move(known, "expired", self._of.by, f"nobody has {what} until {moment(ends)}")
        return True

    def _move(
        self, known: Known, state: Literal["accepted", "expired"], by: str, reason: str
    ) -> None:
        self._of.proposals.move(known, state, by=by, reason=reason, controller=self._run)
