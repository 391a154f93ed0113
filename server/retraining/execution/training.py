"""Has a model trained whose training was accepted, and says what has come of it."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from models.rollout.stage import MAX_REASON
from server.retraining.errors import RetrainingError
from server.retraining.evidence.champion import champion_of, next_seq
from server.retraining.execution.result import OUTCOME, Result, trained
from server.retraining.execution.rollout_plan import write_plan
from server.retraining.execution.running import OUTPUT, Running
from server.retraining.opened import Opened
from server.retraining.proposals import Known
from server.retraining.settings import RetrainedStream
from server.retraining.states import State

_INTERRUPTED: Final = "the server ended while it trained"


class Training:
    """Runs the command that trains, for one proposal at a time.

    Args:
        of: the server's registry, ledger and proposals.
        run: tells this run of the server from every other.
    """

    def __init__(self, of: Opened, run: str) -> None:
        self._of, self._run = of, run
        self._running: Running | None = None
        self._of_id, self._seq = "", 0

    @property
    def is_busy(self) -> bool:
        """Whether a command runs."""
        return self._running is not None

    def look(self, known: Known, wanted: RetrainedStream, now: datetime, *, is_busy: bool) -> None:
        """Begin the training of a proposal, or look how far it is.

        Args:
            known: a proposal that is accepted, or whose training is under way.
            wanted: the settings of its stream.
            now: time of day.
            is_busy: whether another command runs.

        Raises:
            RolloutError: registry or ledger cannot be used.
            OSError: the disk is full.
        """
        is_ours = self._running is not None and self._of_id == known.proposal.id
        if known.state == "training" and not is_ours:
            self._after_interruption(known)
        elif known.state == "accepted" and self._running is None and not is_busy:
            self._begin(known)
        elif is_ours and self._running is not None:
            code = self._running.look()
            if code is not None:
                self._end(known, wanted, code, now)

    def close(self) -> None:
        """End the command that runs."""
        if self._running is not None:
            self._running.stop()
            self._running = None

    def _begin(self, known: Known) -> None:
        proposal, settings = known.proposal, self._of.retraining
        registry = self._of.rollouts.registry
        by = self._of.proposals.consent(known)
        try:
            champion = champion_of(registry, proposal.stream, proposal.gateways)
            self._seq = next_seq(registry, proposal.stream)
        except RetrainingError as exc:
            self._fail(known, exc)
            return
        said = f"compared with seq {champion.bundle.seq}" if champion else "compared with none"
        reason = f"trains seq {self._seq} by {Path(settings.command[0]).name}, {said}"
        known = self._move(known, "training", by, reason)
        fields = {
            "recipe": proposal.recipe,
            "folder": str(known.folder.absolute()),
            "seq": str(self._seq),
            "champion": str(champion.path.absolute()) if champion is not None else "none",
            "outcome": str((known.folder / OUTCOME).absolute()),
            "stream": proposal.stream,
            "id": proposal.id,
        }
        try:
            self._running = Running(
                settings.command, fields, known.folder, settings, settings.train_s
            )
        except RetrainingError as exc:
            self._fail(known, exc)
        self._of_id = proposal.id

    def _end(self, known: Known, wanted: RetrainedStream, code: int, now: datetime) -> None:
        running, self._running = self._running, None
        if running is None:
            return
        try:
            self._check_end(running, code, known.folder)
            result = trained(known.folder, known.proposal.stream, self._seq)
        except RetrainingError as exc:
            self._fail(known, exc)
            return
        result = self._with_plan(known, wanted, result, now)
        result.write(known.folder)
        reason = f"seq {self._seq} is trained, {result.said or result.verdict}"
        self._move(known, "trained", self._of.by, reason)

    def _check_end(self, running: Running, code: int, folder: Path) -> None:
        if running.is_late:
            raise RetrainingError(
                "training_stopped",
                f"it took longer than {self._of.retraining.train_s:g} s: raise "
                "retraining.train_s, or lower what the recipe searches",
            )
        if code:
            raise RetrainingError(
                "training_failed",
                f"{_ending(code)}: {running.said()[-300:]}; {folder / OUTPUT} has more",
            )

    def _with_plan(
        self, known: Known, wanted: RetrainedStream, result: Result, now: datetime
    ) -> Result:
        """The result, after the plan of its rollout was written or could not be."""
        if wanted.plan is None:
            return result
        deadline = now + timedelta(seconds=self._of.retraining.rollout_s)
        try:
            write_plan(wanted.plan, known.folder, known.proposal, self._seq, deadline)
        except RetrainingError as exc:
            return result.model_copy(update={"trouble": str(exc)})
        return result

    def _after_interruption(self, known: Known) -> None:
        """Begin once more, as often as the settings allow: the consent still stands."""
        tries, most = self._of.proposals.tries(known), self._of.retraining.tries
        if tries < most:
            by = self._of.proposals.consent(known)
            reason = f"{_INTERRUPTED}, try {tries} of {most}; it is begun anew"
            self._move(known, "accepted", by, reason)
            return
        self._fail(
            known,
            RetrainingError(
                "training_stopped",
                f"{_INTERRUPTED}, {tries} times: look why it ends, or raise retraining.tries",
            ),
        )

    def _fail(self, known: Known, error: RetrainingError) -> None:
        self._move(known, "failed", self._of.by, str(error))

    def _move(self, known: Known, state: State, by: str, reason: str) -> Known:
        return self._of.proposals.move(
            known, state, by=by, reason=reason[:MAX_REASON], controller=self._run
        )


def _ending(code: int) -> str:
    return f"it was ended by signal {-code}" if code < 0 else f"its exit code is {code}"
