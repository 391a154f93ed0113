"""Keeps a connection to the broker: connects, waits, and connects again.

Opening a connection blocks (DNS, TCP, TLS), so a worker of its own does it. Waits grow with full
jitter (paho's own backoff has none), so that a plant's gateways do not all come back at once. The
reconnector never gives up and never ends the process: a broker that is not there is normal.
"""

import random
from collections.abc import Callable
from enum import Enum

from agent.config.settings import Broker
from agent.mqtt.connection import UNSUPPORTED_PROTOCOL, Connection, Will
from agent.mqtt.errors import BrokerError
from agent.mqtt.packets import MQTT_3_1_1, MQTT_5
from serving import log
from serving.worker import Worker

_FIRST_WAIT_S = 1.0
VERSION_NAMES = {MQTT_5: "5", MQTT_3_1_1: "3.1.1"}


class State(Enum):
    """Where the reconnector is."""

    WAITING = "waiting"
    OPENING = "opening"
    HANDSHAKE = "handshake"
    UP = "up"


class Reconnector:
    """The broker connection over time.

    Args:
        broker: where and how.
        client_id: fixed.
        will: published by the broker if we vanish.
        worker: opens connections.
        clock: monotonic seconds.

    Attributes:
        state: where it is.
        connection: the one under way or up, None while waiting.
        trouble: what is wrong in words; empty while up.
        connects: how often the broker let us in.
        sessions_lost: how often it had forgotten our session by then, and what it kept for us.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        client_id: str,
        will: Will,
        worker: Worker,
        clock: Callable[[], float],
    ) -> None:
        self.state = State.WAITING
        self.connection: Connection | None = None
        self.trouble = ""
        self.connects = self.sessions_lost = 0
        self._broker = broker
        self._client_id = client_id
        self._will = will
        self._worker = worker
        self._clock = clock
        self._version = self._preferred = MQTT_3_1_1 if broker.protocol == "3.1.1" else MQTT_5
        self._attempts = 0
        self._due_s = 0.0

    @property
    def version(self) -> str:
        """The protocol spoken, for people."""
        return VERSION_NAMES[self._version]

    @property
    def is_up(self) -> bool:
        """Whether the broker has accepted the connection."""
        return self.state is State.UP

    def keep_alive(self) -> None:
        """Send a PINGREQ where one is due; to be called about once a second."""
        if self.is_up and self.connection is not None:
            self.connection.tick()

    def advance(self) -> State:
        """Take the next step if it is time for one; to be called every turn, never blocks."""
        connection = self.connection
        if self.state is State.WAITING:
            if self._clock() >= self._due_s:
                self._open()
        elif connection is not None and connection.lost:
            self._fail(connection.lost, connection.refused_with)
        elif self.state is State.HANDSHAKE and connection is not None:
            if connection.accepted:
                self._up(connection)
            elif self._clock() >= self._due_s:
                connection.close()
                self._fail("the broker does not answer CONNECT", None)
        return self.state

    def _open(self) -> None:
        connection = Connection(self._broker, self._client_id, self._will, self._version)
        self.connection = connection
        self.state = State.OPENING

        def job() -> Callable[[], None]:
            try:
                connection.open()
            except BrokerError as exc:
                reason = str(exc)
                return lambda: self._fail(reason, None)
            return self._handshake

        self._worker.submit(job)

    def _handshake(self) -> None:
        self.state = State.HANDSHAKE
        self._due_s = self._clock() + self._broker.connect_timeout_s

    def _up(self, connection: Connection) -> None:
        self.state = State.UP
        self.trouble = ""
        if self.connects and not connection.session_present:
            self.sessions_lost += 1
            log.warning("session lost: the broker has dropped what it kept for this gateway")
        self.connects += 1
        self._attempts = 0

    def _fail(self, reason: str, refused_with: int | None) -> None:
        self._choose_version(refused_with)
        self.state = State.WAITING
        self.connection = None
        self.trouble = reason
        if refused_with == UNSUPPORTED_PROTOCOL and self._broker.protocol == "auto":
            self._due_s = 0.0
            return
        ceiling = min(_FIRST_WAIT_S * 2**self._attempts, self._broker.reconnect_max_s)
        self._attempts = min(self._attempts + 1, 32)
        self._due_s = self._clock() + random.uniform(0.05, ceiling)  # noqa: S311  jitter, no secret

    def _choose_version(self, refused_with: int | None) -> None:
        """Which protocol the next attempt speaks, where the configuration leaves it open.

        A broker that says it does not speak MQTT 5 is believed. One that leaves CONNECT without
        an answer may mean the same (amqtt does) or be starting: then the two take turns, and
        after a connection that came about so, 5 is tried first again.
        """
        if self._broker.protocol != "auto":
            return
        if refused_with == UNSUPPORTED_PROTOCOL:
            self._version = self._preferred = MQTT_3_1_1
        elif self.state is State.UP:
            self._version = self._preferred
        elif self.state is State.HANDSHAKE and refused_with is None:
            self._version = MQTT_5 if self._version == MQTT_3_1_1 else MQTT_3_1_1
