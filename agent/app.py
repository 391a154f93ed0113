"""The sole composition root: from settings to a reactor that can run."""

from collections.abc import Callable, Mapping
from time import monotonic
from typing import Final

from agent.config.settings import Settings
from agent.control import Control
from agent.delivery.at_least_once import Delivery
from agent.health import Health
from agent.journal.drift_state import KeptDrift
from agent.journal.files import JournalFile
from agent.journal.replay import Recovery
from agent.journal.writer import Journal
from agent.metrics import Counters
from agent.mqtt.reconnect import Reconnector
from agent.mqtt.session_record import SessionRecord
from agent.mqtt.takeover import Takeover
from agent.reactor import Bounds, Path, Reactor, Upkeep
from agent.slot import StreamSlot
from agent.streams.pipeline import Pipeline
from agent.streams.router import Router
from agent.subscriptions import Subscriptions
from agent.timers import TICK_S, Timers
from serving import memory
from serving.clock import SteadyClock
from serving.notify import Notifier
from serving.store import Store
from serving.updates.attempt import Tools
from serving.updates.updater import Updater
from serving.worker import Worker, Workers

RETRY_S: Final = 5.0
"""Seconds after which the agent asks again for what the broker has refused."""


def build(settings: Settings) -> Reactor:
    """Put the agent together and serve what is kept on disk; nothing is connected yet."""
    memory.share_arenas()
    limits, time_of_day, workers = settings.limits, SteadyClock(), Workers()
    updates, connects, writes = map(workers.start, ("updates", "connect", "journal"))
    delivery = Delivery(limits.max_in_flight, limits.max_outbox, limits.max_refused)
    control = Control(settings.gateway.id, delivery.post)
    pipelines = {one.stream: Pipeline(one, limits, time_of_day) for one in settings.pipelines}
    served = tuple(pipelines.values())
    reconnector = _reconnector(settings, control, connects)
    store = Store(settings.gateway.state_dir, limits.keep_bundles)
    updater = Updater(Tools(settings.registry, store, updates), control, monotonic)
    file = JournalFile(settings.gateway.state_dir, is_synced=settings.journal.sync)
    journal = Journal(file, settings.journal, served, delivery, writes)
    kept_drift = KeptDrift(store.drift_dir, limits.keep_drift_s, served, updates, monotonic)
    command = _command(control, updater, reconnector.takeover)
    router = Router(pipelines, command, delivery, limits, journal.note)
    reconnector.takeover.doubt = router.doubt
    subscriptions = Subscriptions(reconnector, control, served, store, updates)
    health = Health(Notifier(), served, reconnector, subscriptions, (delivery, journal, updater))
    path, timers = Path(reconnector, router, journal, delivery), Timers(monotonic)
    upkeep = Upkeep(subscriptions, control, updater, kept_drift, health, timers)
    counters = Counters(router, delivery, reconnector, served)
    _set_timers(path, upkeep, counters, limits.metrics_s)
    _resume(settings, pipelines, path, upkeep)
    bounds = Bounds(limits.max_batch, limits.stop_s)
    return Reactor(path, upkeep, workers, bounds, (monotonic, time_of_day))


def _set_timers(path: Path, upkeep: Upkeep, counters: Counters, metrics_s: float) -> None:
    """Say what is done from time to time; what is due together is done in this order."""
    reconnector, timers = path.reconnector, upkeep.timers

    def retry() -> None:
        if path.delivery.refusal:
            path.delivery.retry()
        upkeep.subscriptions.retry()

    timers.every(TICK_S, upkeep.health.notifier.alive)
    timers.every(TICK_S, upkeep.updater.tick)
    timers.every(TICK_S, path.journal.tick)
    timers.every(TICK_S, upkeep.kept_drift.tick)
    timers.every(TICK_S, reconnector.keep_alive)
    timers.every(RETRY_S, retry)
    timers.every(
        metrics_s, lambda: upkeep.control.metrics(counters.snapshot()), lambda: reconnector.is_up
    )
    timers.every(TICK_S, upkeep.health.report)


def _resume(
    settings: Settings, pipelines: Mapping[str, Pipeline], path: Path, upkeep: Upkeep
) -> None:
    """Serve what is kept on disk, and go on where the last run ended."""
    router, journal = path.router, path.journal
    upkeep.updater.start(
        {
            stream: StreamSlot(pipeline, router, journal, upkeep.subscriptions)
            for stream, pipeline in pipelines.items()
        }
    )
    upkeep.kept_drift.restore()
    if settings.journal.enabled:
        recovery = Recovery(settings.gateway.state_dir, [*pipelines.values()], path.delivery)
        recovery.run(settings.broker.session_expiry_s)
        journal.resume(recovery.serial, recovery.number, recovery.whole)
        router.received = recovery.open
        journal.begin()
    memory.settle()


def _command(
    control: Control, updater: Updater, takeover: Takeover
) -> Callable[[str, bytes], bool]:
    def command(topic: str, payload: bytes) -> bool:
        if topic == control.topics.status:
            control.heard(payload, takeover)
            return True
        stream = control.topics.stream_desired_by(topic)
        if stream is None:
            return False
        updater.desire(stream, payload)
        return True

    return command


def _reconnector(settings: Settings, control: Control, worker: Worker) -> Reconnector:
    broker = settings.connection
    return Reconnector(
        broker,
        record=SessionRecord(settings.gateway.state_dir, broker, settings.client_id),
        will=control.will,
        worker=worker,
        clock=monotonic,
    )
