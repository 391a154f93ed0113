"""The sole composition root: from settings to a reactor that can run."""

from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Final

from agent.advice import Advice
from agent.births import Births
from agent.commands import Commands
from agent.config.settings import Settings
from agent.control import Control
from agent.delivery.at_least_once import Delivery
from agent.health import Health
from agent.hold import Hold
from agent.home_assistant.announcement import Announcement
from agent.journal.drift_state import KeptDrift
from agent.journal.files import JournalFile
from agent.journal.replay import Recovery
from agent.journal.writer import Journal
from agent.metrics.counters import Counters
from agent.metrics.textfile import Textfile
from agent.mqtt.reconnect import Reconnector
from agent.mqtt.session_record import SessionRecord
from agent.mqtt.takeover import Takeover
from agent.reactor import Bounds, Path, Reactor, Upkeep
from agent.shadow.assembly import shadows_of
from agent.shadow.candidate import Marks
from agent.slot import StreamSlot
from agent.streams.pipeline import Pipeline
from agent.streams.poison import PoisonWatch
from agent.streams.router import Router
from agent.subscriptions import Subscriptions
from agent.timers import TICK_S, Timers
from serving import memory
from serving.clock import SteadyClock
from serving.incidents.account import Account
from serving.mqtt.packets import Received
from serving.program.notify import Notifier
from serving.proof.prover import Prover
from serving.store import Store
from serving.time_limit import TimeLimit
from serving.updates.attempt import Tools
from serving.updates.updater import Updater
from serving.worker import Worker, Workers

if TYPE_CHECKING:
    from agent.labels.gateway import GatewayLabels
    from agent.sparkplug.node import EdgeNode

RETRY_S: Final = 5.0
"""Seconds after which the agent asks again for what the broker has refused."""


def build(settings: Settings, report_signals: Callable[[], None]) -> Reactor:
    """Put the agent together and serve what is kept on disk; nothing is connected yet.

    Args:
        settings: the configuration.
        report_signals: logs signals that were ignored; called about once a second.
    """
    memory.share_arenas()
    limits, time_of_day, workers = settings.limits, SteadyClock(), Workers()
    updates, connects, writes = map(workers.start, ("updates", "connect", "journal"))
    delivery = Delivery(limits.max_in_flight, limits.max_outbox, limits.max_refused)
    control = Control(settings.gateway.id, delivery.post)
    account, poison = _incidents(settings, updates)
    time_limit = TimeLimit(limits.inference_s)
    time_limit.watch(workers.start("inference"))
    pipelines = {
        one.stream: Pipeline(one, limits, time_of_day, poison, time_limit)
        for one in settings.pipelines
    }
    served = tuple(pipelines.values())
    reconnector = _reconnector(settings, control, connects)
    store = Store(settings.gateway.state_dir, limits.keep_bundles)
    prover = Prover(settings.gateway.state_dir / "proofs", settings.proof, limits.max_batch)
    tools = Tools(settings.registry, store, updates, prover, account, settings.updates)
    updater = Updater(tools, control, monotonic, settings.gateway.id)
    journal = _journal(settings, served, delivery, writes)
    kept_drift = KeptDrift(store.drift_dir, limits.keep_drift_s, served, updates, monotonic)
    commands = Commands(
        control.topics, pipelines.keys(), updater.desire, limits.desired_s, monotonic
    )
    announcement = Announcement(settings, served, control, delivery.post, updates)
    command = _command(control, commands, reconnector.takeover, announcement)
    router = Router(pipelines, command, delivery, limits, journal.note)
    reconnector.tell_of_another(router.doubt)
    subscriptions = Subscriptions(reconnector, control, served, store, updates)
    health = Health(Notifier(), served, reconnector, subscriptions, (delivery, journal, updater))
    path, timers = Path(reconnector, router, journal, delivery), Timers(monotonic)
    hold = Hold(command, commands, updater, monotonic)
    node, labels = _listeners(settings, served, (control, router, delivery), workers)
    marks = Marks(account.under_way, time_limit, time_of_day)
    shadows = shadows_of(settings, served, marks, control, updates)
    shadows.take_labels(labels.streams if labels is not None else {})
    upkeep = Upkeep(
        subscriptions, control, updater, kept_drift, health, timers, hold, shadows, node, labels
    )
    counters = Counters(router, delivery, reconnector, served, commands)
    timers.every(TICK_S, commands.tick)
    timers.every(TICK_S, lambda: announcement.tick(reconnector.connects), lambda: reconnector.is_up)
    timers.every(TICK_S, Advice(router, served, limits.log_interval_s).tick)
    _ask_for_births(settings, served, reconnector, timers, counters)
    _set_timers(path, upkeep, counters, limits.metrics_s)
    _write_textfile(settings, upkeep, counters, reconnector, workers)
    timers.every(TICK_S, poison.tick, lambda: reconnector.is_up and not hold.is_on)
    timers.every(TICK_S, report_signals)
    _resume(settings, pipelines, path, upkeep, account.suspect)
    bounds = Bounds(limits.max_batch, limits.stop_s)
    return Reactor(path, upkeep, workers, bounds, (monotonic, time_of_day))


