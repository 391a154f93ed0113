"""Keeps the page connected to the broker: it connects, reads, waits, and connects again.

The page only reads. Its subscriptions are at QoS 0 and its session ends with the connection: what
is missed while it is away would be old news, and a broker keeps no queue for it. The client id is
drawn at each start, so that no two servers have the same.

Opening a connection blocks (DNS, TCP, TLS), so it is done by a worker. Everything else happens on
the event loop, which looks at the socket every `_TURN_S` seconds: under load that makes one `recv`
of hundreds of messages, where waiting for each of them would wake the loop hundreds of times.
"""

import asyncio
import random
import secrets
from collections.abc import Callable, Sequence
from time import monotonic, time
from typing import Final, NamedTuple

from models.control.topics import ControlTopics
from server.console.settings import Console
from server.console.topics import PredictionTopic
from server.mqtt.connection import Connection
from serving import log
from serving.mqtt.errors import BrokerError
from serving.mqtt.packets import MQTT_3_1_1, MQTT_5, Received
from serving.worker import Worker

_TURN_S: Final = 0.05
_BUSY_S: Final = 0.001  # where the socket has more than one turn may take
_TICK_S: Final = 1.0
_FIRST_WAIT_S: Final = 1.0
_LEAST_WAIT_S: Final = 0.05
_UNSUPPORTED_PROTOCOL: Final = 0x84  # reason code of CONNACK (MQTT 5, 3.2.2.2)


class BrokerState(NamedTuple):
    """Whether there is a connection to the broker.

    Attributes:
        connected: whether the broker has accepted the connection, and it lasts.
        since: since when, milliseconds since 1970.
        reason: why there is none, or what the broker does not permit; empty if all is well.
    """

    connected: bool
    since: int
    reason: str


class Subscriber:
    """The connection to the broker, over as many `Connection` objects as it takes.

    Args:
        console: the broker, the topic filters, and the longest message.
        worker: opens connections.
        take: is given the messages that have arrived.
        changed: is called when the connection is made or lost.

    Attributes:
        state: whether there is a connection.
    """

    def __init__(
        self,
        console: Console,
        worker: Worker,
        take: Callable[[Sequence[Received]], None],
        changed: Callable[[], None],
    ) -> None:
        self.state = BrokerState(connected=False, since=_now_ms(), reason="not connected yet")
        self._console, self._worker, self._take, self._changed = console, worker, take, changed
        broker = console.broker
        self._client_id = broker.client_id or new_client_id()
        self._connection: Connection | None = None
        self._version = self._preferred = MQTT_3_1_1 if broker.protocol == "3.1.1" else MQTT_5
        self._attempts = 0
        self._deadline_s = self._tick_s = 0.0
        self._is_stopping = False

    def start(self) -> None:
        """Connect, and go on until `stop`."""
        connection = made_connection(self._console, self._client_id, self._version)

        def job() -> Callable[[], None]:
            try:
                connection.open()
            except BrokerError as exc:
                reason = str(exc)
                return lambda: self._fail(reason, None)
            return lambda: self._opened(connection)

        self._worker.submit(job)

    def stop(self) -> None:
        """Disconnect, and connect no more."""
        self._is_stopping = True
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _opened(self, connection: Connection) -> None:
        if self._is_stopping:
            connection.close()
            return
        self._connection = connection
        self._deadline_s = monotonic() + self._console.broker.connect_timeout_s
        self._turn()

    def _turn(self) -> None:
        """Read what has arrived, and come back."""
        connection = self._connection
        if connection is None or self._is_stopping:
            return
        has_more = False
        try:
            received, has_more = connection.read()
            if received:
                self._take(received)
        finally:  # a message that nobody can handle must not end the reading of others
            self._go_on(connection, has_more=has_more)

    def _go_on(self, connection: Connection, *, has_more: bool) -> None:
        """Do what is due, and come back while the connection lasts."""
        now_s = monotonic()
        if now_s >= self._tick_s:
            self._tick_s = now_s + _TICK_S
            connection.tick()
        if connection.lost:
            self._fail(connection.lost, connection.refused_with)
            return
        if not connection.is_accepted and now_s >= self._deadline_s:
            connection.close()
            self._fail("the broker does not answer CONNECT", None)
            return
        self._tell(connection)
        asyncio.get_running_loop().call_later(_BUSY_S if has_more else _TURN_S, self._turn)

    def _tell(self, connection: Connection) -> None:
        """Say that the connection is made, or that the broker does not permit all of it."""
        if not connection.is_accepted:
            return
        refused = ", ".join(connection.refused_filters)
        reason = f"the broker refuses the topic filters {refused}" if refused else ""
        if not self.state.connected:
            self._attempts = 0
            log.info("console connected to the broker", client_id=self._client_id)
        elif self.state.reason == reason:
            return
        if refused:
            log.warning("console may not subscribe", reason=reason)
        self._set(BrokerState(connected=True, since=_now_ms(), reason=reason))

    def _fail(self, reason: str, refused_with: int | None) -> None:
        """Note why there is no connection, and make another after a while."""
        if self._is_stopping:
            return
        self._connection = None
        was_up = self.state.connected
        self._choose_version(refused_with, was_up=was_up)
        if was_up or self.state.reason != reason:
            log.warning("console has no connection to the broker", reason=reason)
            since = _now_ms() if was_up else self.state.since
            self._set(BrokerState(connected=False, since=since, reason=reason))
        # The wait is drawn at random up to a limit that doubles ("full jitter"), so that the
        # clients of a broker that restarts do not all come back at once.
        limit_s = min(_FIRST_WAIT_S * 2**self._attempts, self._console.broker.reconnect_max_s)
        self._attempts = min(self._attempts + 1, 32)
        wait_s = random.uniform(_LEAST_WAIT_S, limit_s)  # noqa: S311  jitter, no secret
        asyncio.get_running_loop().call_later(wait_s, self._again)

    def _again(self) -> None:
        if not self._is_stopping:
            self.start()

    def _choose_version(self, refused_with: int | None, *, was_up: bool) -> None:
        """Choose the protocol version of the next attempt, where `broker.protocol` is `auto`.

        A broker that refuses MQTT 5 by its reason code is asked for 3.1.1 from then on. One that
        closes the connection at CONNECT may mean the same: then the versions are tried in turn.
        """
        if self._console.broker.protocol != "auto":
            return
        if refused_with == _UNSUPPORTED_PROTOCOL:
            self._version = self._preferred = MQTT_3_1_1
        elif was_up:
            self._version = self._preferred
        elif refused_with is None and self._deadline_s:
            self._version = MQTT_5 if self._version == MQTT_3_1_1 else MQTT_3_1_1
        self._deadline_s = 0.0

    def _set(self, state: BrokerState) -> None:
        self.state = state
        self._changed()


def new_client_id() -> str:
    """An MQTT client id that no other client has."""
    return f"millhand-console-{secrets.token_hex(4)}"


def made_connection(console: Console, client_id: str, version: int) -> Connection:
    """A connection to the broker that is not open yet, with the filters of all that is shown."""
    every = ControlTopics("+")
    filters = [PredictionTopic(one).filter for one in console.predictions]
    filters += [every.status, every.feedback, every.metrics]
    filters += [every.desired("+"), every.current("+"), every.evidence("+")]
    return Connection(console.broker, client_id, version, filters, console.max_payload_bytes)


def _now_ms() -> int:
    return int(time() * 1000)
