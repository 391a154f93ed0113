"""The hot loop: one thread that owns the socket and the whole way from bytes to bytes.

    wait for the socket, a timer or a wake-up
    read       what has arrived, at most max_batch      agent/mqtt/connection.py
    route      decode, window, infer, encode            agent/streams/router.py, pipeline.py
    publish    within the window of unconfirmed ones    agent/delivery/at_least_once.py
    ack        inputs whose predictions are confirmed   agent/delivery/at_least_once.py

The batch is whatever arrived since the last turn: one message when the line is quiet, many under
load, with no knob. Turns that bring many begin a millisecond apart at least (ADR 13). Nothing in a
turn blocks but the wait.
"""

import selectors
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from time import sleep

from agent.config.settings import Limits
from agent.control import Control
from agent.delivery.at_least_once import Delivery
from agent.exchange import exchange
from agent.journal.drift_state import KeptDrift
from agent.journal.writer import Journal
from agent.metrics import Metrics
from agent.mqtt.connection import Connection, Subscription
from agent.mqtt.reconnect import Link, State
from agent.streams.pipeline import Pipeline
from agent.streams.router import Router
from serving import log
from serving.notify import Notifier
from serving.store import Store
from serving.updates.updater import Updater
from serving.worker import WakeUp, Worker

TICK_S = 1.0
RETRY_S = 5.0
_SOON_S = 0.1
_QUIET_S = 0.001
_MANY = 8  # messages, from which on a turn is a busy one
_BUSY_TURN_S = 0.001


@dataclass(frozen=True, slots=True)
class Parts:
    """What the reactor drives; put together in `agent.app`, the sole composition root."""

    link: Link
    router: Router
    delivery: Delivery
    journal: Journal
    kept_drift: KeptDrift
    control: Control
    updater: Updater
    metrics: Metrics
    store: Store
    notifier: Notifier
    wake_up: WakeUp
    workers: tuple[Worker, ...]
    pipelines: tuple[Pipeline, ...]
    limits: Limits
    clock: Callable[[], float]
    time_of_day: Callable[[], int]