def _listeners(
    settings: Settings,
    pipelines: Sequence[Pipeline],
    ways: tuple[Control, Router, Delivery],
    workers: Workers,
) -> "tuple[EdgeNode | None, GatewayLabels | None]":
    """Who is told of each prediction, in this order, where they are configured."""
    node = _edge_node(settings, pipelines, ways[1], workers)
    return node, _labels(settings, pipelines, ways, workers)


def _journal(
    settings: Settings, pipelines: Sequence[Pipeline], delivery: Delivery, worker: Worker
) -> Journal:
    """The journal of what enters the windows."""
    file = JournalFile(settings.gateway.state_dir, is_synced=settings.journal.sync)
    journal = Journal(file, settings.journal, pipelines, delivery, worker)
    journal.window.tell(settings.connection.receive_maximum)
    return journal


def _incidents(settings: Settings, worker: Worker) -> tuple[Account, PoisonWatch]:
    """What earlier runs have died of, and the watch over inputs that may have done it."""
    folder, healthy_s = settings.gateway.state_dir, settings.updates.healthy_s
    account = Account(folder, settings.limits.poison_deaths)
    return account, PoisonWatch(account, folder / "poison", worker, healthy_s)


def _edge_node(
    settings: Settings, pipelines: Sequence[Pipeline], router: Router, workers: Workers
) -> "EdgeNode | None":
    """The edge node of Sparkplug, where one is configured.

    It has a worker of its own: while one connection is opened, the other one need not wait.
    """
    if settings.sparkplug is None:
        return None
    from agent.sparkplug.assembly import edge_node  # noqa: PLC0415  only gateways that need it pay

    node = edge_node(settings, settings.sparkplug, pipelines, workers.start("Sparkplug"))
    router.heard = node.heard
    return node


def _labels(
    settings: Settings,
    pipelines: Sequence[Pipeline],
    ways: tuple[Control, Router, Delivery],
    workers: Workers,
) -> "GatewayLabels | None":
    """Late labels, where a stream takes some."""
    if all(one.labels is None for one in settings.pipelines):
        return None
    from agent.labels.gateway import GatewayLabels  # noqa: PLC0415  only gateways that need it pay

    control, router, delivery = ways
    state_dir = settings.gateway.state_dir
    labels = GatewayLabels(pipelines, state_dir, workers.start("labels"), delivery.settle)
    control.further = (*control.further, *labels.subscriptions)
    router.labels = labels.take
    return labels


def _ask_for_births(
    settings: Settings,
    pipelines: Sequence[Pipeline],
    reconnector: Reconnector,
    timers: Timers,
    counters: Counters,
) -> None:
    """Have nodes of Sparkplug asked, and counted where an input may ask at all."""
    births = Births(reconnector, pipelines, monotonic, settings.limits.rebirths_per_s)
    timers.every(TICK_S, births.tick)
    if settings.asks_for_births:
        counters.births = births.counted


