"""The hot loop: one thread that owns the socket and the whole way from bytes to bytes.

    wait for the socket, a timer or a wake-up
    read       what has arrived, at most max_batch      agent/mqtt/connection.py
    route      decode, window, infer, encode            agent/streams/router.py, pipeline.py
    publish    within the window of unconfirmed ones    agent/delivery/at_least_once.py
    ack        inputs whose predictions are confirmed   agent/delivery/at_least_once.py

The batch is whatever arrived since the last turn: one message when the line is quiet, many under
load, with no knob. Turns that bring many begin a millisecond apart at least (ADR 13). Nothing in a
turn blocks but the wait, and inference for about `limits.turn_s`: what a slow model has not
answered by then is left for the next turn (ADR 28).
"""

from collections.abc import Callable
from dataclasses import dataclass
from time import sleep
from typing import TYPE_CHECKING, Final

from agent.config.settings import TURNS_GATHERED
from agent.control import Control
from agent.delivery.at_least_once import Delivery
from agent.delivery.inputs import Outcome
from agent.descriptors import Descriptors
from agent.exchange import exchange
from agent.health import Health
from agent.hold import Hold
from agent.journal.drift_state import KeptDrift
from agent.journal.writer import Journal
from agent.mqtt.connection import Connection
from agent.mqtt.reconnect import Reconnector, State
from agent.shadow.assembly import Shadows
from agent.streams.router import Router
from agent.subscriptions import Subscriptions
from agent.timers import Timers
from serving import log
from serving.updates.updater import Updater
from serving.worker import Workers

if TYPE_CHECKING:
    from agent.sparkplug.node import EdgeNode

