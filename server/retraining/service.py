"""Retraining as a part of the server: a thread of its own, and what HTTP may know of it."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import time_ns
from typing import Any, Final

from server.retraining.evidence.drift_file import DriftFile
from server.retraining.evidence.heard import Heard
from server.retraining.execution.running import program
from server.retraining.loop import Loop
from server.retraining.opened import FOLDER, Opened, opened
from server.retraining.report import described, summary
from server.retraining.settings import Retraining
from server.retraining.states import WISHES
from server.rollouts.errors import RolloutError
from server.rollouts.link import Listening
from server.rollouts.service import now
from server.rollouts.settings import Rollouts
from serving import log
from serving.worker import Worker

MOST_TOLD: Final = 20
"""Proposals that are told whole, the newest."""
ROLE: Final = "retraining"


@dataclass(frozen=True, slots=True)
class Report:
    """What HTTP is told.

    Attributes:
        trouble: why nothing is proposed; empty if all is well.
        troubles: why something does not go on, by stream.
        retrainings: the newest proposals, whole, by their identities.
        summaries: each in a line.
    """

    trouble: str = "the server has not looked yet"
    troubles: Mapping[str, str] = field(default_factory=dict)
    retrainings: Mapping[str, Any] = field(default_factory=dict)
    summaries: tuple[Any, ...] = ()


def answered(of: Opened, name: str, wish: str, *, by: str, reason: str) -> str:
    """Let a person accept or decline a proposal; its new state.

    Raises:
        RetrainingError: there is none, or its state does not allow it, or nothing can train here.
        RolloutError: the ledger cannot be used, or somebody else has decided meanwhile.
    """
    known = of.proposals.find(name)
    if wish == "accept":
        program(of.retraining.command)
    return of.proposals.move(known, WISHES[wish], by=by, reason=reason).state


class RetrainingService:
    """Runs the loop on a worker.

    Args:
        retraining: the section `[retraining]`.
        rollouts: the section `[rollouts]`, with registry and broker.
        state_dir: folder of what survives a restart.
        worker: the thread that is the loop's own.
        log_interval_s: seconds in which a trouble is logged at most once.

    Attributes:
        report: what HTTP is told, replaced as a whole.
    """

    def __init__(
        self,
        retraining: Retraining,
        rollouts: Rollouts,
        state_dir: Path,
        worker: Worker,
        log_interval_s: float,
    ) -> None:
        self._retraining, self._rollouts, self._state_dir = retraining, rollouts, state_dir
        self._worker, self._log = worker, log.Limited(log_interval_s)
        self._kept = DriftFile(state_dir / FOLDER, retraining.silent_s, log_interval_s)
        self.report = Report()

    def start(self) -> None:
        """Begin, until the worker is stopped."""
        self._worker.submit(self._run)

    def answer(self, name: str, wish: str, *, by: str, reason: str) -> str:
        """Let a person decide; it blocks, so the event loop has another thread do it.

        Raises:
            RolloutError: see `answered`.
        """
        with opened(self._retraining, self._rollouts, self._state_dir) as of:
            return answered(of, name, wish, by=by, reason=reason)

    def _run(self) -> None:
        heard, kept = Heard.of(self._retraining), self._kept
        heard.go_on(kept.read())
        link = Listening(self._rollouts, heard, ROLE)
        try:
            while not self._worker.stopping.is_set():
                try:
                    with opened(self._retraining, self._rollouts, self._state_dir) as of:
                        self._follow(of, heard, link)
                except RolloutError as exc:
                    self._tell(str(exc))
                    link.turn(self._retraining.look_s)
        finally:
            link.close()
            kept.write(heard.lasting(time_ns()))

    def _follow(self, of: Opened, heard: Heard, link: Listening) -> None:
        """Follow the streams until the worker is stopped, or the ledger fails."""
        loop = Loop(of, secrets.token_hex(8))
        try:
            while not self._worker.stopping.is_set():
                link.turn(self._retraining.look_s)
                if self._kept.is_due:
                    self._kept.write(heard.lasting(time_ns()))
                loop.turn(heard, now())
                for stream, trouble in loop.troubles.items():
                    self._log.warning("retrains", "retraining waits", stream=stream, reason=trouble)
                self.report = _report(of, loop, heard)
        finally:
            loop.close()

    def _tell(self, trouble: str) -> None:
        self._log.warning("retraining", "nothing is proposed", reason=trouble)
        self.report = Report(
            trouble, self.report.troubles, self.report.retrainings, self.report.summaries
        )


def _report(of: Opened, loop: Loop, heard: Heard) -> Report:
    known = of.proposals.all()
    return Report(
        trouble=heard.missing,
        troubles=dict(loop.troubles),
        retrainings={one.proposal.id: described(of, one) for one in known[:MOST_TOLD]},
        summaries=tuple(summary(one) for one in known),
    )
