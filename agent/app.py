"""The sole composition root: from settings to a reactor that can run."""

from collections.abc import Callable, Sequence
from time import monotonic

from agent.config.settings import Broker, Settings
from agent.control import Control
from agent.delivery.at_least_once import Delivery
from agent.journal.drift_state import KeptDrift
from agent.journal.files import JournalFile
from agent.journal.replay import Recovery
from agent.journal.writer import Journal
from agent.metrics import Metrics
from agent.mqtt.reconnect import Link
from agent.reactor import Parts, Reactor
from agent.streams.pipeline import Pipeline
from agent.streams.router import Router
from serving import memory
from serving.clock import SteadyClock
from serving.notify import Notifier
from serving.store import Store
from serving.updates.updater import Updater
from serving.worker import WakeUp, Worker


def build(settings: Settings) -> Reactor:
    """Put the agent together and serve what is kept on disk; nothing is connected yet."""
    memory.share_arenas()
    limits, time_of_day = settings.limits, SteadyClock()
    wake_up = WakeUp()
    updates, connects = Worker("updates", wake_up), Worker("connect", wake_up)
    writes = Worker("journal", wake_up)
    delivery = Delivery(limits.max_in_flight, limits.max_outbox, limits.max_refused)
    control = Control(settings.gateway.id, delivery.post)
    pipelines = {one.stream: Pipeline(one, limits, time_of_day) for one in settings.pipelines}
    link = _link(settings.connection, settings.gateway.id, control, connects)
    store = Store(settings.gateway.state_dir, limits.keep_bundles)
    updater = Updater(settings.registry, store, worker=updates, control=control, clock=monotonic)
    served = tuple(pipelines.values())
    file = JournalFile(settings.gateway.state_dir, is_synced=settings.journal.sync)
    journal = Journal(file, settings.journal, served, delivery, writes)
    kept_drift = KeptDrift(store.drift_dir, limits.keep_drift_s, served, updates, monotonic)
    router = Router(pipelines, _command(control, updater), delivery, limits, journal.note)
    reactor = Reactor(
        Parts(
            link=link,
            router=router,
            delivery=delivery,
            journal=journal,
            kept_drift=kept_drift,
            control=control,
            updater=updater,
            metrics=Metrics(router, delivery, link, served),
            store=store,
            notifier=Notifier(),
            wake_up=wake_up,
            workers=(updates, connects, writes),
            pipelines=served,
            limits=limits,
            clock=monotonic,
            time_of_day=time_of_day,
        )
    )

    def activated() -> None:
        router.forget_routes()
        journal.begin()
        reactor.subscribe()

    updater.start(pipelines, activated)
    kept_drift.restore()
    if settings.journal.enabled:
        router.received = _recover(settings, served, delivery, journal)
        journal.begin()
    memory.settle()
    return reactor


def _command(control: Control, updater: Updater) -> Callable[[str, bytes], bool]:
    def command(topic: str, payload: bytes) -> bool:
        stream = control.stream_desired_by(topic)
        if stream is None:
            return False
        updater.desire(stream, payload)
        return True

    return command


def _link(broker: Broker, gateway: str, control: Control, worker: Worker) -> Link:
    return Link(
        broker,
        client_id=broker.client_id or f"millhand-{gateway}",
        will=control.will,
        worker=worker,
        clock=monotonic,
    )


def _recover(
    settings: Settings, pipelines: Sequence[Pipeline], delivery: Delivery, journal: Journal
) -> int:
    """Be where the last run was; returns how many inputs of it are not finished."""
    recovery = Recovery(settings.gateway.state_dir, pipelines, delivery)
    recovery.run(settings.broker.session_expiry_s)
    journal.resume(recovery.serial, recovery.number, recovery.whole)
    return recovery.open
