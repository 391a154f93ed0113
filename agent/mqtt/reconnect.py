"""Keeps the agent connected to the broker: it connects, waits, and connects again.

Opening a connection blocks (DNS, TCP, TLS), so it is done by a worker. The longest wait doubles
with each failed attempt, and the wait is drawn at random up to it ("full jitter"; paho's own
backoff has none): after a restart of the broker the gateways of a plant do not all come back at
once. No failure ends the process or the attempts, because a broker that is away for a
while is normal.
"""

import random
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from enum import Enum

from agent.config.settings import ConnectionSettings
from agent.mqtt.connection import UNSUPPORTED_PROTOCOL, Connection, Will
from agent.mqtt.session import Session
from agent.mqtt.session_record import SessionRecord
from agent.mqtt.takeover import Takeover
from serving import log
from serving.mqtt.errors import BrokerError
from serving.mqtt.packets import MQTT_3_1_1, MQTT_5
from serving.worker import Worker

_FIRST_WAIT_S = 1.0
_QUIET_S = 5.0  # several of the first waits of another agent, see `Takeover`
VERSION_NAMES = {MQTT_5: "5", MQTT_3_1_1: "3.1.1"}
"""Name of each protocol version, as in the key `broker.protocol`."""


class State(Enum):
    """Where the reconnector is.

    WAITING for the next attempt; OPENING the socket, on the worker; HANDSHAKE: CONNECT is sent, and
    CONNACK has not come yet; RECORDING the session, on the worker; UP: the broker has accepted the
    connection.
    """

    WAITING = "waiting"
    OPENING = "opening"
    HANDSHAKE = "handshake"
    RECORDING = "recording"
    UP = "up"