def _set_timers(path: Path, upkeep: Upkeep, counters: Counters, metrics_s: float) -> None:
    """Say what is done from time to time; what is due together is done in this order."""
    reconnector, timers = path.reconnector, upkeep.timers

    def retry() -> None:
        if path.delivery.refusal:
            path.delivery.retry()
        upkeep.subscriptions.retry()

    timers.every(TICK_S, upkeep.health.notifier.alive)
    timers.every(TICK_S, upkeep.updater.tick)
    # On hold nothing is written: the journal of the run before has yet to be read.
    timers.every(TICK_S, path.journal.tick, lambda: not upkeep.hold.is_on)
    timers.every(TICK_S, upkeep.shadows.evidences.tick)
    timers.every(TICK_S, upkeep.kept_drift.tick)
    timers.every(TICK_S, reconnector.keep_alive)
    timers.every(RETRY_S, retry)
    timers.every(
        metrics_s, lambda: upkeep.control.metrics(counters.snapshot()), lambda: reconnector.is_up
    )
    counters.metadata_age_s = lambda: upkeep.updater.freshness.age_s
    if (node := upkeep.node) is not None:
        counters.sparkplug = node.snapshot
        upkeep.health.others.append(lambda: node.trouble)
        timers.every(TICK_S, node.tick)
    if (labels := upkeep.labels) is not None:
        counters.labels = labels
        timers.every(TICK_S, labels.tick)
    timers.every(TICK_S, upkeep.health.report)


def _write_textfile(
    settings: Settings,
    upkeep: Upkeep,
    counters: Counters,
    reconnector: Reconnector,
    workers: Workers,
) -> None:
    """Have the text file written where one is configured, by a worker of its own."""
    section = settings.metrics
    if section.textfile is None:
        return
    textfile = Textfile(
        section.textfile,
        upkeep.control,
        counters.snapshot,
        lambda: reconnector.is_up,
        workers.start("metrics"),
    )
    counters.textfile_failures = lambda: textfile.failures
    upkeep.health.others.append(lambda: textfile.trouble)
    upkeep.timers.every(section.textfile_s, textfile.tick)


def _resume(
    settings: Settings,
    pipelines: Mapping[str, Pipeline],
    path: Path,
    upkeep: Upkeep,
    suspect: str,
) -> None:
    """Serve what is kept on disk, and go on where the last run ended."""
    router, journal = path.router, path.journal
    upkeep.updater.start(
        {
            stream: StreamSlot(pipeline, router, journal, upkeep.subscriptions)
            for stream, pipeline in pipelines.items()
        },
        upkeep.shadows.places,
    )
    upkeep.kept_drift.restore()

    def recover() -> None:
        if settings.journal.enabled:
            recovery = Recovery(settings.gateway.state_dir, [*pipelines.values()], path.delivery)
            recovery.run(settings.broker.session_expiry_s)
            journal.resume(recovery.serial, recovery.number, recovery.whole)
            router.resume(recovery.unanswered)
            journal.begin()
        memory.settle()

    served = ((stream, pipeline.model) for stream, pipeline in pipelines.items())
    upkeep.hold.begin(
        (stream for stream, model in served if model and model.sha256 == suspect), recover
    )


def _command(
    control: Control, commands: Commands, takeover: Takeover, announcement: Announcement
) -> Callable[[Received], bool]:
    def command(message: Received) -> bool:
        topic, payload = message.topic, message.payload
        if topic == control.topics.status:
            control.heard(message, takeover)
            return True
        return announcement.heard(topic, payload) or commands.take(topic, payload)

    return command


def _reconnector(settings: Settings, control: Control, worker: Worker) -> Reconnector:
    broker = settings.connection
    return Reconnector(
        broker,
        record=SessionRecord(
            settings.gateway.state_dir, broker, settings.client_id, control.started
        ),
        will=lambda: control.will,
        worker=worker,
        clock=monotonic,
    )
