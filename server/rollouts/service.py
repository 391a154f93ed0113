"""The controller as a part of the server: a thread of its own, and what HTTP may know of it.

Its thread reads the broker, decides and signs. What HTTP answers is a finished report, which the
thread replaces by a newer one; so nothing here is ever in the way of a request.
"""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any, Final

from server.rollouts.controller import Controller
from server.rollouts.decisions import Decisions, Wish
from server.rollouts.errors import RolloutError
from server.rollouts.ledger import Ledger
from server.rollouts.link import Link
from server.rollouts.registry_folder import RegistryFolder
from server.rollouts.report import MAX_LINES, described, summary
from server.rollouts.settings import Rollouts
from serving import log
from serving.publishing.keys import Keys
from serving.worker import Worker

LEDGER: Final = Path("rollouts", "ledger.sqlite3")
"""The ledger below the state folder."""
_REPORT_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Report:
    """What HTTP is told.

    Attributes:
        trouble: why no rollout is followed; empty if all is well.
        rollouts: each rollout, whole, by its identity.
        summaries: each in a line.
    """

    trouble: str = "the controller has not looked yet"
    rollouts: Mapping[str, Any] = field(default_factory=dict)
    summaries: tuple[Any, ...] = ()


def now() -> datetime:
    """The time of day."""
    return datetime.now(UTC)


def documents(settings: Rollouts) -> RegistryFolder:
    """The registry of the settings.

    Raises:
        DocumentError: it is no registry.
    """
    return RegistryFolder(settings.registry, Keys(settings.keys, settings.passphrase_file))


def decided(settings: Rollouts, state_dir: Path, act: Callable[[Decisions], Any]) -> Any:  # noqa: ANN401  whatever the decision gives
    """Let a person decide something, with a ledger that is opened for it.

    Raises:
        RolloutError: it is refused, or ledger or registry cannot be used.
    """
    registry = documents(settings)
    ledger = Ledger(state_dir / LEDGER, registry.identity, settings.ledger_lines)
    try:
        return act(Decisions(registry, ledger, now))
    finally:
        ledger.close()


class RolloutService:
    """Runs the controller on a worker.

    Args:
        settings: the section `[rollouts]`.
        state_dir: folder of what survives a restart.
        worker: the thread that is the controller's own.
        log_interval_s: seconds in which a trouble is logged at most once.

    Attributes:
        report: what HTTP is told, replaced as a whole.
    """

    def __init__(
        self, settings: Rollouts, state_dir: Path, worker: Worker, log_interval_s: float
    ) -> None:
        self._settings, self._state_dir, self._worker = settings, state_dir, worker
        self._log = log.Limited(log_interval_s)
        self._reported_s = 0.0
        self.report = Report()

    def start(self) -> None:
        """Begin, until the worker is stopped."""
        self._worker.submit(self._run)

    def decide(self, wish: Wish, rollout: str, *, by: str, reason: str) -> None:
        """Let a person decide; it blocks, so the event loop has another thread do it.

        Raises:
            RolloutError: it is refused, or ledger or registry cannot be used.
        """
        decided(
            self._settings,
            self._state_dir,
            lambda one: one.decide(wish, rollout, by=by, reason=reason),
        )

    def _run(self) -> None:
        link = Link(self._settings)
        try:
            while not self._worker.stopping.is_set():
                self._follow(link)
        finally:
            link.close()

    def _follow(self, link: Link) -> None:
        """Follow the rollouts until the worker is stopped, or the ledger fails."""
        try:
            registry = documents(self._settings)
            ledger = Ledger(
                self._state_dir / LEDGER, registry.identity, self._settings.ledger_lines
            )
        except RolloutError as exc:
            self._tell(str(exc))
            link.turn(self._settings.turn_s)
            return
        try:
            run = secrets.token_hex(8)
            controller = Controller(registry, ledger, link, name=self._settings.name, run=run)
            while not self._worker.stopping.is_set() and not controller.is_damaged:
                link.turn(self._settings.turn_s)
                controller.turn(link, now())
                self._look(controller, registry, ledger, link)
        finally:
            ledger.close()

    def _look(
        self, controller: Controller, registry: RegistryFolder, ledger: Ledger, link: Link
    ) -> None:
        """Log what is wrong, and make the report anew every few seconds."""
        for followed in controller.followed.values():
            if followed.trouble:
                self._log.warning("waits", "rollout waits", reason=followed.trouble)
        if controller.trouble:
            self._tell(controller.trouble)
            return
        if monotonic() < self._reported_s + _REPORT_S:
            return
        self._reported_s = monotonic()
        try:
            self.report = _report(controller, registry, ledger, link)
        except RolloutError as exc:
            self._tell(str(exc))

    def _tell(self, trouble: str) -> None:
        self._log.warning("rollouts", "no rollout is followed", reason=trouble)
        self.report = Report(trouble, self.report.rollouts, self.report.summaries)


def _report(controller: Controller, registry: RegistryFolder, ledger: Ledger, link: Link) -> Report:
    rollouts = registry.rollouts()
    followed = controller.followed
    return Report(
        trouble="",
        rollouts={
            one.plan.id: described(
                one,
                followed.get(one.plan.id),
                link.view(one.plan.stream),
                ledger.lines(one.plan.id, MAX_LINES),
            )
            for one in rollouts
        },
        summaries=tuple(summary(one, followed.get(one.plan.id)) for one in rollouts),
    )
