"""From a trained bundle to its rollout: a command that publishes, or the word of the registry.

The server has no key by which bundles or plans are signed. Either a command of the settings does
it, with a key of its own, or a person; the server notices it by what the registry has signed then.
"""

from pathlib import Path
from typing import Final

from models.rollout.plan import Plan
from models.rollout.stage import MAX_REASON
from server.retraining.errors import RetrainingError
from server.retraining.evidence.champion import has
from server.retraining.execution.result import Result, read_result
from server.retraining.execution.rollout_plan import DOCUMENT as PLAN
from server.retraining.execution.rollout_plan import begins_in_shadow
from server.retraining.execution.running import Running
from server.retraining.opened import Opened
from server.retraining.proposals import Known
from server.retraining.states import State
from server.rollouts.decisions import Decisions
from server.rollouts.errors import PlanError
from server.rollouts.planning import read_plan
from server.rollouts.service import now
from serving.publishing.rollouts import Rollout

HOLDER: Final = "the holder of the targets key"
"""Who stands in the ledger where a bundle was published by other means than the command."""


class Publication:
    """Runs the command that publishes, for one proposal at a time, and begins rollouts.

    Args:
        of: the server's registry, ledger and proposals.
        run: tells this run of the server from every other.
    """

    def __init__(self, of: Opened, run: str) -> None:
        self._of, self._run = of, run
        self._running: Running | None = None
        self._of_id = ""

    @property
    def is_busy(self) -> bool:
        """Whether a command runs."""
        return self._running is not None

    def look(self, known: Known, *, is_busy: bool) -> None:
        """Publish a trained bundle where the settings say how, or notice that it was published.

        Args:
            known: a proposal that is trained, or is being published.
            is_busy: whether another command runs.

        Raises:
            RolloutError: registry or ledger cannot be used.
        """
        result = read_result(known.folder)
        if result is None:
            raise RetrainingError(
                "training_failed", f"{known.folder} has lost its result: decline the proposal"
            )
        is_ours = self._running is not None and self._of_id == known.proposal.id
        if known.state == "publishing":
            code = self._running.look() if is_ours and self._running is not None else -1
            if code is not None:
                self._end(known, result, code)
        elif self._is_there(known, result):
            self._move(known, "published", HOLDER, f"seq {result.bundle.seq} is in the registry")
        elif self._running is None and not is_busy and not obstacle(self._of, known, result):
            self._begin(known, result)

    def begin_rollout(self, known: Known) -> None:
        """Begin the rollout of a bundle that the command has published, if it was not begun.

        Raises:
            RolloutError: it cannot be begun.
        """
        if known.line.by == HOLDER:
            return
        found = self._planned(known)
        if found is None or found.stage is not None:
            return
        decisions = Decisions(self._of.registry, self._of.ledger, now)
        decisions.start(
            known.proposal.id,
            by=known.line.by,
            reason=f"consent to {known.proposal.id}; its bundle is published",
        )

    def close(self) -> None:
        """End the command that runs."""
        if self._running is not None:
            self._running.stop()
            self._running = None

    def _begin(self, known: Known, result: Result) -> None:
        settings, proposal = self._of.retraining, known.proposal
        folder = known.folder.absolute()
        fields = {
            "plan": str(folder / PLAN),
            "bundle": str(folder / result.file),
            "folder": str(folder),
            "seq": str(result.bundle.seq),
            "stream": proposal.stream,
            "id": proposal.id,
        }
        by = self._of.proposals.consent(known)
        name = Path(settings.publish[0]).name
        known = self._move(known, "publishing", by, f"publishes by {name}: {result.verdict}")
        self._of_id = proposal.id
        try:
            self._running = Running(settings.publish, fields, folder, settings, settings.publish_s)
        except RetrainingError as exc:
            self._move(known, "trained", self._of.by, f"publishing_failed: {exc}")

    def _end(self, known: Known, result: Result, code: int) -> None:
        running, self._running = self._running, None
        if self._is_there(known, result):
            by = self._of.proposals.consent(known)
            known = self._move(known, "published", by, f"seq {result.bundle.seq} is published")
            self.begin_rollout(known)
            return
        if running is None:
            why = "the server ended while it published"
        elif running.is_late:
            why = f"it took longer than retraining.publish_s, {self._of.retraining.publish_s:g} s"
        else:
            why = f"exit code {code}, and it is not in the registry: {running.said()[-300:]}"
        self._move(known, "trained", self._of.by, f"publishing_failed: {why}; publish it by hand")

    def _is_there(self, known: Known, result: Result) -> bool:
        if self._planned(known) is not None:
            return True
        return has(self._of.rollouts.registry, known.proposal.stream, result.bundle)

    def _planned(self, known: Known) -> Rollout | None:
        """The rollout of a proposal, as the registry has it."""
        rollouts = self._of.registry.rollouts()
        return next((one for one in rollouts if one.plan.id == known.proposal.id), None)

    def _move(self, known: Known, state: State, by: str, reason: str) -> Known:
        return self._of.proposals.move(
            known, state, by=by, reason=reason[:MAX_REASON], controller=self._run
        )


def obstacle(of: Opened, known: Known, result: Result) -> str:
    """Why the command that publishes is not run; empty where it may be.

    Args:
        of: the server's registry, ledger and proposals.
        known: a proposal that is trained.
        result: what its training has given.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    command = of.retraining.publish
    if not command:
        return "retraining.publish names no command"
    if result.trouble:
        return result.trouble
    if result.verdict == "worse":
        return "the new model is worse than the one that serves"
    if of.proposals.was(known, "publishing"):
        return known.line.reason
    return _fault_of_plan(of, known)


def _fault_of_plan(of: Opened, known: Known) -> str:
    """What is wrong with the plan of the rollout; empty if it can be used, or none is needed."""
    plan = _plan(known.folder)
    if of.proposals.is_by_policy(known) and (plan is None or not begins_in_shadow(plan)):
        return 'auto = "shadow" needs a plan of the stream that begins with mode = "shadow"'
    if plan is None and any("{plan}" in one for one in of.retraining.publish):
        return "the stream has no plan of a rollout, and retraining.publish asks for one"
    return ""


def _plan(folder: Path) -> Plan | None:
    try:
        return read_plan(folder / PLAN)
    except PlanError:
        return None