class Reactor:
    """Turns until it is told to stop."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._selector = selectors.DefaultSelector()
        self._selector.register(parts.wake_up, selectors.EVENT_READ)
        self._watched: tuple[int, int] | None = None
        self._up = False
        self._is_subscribing = False
        self._stopping = False
        self._subscribed: set[str] = set()
        self._due_tick = self._due_metrics = self._due_retry = 0.0
        self._told_troubles: list[str] = []
        self._gathering_since = self._began_s = 0.0
        self._is_busy = False

    def stop(self) -> None:
        """End after the turn under way; safe in a signal handler."""
        self._stopping = True
        self._parts.wake_up.set()

    def run(self) -> None:
        """Serve until `stop`, then leave in flow order."""
        self._parts.notifier.ready()
        while not self._stopping:
            self._turn()
        self._leave()

    def subscribe(self) -> None:
        """Ask for the topics of every pipeline that has a model, and for what is desired.

        Inputs of a pipeline without a model are not asked for: what nobody can answer is better
        left at the broker's door than taken in and dropped.
        """
        connection = self._parts.link.connection
        if not self._up or connection is None:
            return
        wanted = {self._parts.control.desired.filter: self._parts.control.desired}
        for pipeline in self._parts.pipelines:
            if pipeline.model is not None:
                for topic_filter, qos in pipeline.filters:
                    wanted[topic_filter] = Subscription(topic_filter, qos)
        gone = [old for old in self._parts.store.subscriptions() if old not in wanted]
        if gone:
            connection.unsubscribe(gone)
        connection.subscribe(list(wanted.values()))
        self._is_subscribing = True
        if self._subscribed != wanted.keys():
            self._subscribed = set(wanted)
            self._parts.workers[0].submit(partial(self._keep_subscriptions, sorted(wanted)))

    def _keep_subscriptions(self, filters: list[str]) -> None:
        """On the worker. Without the record, a filter that is dropped later is not unsubscribed."""
        try:
            self._parts.store.keep_subscriptions(filters)
        except OSError as exc:
            log.warning("subscriptions cannot be recorded", reason=exc.strerror)

    def _turn(self) -> None:
        parts = self._parts
        if self._wait():
            parts.router.answer()  # by the models for which it was received
            for worker in parts.workers:
                worker.run_posted()
        connection = parts.link.connection
        if not self._up or connection is None or connection.lost:
            self._follow_link()
            connection = parts.link.connection
        if connection is not None and (self._up or parts.link.state is State.HANDSHAKE):
            connection.read(parts.limits.max_batch, parts.time_of_day)
            if self._up:
                if self._is_subscribing and not connection.subscribing:
                    self._tell_subscribed(connection)
                self._is_busy = len(connection.received) >= _MANY
                exchange(connection, parts.router, parts.delivery)
                if not parts.router.is_gathering:
                    self._gathering_since = 0.0
            connection.flush()
        parts.journal.turn()
        self._run_timers()

    def _wait(self) -> bool:
        """Wait for the socket, the next tick or a wake-up; says whether one came."""
        parts = self._parts
        connection = parts.link.connection
        self._watch(connection if parts.link.state is not State.OPENING else None)
        timeout_s = max(0.0, self._due_tick - parts.clock())
        if connection is not None and (connection.has_unread or self._is_turning(connection)):
            timeout_s = 0.0
        elif parts.router.is_gathering:
            timeout_s = self._patience_s()
        elif parts.link.state is State.WAITING:
            timeout_s = min(timeout_s, _SOON_S)
        elif self._is_busy:
            sleep(max(0.0, self._began_s + _BUSY_TURN_S - parts.clock()))
        self._is_busy = False
        events = self._selector.select(timeout_s)
        self._began_s = parts.clock()
        for key, _ in events:
            if key.fileobj is parts.wake_up:
                parts.wake_up.clear()
                return True
        return False

    def _patience_s(self) -> float:
        """How long to wait for more before what is gathered is answered.

        An eighth of what the answer takes, in all: so it costs little, and a broker that sends only
        so much ahead has the time to send more.
        """
        now = self._parts.clock()
        if not self._gathering_since:
            self._gathering_since = now
        left_s = self._gathering_since + self._parts.router.answer_s / 8 - now
        return min(max(0.0, left_s), _QUIET_S)

    def _is_turning(self, connection: Connection) -> bool:
        """Whether the connection has just been accepted, or lost, and the link does not know."""
        return bool(connection.lost) or (connection.accepted and not self._up)

    def _watch(self, connection: Connection | None) -> None:
        """Wait on the connection's descriptor, for writing only while something is left to send."""
        wanted = None
        descriptor = connection.fileno() if connection is not None else None
        if connection is not None and descriptor is not None:
            write = selectors.EVENT_WRITE if connection.wants_write else 0
            wanted = (descriptor, selectors.EVENT_READ | write)
        if wanted == self._watched:
            return
        if self._watched is not None:
            self._selector.unregister(self._watched[0])
        if wanted is not None:
            self._selector.register(*wanted)
        self._watched = wanted

    def _follow_link(self) -> None:
        parts = self._parts
        is_up = parts.link.advance() is State.UP
        if is_up == self._up:
            return
        self._up = is_up
        if not is_up:
            parts.delivery.connection_lost()
            self._watch(None)
            self._tell_troubles()  # now: it may be over before the next tick
            return
        connection = parts.link.connection
        if connection is not None:
            log.info("connected", mqtt=parts.link.version, session=connection.session_present)
            parts.delivery.connected(session_present=connection.session_present)
        self.subscribe()
        parts.control.online()
        parts.updater.announce()

    def _tell_subscribed(self, connection: Connection) -> None:
        """From now on nothing that the plant publishes passes by."""
        self._is_subscribing = False
        refused = connection.refused_filters
        log.info("subscribed", filters=len(self._subscribed) - len(refused), refused=len(refused))

    def _run_timers(self) -> None:
        parts, now = self._parts, self._parts.clock()
        if now < self._due_tick:
            return
        self._due_tick = now + TICK_S
        parts.notifier.alive()
        connection = parts.link.connection
        parts.updater.tick()
        parts.journal.tick()
        parts.kept_drift.tick()
        if self._up and connection is not None:
            connection.tick()
        if now >= self._due_retry:
            self._due_retry = now + RETRY_S
            self._retry(connection)
        if self._up and now >= self._due_metrics:
            self._due_metrics = now + parts.limits.metrics_s
            parts.control.metrics(parts.metrics.snapshot())
        self._tell_troubles()

    def _retry(self, connection: Connection | None) -> None:
        """Ask again for what the broker refused; permissions change."""
        if self._parts.delivery.refusal:
            self._parts.delivery.retry()
        if self._up and connection is not None and connection.refused_filters:
            self.subscribe()

    def _tell_troubles(self) -> None:
        """Say what is waited for: in `STATUS=` always, in the log once."""
        parts = self._parts
        connection = parts.link.connection
        refused = connection.refused_filters if connection is not None else []
        possible = (
            parts.link.trouble,
            f"the broker refuses {', '.join(refused)}" if refused else "",
            parts.delivery.refusal,
            parts.journal.trouble,
            *parts.updater.troubles,
        )
        troubles = [trouble for trouble in possible if trouble]
        serving = ", ".join(
            f"{p.stream} {p.model.manifest.version}" for p in parts.pipelines if p.model is not None
        )
        waiting = f"; waiting: {'; '.join(troubles)}" if troubles else ""
        parts.notifier.status(f"serving {serving or 'nothing yet'}{waiting}")
        for trouble in troubles:
            if trouble not in self._told_troubles:
                log.warning("waiting", reason=trouble)
        if self._told_troubles and not troubles:
            log.info("nothing left to wait for")
        self._told_troubles = troubles

    def _leave(self) -> None:
        """Stop input, have the broker confirm what is owed, say goodbye, stop the workers."""
        parts = self._parts
        parts.notifier.stopping()
        deadline = parts.clock() + parts.limits.stop_s
        parts.control.offline()
        while self._up and not self._is_done and parts.clock() < deadline:
            self._drain_turn()
        if self._up and parts.link.connection is not None:
            parts.link.connection.close()
        parts.journal.close()
        parts.kept_drift.close()
        for worker in parts.workers:
            worker.stop(max(0.1, deadline - parts.clock()))
        self._selector.close()
        parts.wake_up.close()

    @property
    def _is_done(self) -> bool:
        return self._parts.delivery.idle and not self._parts.router.is_gathering

    def _drain_turn(self) -> None:
        """A turn without new inputs; the broker keeps them for the next start."""
        self._due_tick = self._parts.clock() + _SOON_S
        self._wait()
        self._parts.router.answer()
        for worker in self._parts.workers:
            worker.run_posted()
        self._parts.journal.tick()
        connection = self._parts.link.connection
        if connection is None or connection.lost:
            self._up = False
            return
        connection.read(self._parts.limits.max_batch)
        connection.received.clear()
        exchange(connection, self._parts.router, self._parts.delivery)
        connection.flush()
