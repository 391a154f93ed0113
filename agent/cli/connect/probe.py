"""Connections by which a broker is asked, under client ids of their own."""

import secrets
import select
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic

from agent.config.settings import ConnectionSettings, Settings
from agent.mqtt.connection import Connection, Will
from agent.mqtt.subscription import Subscription
from models.control.topics import ControlTopics
from serving.mqtt.errors import BrokerError
from serving.mqtt.packets import FIRST_PACKET_ID, MQTT_5, Publish

_TURN_S = 0.2
_MESSAGES = 100  # that one turn takes in


class NotAcceptedError(BrokerError):
    """The broker did not accept the connection, perhaps because of the MQTT version.

    Attributes:
        refused_with: reason code of its CONNACK; None where there was none.
    """

    def __init__(self, message: str, refused_with: int | None = None) -> None:
        super().__init__(message)
        self.refused_with = refused_with


@dataclass(frozen=True, slots=True)
class Probe:
    """Connects as the agent would, but never under its client id, and leaves nothing behind.

    The client ids have a random end, so that a session that is present cannot be one that an
    earlier check has left: it is the agent's, because the broker gives each login one session.

    Attributes:
        settings: of the agent that the answers are for.
        version: protocol level of MQTT, 4 for 3.1.1 and 5 for 5.
        mark: random end of the client ids.
        link: how the broker is reached; None: as the agent reaches it.
        may_interrupt: whether the connection of an agent may be interrupted.
    """

    settings: Settings
    version: int
    mark: str = field(default_factory=lambda: secrets.token_hex(3))
    link: ConnectionSettings | None = None
    may_interrupt: bool = False

    @property
    def topics(self) -> ControlTopics:
        """The agent's control topics."""
        return ControlTopics(self.settings.gateway.id)

    @property
    def topic(self) -> str:
        """The topic of the messages by which the broker is tried; nobody else uses it."""
        return f"{self.topics.base}/check"

    @property
    def has_reason_codes(self) -> bool:
        """Whether the broker can say that it refuses a publish (MQTT 5, 3.4.2.1)."""
        return self.version == MQTT_5

    def client_id(self, role: str) -> str:
        """Client id of a connection for one purpose."""
        client_id = self.link.client_id if self.link else self.settings.client_id
        return f"{client_id}-{role}-{self.mark}"

    def connect(self, role: str = "check", *, expiry_s: int | None = None) -> Connection:
        """Connect, and wait until the broker has accepted that.

        Args:
            role: what the connection is for, a part of its client id.
            expiry_s: seconds for which the session stays; None as the agent's.

        Raises:
            NotAcceptedError: it has not.
        """
        broker = self.link or self.settings.connection
        if expiry_s is not None:
            broker = broker.model_copy(update={"session_expiry_s": expiry_s})
        will = Will(self.topic, b"")
        connection = Connection(broker, self.client_id(role), will, self.version)
        try:
            connection.open()
        except BrokerError as exc:
            raise NotAcceptedError(str(exc)) from exc
        self.turn_until(connection, lambda: connection.accepted)
        if not connection.accepted:
            reason = connection.lost or "the broker does not answer CONNECT"
            raise NotAcceptedError(reason, connection.refused_with)
        return connection

    def forget(self, *roles: str) -> None:
        """End the sessions of connections; MQTT 3.1.1 can do it only by connecting once more."""
        for role in roles:
            self.connect(role, expiry_s=0).close(forget_session=True)

    def subscribe(self, connection: Connection, subscriptions: Sequence[Subscription]) -> list[str]:
        """Subscribe, wait for the answers, and return the filters that are refused."""
        connection.subscribe(subscriptions)
        self.turn_until(connection, lambda: not connection.subscribing)
        asked = {one.filter for one in subscriptions}
        return [name for name in connection.refused_filters if name in asked]

    def publish(self, connection: Connection, topics: Sequence[str], qos: int) -> list[int | None]:
        """Publish empty messages, and return the broker's reason codes in the order of the topics.

        Args:
            connection: a connection that has published nothing else meanwhile.
            topics: one for each message.
            qos: 1, or 2 for messages that are never released.

        Returns:
            Reason codes (MQTT 5, 3.4.2.1); None where no answer came in time.
        """
        connection.confirmed = []
        numbers = range(FIRST_PACKET_ID, FIRST_PACKET_ID + len(topics))
        for packet_id, topic in zip(numbers, topics, strict=True):
            connection.publish(Publish(topic, b"", qos, packet_id=packet_id))
        self.turn_until(connection, lambda: {one for one, _ in connection.confirmed} >= {*numbers})
        codes = dict(connection.confirmed)
        connection.confirmed = []
        return [codes.get(packet_id) for packet_id in numbers]

    def turn_until(
        self, connection: Connection, done: Callable[[], bool], limit_s: float | None = None
    ) -> None:
        """Read and write until `done`, until the connection is lost, or for a time.

        Args:
            connection: the connection.
            done: says whether what is waited for has come.
            limit_s: seconds; None for `broker.connect_timeout_s`.
        """
        limit_s = self.settings.broker.connect_timeout_s if limit_s is None else limit_s
        deadline_s = monotonic() + limit_s
        while not done() and not connection.lost and monotonic() < deadline_s:
            self.turn(connection)

    @staticmethod
    def turn(connection: Connection) -> None:
        """Write what waits, and read what comes within a moment."""
        connection.flush()
        descriptor = connection.fileno()
        if descriptor is not None and not connection.has_unread:
            select.select([descriptor], [], [], _TURN_S)
        connection.read(_MESSAGES)
        connection.flush()