_SOON_S: Final = 0.1
_QUIET_S: Final = 0.001
_MANY: Final = 8  # messages, from which on a turn is a busy one
_BUSY_TURN_S: Final = 0.001
_LONG_TURN_S: Final = 0.1
_GOODBYE_S: Final = 1.0  # that a stop waits at most for the broker to read the last packets


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits of a turn, and of a stop.

    Attributes:
        max_batch: messages that one turn takes in.
        stop_s: seconds that a stop may wait for confirmations of the broker.
    """

    max_batch: int
    stop_s: float


@dataclass(frozen=True, slots=True)
class Path:
    """The way of a message through the agent, in the order in which it passes."""

    reconnector: Reconnector
    router: Router
    journal: Journal
    delivery: Delivery


@dataclass(frozen=True, slots=True)
class Upkeep:
    """What goes on beside the messages: at a connect, at a stop, and from time to time."""

    subscriptions: Subscriptions
    control: Control
    updater: Updater
    kept_drift: KeptDrift
    health: Health
    timers: Timers
    hold: Hold
    shadows: Shadows
    node: "EdgeNode | None" = None


class Reactor:
    """Turns until it is stopped.

    Args:
        path: what each message goes through.
        upkeep: what goes on beside the messages.
        workers: threads that wait for others, whose results are taken between two turns.
        bounds: limits of a turn, and of a stop.
        clock: monotonic seconds; and nanoseconds since 1970, which messages are stamped with.
    """

    def __init__(
        self,
        path: Path,
        upkeep: Upkeep,
        workers: Workers,
        bounds: Bounds,
        clock: tuple[Callable[[], float], Callable[[], int]],
    ) -> None:
        self._path = path
        self._upkeep = upkeep
        self._workers = workers
        self._bounds = bounds
        self._clock, self._time_of_day = clock
        self._descriptors = Descriptors(workers.wake_up)
        self._up = False
        self._stopping = False
        self._gathering_since = self._began_s = 0.0
        self._is_busy = self._was_long = False

    def stop(self) -> None:
        """End after the turn under way; safe in a signal handler."""
        self._stopping = True
        self._workers.wake_up.set()

    def totals(self) -> dict[str, int]:
        """What has become of all messages since the start, for the last line of the log."""
        delivery = self._path.delivery
        return {
            "received": self._path.router.received,
            "predicted": delivery.outcomes[Outcome.PREDICTED],
            "windowed": delivery.outcomes[Outcome.WINDOWED],
            "dropped": delivery.outcomes[Outcome.DROPPED],
            "waiting": delivery.waiting,
        }

    def run(self) -> None:
        """Serve until `stop`; then finish what has been begun, and close everything."""
        self._upkeep.health.notifier.ready()
        while not self._stopping:
            if self._upkeep.hold.is_on:
                self._listen()
            else:
                self._turn()
        self._leave()

    def _listen(self) -> None:
        """A turn in which nothing is inferred, and only what is desired is heard."""
        path, hold, subscriptions = self._path, self._upkeep.hold, self._upkeep.subscriptions
        self._wait(self._upkeep.timers.due_s)
        self._workers.run_posted()
        self._follow_link()
        connection = path.reconnector.connection
        if connection is not None and path.reconnector.state in (State.HANDSHAKE, State.UP):
            connection.read(self._bounds.max_batch)
            hold.hear(connection.received)
            subscriptions.follow()
            exchange(connection, path.router, path.delivery)
            connection.flush()
        self._turn_node()
        self._upkeep.timers.run()
        if hold.is_over(is_subscribed=self._up and not subscriptions.is_awaiting):
            if connection is not None:
                connection.lost = "closed, so that the broker delivers again what was not answered"
                connection.close()
            self._follow_link()
            hold.end()

    def _turn(self) -> None:
        reconnector, router = self._path.reconnector, self._path.router
        if self._wait(self._upkeep.timers.due_s):
            router.answer()  # by the models for which it was received, as far as there is time
            self._workers.run_posted()
        connection = reconnector.connection
        if not self._up or connection is None or connection.lost:
            self._follow_link()
            connection = reconnector.connection
        if connection is not None and (self._up or reconnector.state is State.HANDSHAKE):
            self._read(connection)
            if self._up:
                self._upkeep.subscriptions.follow()
                self._is_busy = len(connection.received) >= _MANY
                self._exchange(connection)
                if not router.is_gathering:
                    self._gathering_since = 0.0
            connection.flush()
        if not self._up and router.is_gathering:
            router.answer()  # what arrived before the connection was lost
        if self._upkeep.shadows.turn.due:
            self._upkeep.shadows.turn.end()  # now that the answers of this turn are on their way
        self._path.journal.turn()
        self._turn_node()
        self._upkeep.timers.run()

    def _exchange(self, connection: Connection) -> None:
        """Answer what has arrived; readings may have to wait (`Takeover.is_asking`)."""
        takeover, received, is_held = self._path.reconnector.takeover, connection.received, False
        if takeover.is_asking:
            self._upkeep.control.hear_first(received, takeover)
            is_full = len(received) >= TURNS_GATHERED * self._bounds.max_batch
            is_held = takeover.is_asking and not is_full
        if is_held:
            connection.received = []
        exchange(connection, self._path.router, self._path.delivery)
        if is_held:
            connection.received = received

    def _turn_node(self) -> None:
        """Have the edge node of Sparkplug publish, once this turn's inputs are acknowledged."""
        if (node := self._upkeep.node) is not None:
            node.turn()

    def _read(self, connection: Connection) -> None:
        """Read what has arrived: a batch, or several after a long turn, as of a slow model.

        A PUBACK or the answer to a PINGREQ may stand behind many messages, which would take as many
        turns to read.
        """
        for _ in range(TURNS_GATHERED if self._was_long else 1):
            before = len(connection.received)
            connection.read(self._bounds.max_batch, self._time_of_day)
            if len(connection.received) == before:
                return

    def _wait(self, until_s: float) -> bool:
        """Wait for the socket, for `until_s` or for a wake-up; says whether a wake-up came."""
        reconnector, router = self._path.reconnector, self._path.router
        is_waiting = reconnector.state in (State.OPENING, State.RECORDING)  # for the worker
        connection = reconnector.connection if not is_waiting else None
        node = self._upkeep.node
        self._descriptors.watch((connection, node.connection if node is not None else None))
        now_s = self._clock()
        timeout_s = max(0.0, until_s - now_s)
        self._was_long = now_s - self._began_s > _LONG_TURN_S
        has_unread = connection is not None and (
            connection.has_unread or self._is_turning(connection)
        )
        if has_unread or router.is_behind or (node is not None and node.is_behind):
            timeout_s = 0.0
        elif router.is_gathering:
            timeout_s = self._patience_s()
        elif reconnector.state is State.WAITING or reconnector.takeover.is_asking:
            timeout_s = min(timeout_s, _SOON_S)
        elif self._is_busy:
            sleep(max(0.0, self._began_s + _BUSY_TURN_S - self._clock()))
        self._is_busy = False
        is_woken = self._descriptors.wait(timeout_s)
        self._began_s = self._clock()
        return is_woken

    def _patience_s(self) -> float:
        """How long to wait for more before what is gathered is answered, in seconds.

        An eighth of what the answer takes, in all: so it costs little, and a broker that sends only
        so much ahead has the time to send more.
        """
        now = self._clock()
        if not self._gathering_since:
            self._gathering_since = now
        left_s = self._gathering_since + self._path.router.answer_s / 8 - now
        return min(max(0.0, left_s), _QUIET_S)

    def _is_turning(self, connection: Connection) -> bool:
        """Whether the connection was just accepted or lost, and `advance` has yet to notice it."""
        return bool(connection.lost) or (connection.accepted and not self._up)

    def _follow_link(self) -> None:
        """Take note of a connection that has come or gone."""
        reconnector, upkeep = self._path.reconnector, self._upkeep
        is_up = reconnector.advance() is State.UP
        if is_up == self._up:
            return
        self._up = is_up
        if not is_up:
            self._path.delivery.connection_lost()
            upkeep.health.report()  # now: it may be over before the next tick
            return
        connection = reconnector.connection
        if connection is not None:
            log.info("connected", mqtt=reconnector.version, session=connection.session_present)
            self._path.delivery.connected(session_present=connection.session_present)
        upkeep.subscriptions.refresh()
        upkeep.control.online()
        upkeep.updater.announce()
        upkeep.shadows.evidences.announce()

    def _leave(self) -> None:
        """Take no more inputs, have the broker confirm what is owed, say goodbye, stop."""
        reconnector, upkeep = self._path.reconnector, self._upkeep
        upkeep.health.notifier.stopping()
        deadline_s = self._clock() + self._bounds.stop_s
        upkeep.control.offline()
        while self._up and not self._is_done and self._clock() < deadline_s:
            self._drain_turn()
        if upkeep.node is not None:
            upkeep.node.leave()
        is_read = False
        if self._up and reconnector.connection is not None:
            is_read = reconnector.connection.close(wait_s=_GOODBYE_S)
        self._path.journal.close(is_read=is_read)
        upkeep.kept_drift.close()
        upkeep.shadows.evidences.close()
        self._descriptors.close()
        self._workers.stop(deadline_s, self._clock)

    @property
    def _is_done(self) -> bool:
        return self._path.delivery.idle and not self._path.router.is_gathering

    def _drain_turn(self) -> None:
        """A turn without new inputs; the broker keeps them for the next start."""
        path = self._path
        self._wait(self._clock() + _SOON_S)
        path.router.answer()
        self._workers.run_posted()
        path.journal.tick()
        self._turn_node()
        connection = path.reconnector.connection
        if connection is None or connection.lost:
            self._up = False
            return
        connection.read(self._bounds.max_batch)
        connection.received.clear()
        exchange(connection, path.router, path.delivery)
        connection.flush()
