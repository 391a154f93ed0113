"""What the agent waits for, for systemd and for the log."""

from collections.abc import Callable, Sequence

from agent.delivery.at_least_once import Delivery
from agent.journal.writer import Journal
from agent.mqtt.reconnect import Reconnector
from agent.streams.pipeline import Pipeline
from agent.subscriptions import Subscriptions
from serving import log
from serving.program.notify import Notifier
from serving.updates.updater import Updater


class Health:
    """Reports what serves and what is waited for: in systemd's status always, in the log once.

    Args:
        notifier: tells systemd.
        pipelines: whose models serve.
        reconnector: the connection to the broker.
        subscriptions: some of which the broker may refuse.
        sources: where else there may be something to wait for.

    Attributes:
        notifier: as given.
        others: what else says in words what it waits for, or nothing.
    """

    def __init__(
        self,
        notifier: Notifier,
        pipelines: Sequence[Pipeline],
        reconnector: Reconnector,
        subscriptions: Subscriptions,
        sources: tuple[Delivery, Journal, Updater],
    ) -> None:
        self.notifier = notifier
        self._pipelines = pipelines
        self._reconnector = reconnector
        self._subscriptions = subscriptions
        self._delivery, self._journal, self._updater = sources
        self._reported: list[str] = []
        self.others: list[Callable[[], str]] = []

    def report(self) -> None:
        """Say what is waited for, if that has changed since the last time."""
        troubles = self._troubles()
        serving = ", ".join(filter(None, map(_served, self._pipelines)))
        waiting = f"; waiting: {'; '.join(troubles)}" if troubles else ""
        self.notifier.status(f"serving {serving or 'nothing yet'}{waiting}")
        for trouble in troubles:
            if trouble not in self._reported:
                log.warning("waiting", reason=trouble)
        if self._reported and not troubles:
            log.info("nothing left to wait for")
        self._reported = troubles

    def _troubles(self) -> list[str]:
        refused, less = self._subscriptions.refused, self._subscriptions.granted_less
        possible = (
            self._reconnector.trouble,
            self._reconnector.takeover.trouble,
            f"the broker refuses {', '.join(refused)}" if refused else "",
            f"the broker grants less than the QoS asked for on {', '.join(less)}" if less else "",
            self._delivery.refusal,
            self._journal.trouble,
            *self._updater.troubles.values(),
            *(other() for other in self.others),
        )
        return [trouble for trouble in possible if trouble]


def _served(pipeline: Pipeline) -> str:
    """Stream and version of the model that serves, and what it fails with; empty without one."""
    if pipeline.model is None:
        return ""
    served = f"{pipeline.stream} {pipeline.model.manifest.version}"
    failure = pipeline.inference.failure
    if failure is None or not failure.is_lasting:
        return served
    return f"{served} (degraded: {failure.error.code})"