class Reconnector:
    """The agent's connection to the broker, over as many `Connection` objects as it takes.

    Only the hot thread uses it; no method blocks or raises.

    Args:
        broker: address, credentials and limits of the connection.
        record: the client id, and what is on disk of its session.
        will: returns the message that the broker publishes if the next connection breaks.
        worker: worker that opens connections.
        clock: monotonic time in seconds.

    Attributes:
        state: where it is.
        connection: connection that is being opened or is up; None while waiting.
        trouble: why there is no connection, in words; empty while there is one.
        connects: how often the broker has accepted a connection.
        sessions_lost: how often the broker had no session any more although there was one, so that
            the messages it had stored for the agent are lost. It may have been of an earlier run.
        takeover: whether another agent has the same client id.
        opening: returns what is entered on the worker while a connection is opened, and left by a
            `BrokerError` where none came about.
    """

    def __init__(
        self,
        broker: ConnectionSettings,
        *,
        record: SessionRecord,
        will: Callable[[], Will],
        worker: Worker,
        clock: Callable[[], float],
    ) -> None:
        self.state = State.WAITING
        self.connection: Connection | None = None
        self.trouble = ""
        self.connects = self.sessions_lost = 0
        self._broker = broker
        self._record = record
        quiet_s = max(2 * broker.reconnect_max_s, _QUIET_S)
        self.takeover = Takeover(record.client_id, record.starts, quiet_s, clock)
        self.opening: Callable[[], AbstractContextManager[None]] = nullcontext
        self._will = will
        self._worker = worker
        self._clock = clock
        self._session = Session()
        self._may_be_foreign = not record.is_known
        self._version = self._preferred = MQTT_3_1_1 if broker.protocol == "3.1.1" else MQTT_5
        self._attempts = 0
        self._due_s = 0.0

    @property
    def version(self) -> str:
        """Name of the protocol version that is used or tried: `5` or `3.1.1`."""
        return VERSION_NAMES[self._version]

    @property
    def is_up(self) -> bool:
        """Whether the broker has accepted the connection."""
        return self.state is State.UP

    def tell_of_another(self, doubt: Callable[[str], None]) -> None:
        """Have `doubt` called as `Takeover.doubt` is, and go on with what the last run doubted."""
        self.takeover.doubt = doubt
        if self._record.is_shared:
            self.takeover.remember()

        def told(reason: str) -> None:
            doubt(reason)
            self._record.is_shared = bool(reason)
            self._worker.submit(self._record.keep)

        self.takeover.doubt = told

    def keep_alive(self) -> None:
        """Send a PINGREQ where one is due; call it about once a second."""
        self.takeover.tick()
        if self.is_up and self.connection is not None:
            self.connection.tick()

    def advance(self) -> State:
        """Take the next step if it is due, and return the state; call it once a turn."""
        connection = self.connection
        if self.state is State.WAITING:
            if self._clock() >= self._due_s:
                self._open()
        elif connection is not None and connection.lost:
            self._fail(connection.lost, connection.refused_with)
        elif self.state is State.HANDSHAKE and connection is not None:
            if connection.accepted:
                self._accepted(connection)
            elif self._clock() >= self._due_s:
                connection.close()
                self._fail("the broker does not answer CONNECT", None)
        return self.state

    def _open(self) -> None:
        connection = Connection(
            self._broker, self._record.client_id, self._will(), self._version, self._session
        )
        self.connection = connection
        self.state = State.OPENING

        def job() -> Callable[[], None]:
            try:
                with self.opening():
                    connection.open()
            except BrokerError as exc:
                reason = str(exc)
                return lambda: self._fail(reason, None)
            return self._handshake

        self._worker.submit(job)

    def _handshake(self) -> None:
        self.state = State.HANDSHAKE
        self._due_s = self._clock() + self._broker.connect_timeout_s

    def _accepted(self, connection: Connection) -> None:
        """Serve on a connection, unless its session has to be begun anew."""
        if self._session.begins_clean:
            self._session.begins_clean = False
            if self._version == MQTT_3_1_1:
                # The session of a connection with Clean Session ends with it (3.1.1, 3.1.2.4).
                self._connect_again(connection)
                return
        elif connection.session_present and self._may_be_foreign:
            self._may_be_foreign, self._session.begins_clean = False, True
            log.warning(
                "session is begun anew: the broker has one of which the state folder knows nothing,"
                " and what it stored in it is given up",
                client_id=self._record.client_id,
            )
            self._connect_again(connection)
            return
        if self._record.is_due:
            self._keep_record(connection)
        else:
            self._up(connection, was_here=self._record.is_current)

    def _connect_again(self, connection: Connection) -> None:
        connection.close()
        self.connection = None
        self.state, self._due_s = State.WAITING, 0.0

    def _keep_record(self, connection: Connection) -> None:
        """Record the session before anything is subscribed to, and so before it stores messages."""
        self.state = State.RECORDING
        was_here = self._record.is_current

        def job() -> Callable[[], None]:
            self._record.keep()
            return lambda: self._up(connection, was_here=was_here)

        self._worker.submit(job)

    def _up(self, connection: Connection, *, was_here: bool) -> None:
        self.state = State.UP
        self._may_be_foreign = False
        self.trouble = ""
        is_lost = not connection.session_present and (self.connects > 0 or was_here)
        if is_lost and self._broker.session_expiry_s:
            self.sessions_lost += 1
            log.warning("session lost: the broker has dropped what it stored for this gateway")
        granted_s, asked_s = connection.session_expiry_s, self._broker.session_expiry_s
        if granted_s is not None and granted_s < asked_s and not self.connects:
            log.warning(
                "session is kept by the broker for less than broker.session_expiry_s",
                granted_s=granted_s,
                asked_s=asked_s,
            )
        self.connects += 1
        self.takeover.connected(session_present=connection.session_present)

    def _fail(self, reason: str, refused_with: int | None) -> None:
        if self.state is State.UP and self.connection is not None:
            self.takeover.lost(self.connection)
            if not self.takeover.lasts:
                self._attempts = 0
        self._choose_version(refused_with)
        self.state = State.WAITING
        self.connection = None
        self.trouble = reason
        if refused_with == UNSUPPORTED_PROTOCOL and self._broker.protocol == "auto":
            self._due_s = 0.0  # the broker is there: the other version is tried at once
            return
        ceiling = min(_FIRST_WAIT_S * 2**self._attempts, self._broker.reconnect_max_s)
        self._attempts = min(self._attempts + 1, 32)
        least = ceiling / 2 if self.takeover.lasts else 0.05
        self._due_s = self._clock() + random.uniform(least, ceiling)  # noqa: S311  jitter, no secret

    def _choose_version(self, refused_with: int | None) -> None:
        """Choose the protocol version of the next attempt, where `broker.protocol` is `auto`.

        A broker that refuses MQTT 5 by its reason code is asked for 3.1.1 from then on. One that
        does not answer CONNECT may mean the same (amqtt) or may be starting: the two versions are
        tried in turn, and once such a connection is lost, MQTT 5 is tried first again.
        """
        if self._broker.protocol != "auto":
            return
        if refused_with == UNSUPPORTED_PROTOCOL:
            self._version = self._preferred = MQTT_3_1_1
        elif self.state is State.UP:
            self._version = self._preferred
        elif self.state is State.HANDSHAKE and refused_with is None:
            self._version = MQTT_5 if self._version == MQTT_3_1_1 else MQTT_3_1_1
