"""What `check --connect` asks of the broker, without disturbing an agent that may be running.

It connects as the agent would, but under client ids of its own. A broker may give each login one
session, whatever the client calls itself (Mosquitto's use_username_as_clientid). The session that
is present is then the agent's: nothing is subscribed or acknowledged on it, and it is left as it
was.
"""

import select
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import monotonic

from agent.cli.check import Answer
from agent.config.settings import Settings
from agent.mqtt.connection import UNSUPPORTED_PROTOCOL, Connection, Will
from agent.mqtt.errors import BrokerError
from agent.mqtt.packets import FIRST_PACKET_ID, MQTT_3_1_1, MQTT_5, Publish
from agent.mqtt.reconnect import VERSION_NAMES
from agent.mqtt.subscription import Subscription
from models.control.topics import ControlTopics
from models.input.topics import TopicTemplate

TRIAL_MESSAGES = 1_200  # above 1,000, the default limit of Mosquitto's queue
_IN_FLIGHT = 100
_TURN_S = 0.2
_QUIET_S = 1.0
_VERSIONS = {"auto": (MQTT_5, MQTT_3_1_1), "5": (MQTT_5,), "3.1.1": (MQTT_3_1_1,)}
_ONE_SESSION = "the broker gives a login one session"


def ask_broker(settings: Settings) -> list[Answer]:
    """Connect as the agent would, try its topics, and see what is kept while it is away."""
    broker = settings.broker
    where = f"broker {broker.host}:{broker.port}"
    answers: list[Answer] = []
    for version in _VERSIONS[broker.protocol]:
        probe = _Probe(settings, version)
        try:
            connection = probe.connect()
        except _NotAcceptedError as exc:
            answers = [Answer("FAIL", f"{where}: {exc}")]
            if exc.refused_with in (None, UNSUPPORTED_PROTOCOL):
                continue
            return answers
        told = (
            f"{where}: MQTT {VERSION_NAMES[version]}, at most {connection.max_in_flight} in flight"
        )
        return [Answer("ok", told), *probe.ask(connection)]
    return answers


class _NotAcceptedError(BrokerError):
    """The broker did not accept the connection, perhaps because of the MQTT version."""

    def __init__(self, message: str, refused_with: int | None = None) -> None:
        super().__init__(message)
        self.refused_with = refused_with


@dataclass(frozen=True, slots=True)
class _Probe:
    """Connects under client ids of its own, asks, and leaves nothing behind on the broker.

    Attributes:
        settings: of the agent that the answers are for.
        version: protocol level of MQTT, 4 for 3.1.1 and 5 for 5.
    """

    settings: Settings
    version: int

    @property
    def topic(self) -> str:
        """The topic of the messages by which the queue is tried."""
        return f"{ControlTopics(self.settings.gateway.id).base}/check"

    def connect(self, role: str = "check") -> Connection:
        broker = self.settings.connection
        client_id = f"{self.settings.client_id}-{role}"
        connection = Connection(broker, client_id, Will(self.topic, b""), self.version)
        try:
            connection.open()
        except BrokerError as exc:
            raise _NotAcceptedError(str(exc)) from exc
        self._turn_until(connection, lambda: connection.accepted)
        if not connection.accepted:
            reason = connection.lost or "does not answer CONNECT"
            raise _NotAcceptedError(reason, connection.refused_with)
        return connection

    def ask(self, connection: Connection) -> Iterator[Answer]:
        """Ask all there is to ask, on a connection just made."""
        if connection.session_present:
            connection.close()
            yield Answer("warn", f"{_ONE_SESSION}: topics and queue were not tried")
            return
        yield from self._ask_topics(connection)
        if self.topic in connection.refused_filters:
            connection.close(forget_session=True)
            yield Answer("warn", f"what is kept cannot be tried: {self.topic} is refused")
            return
        connection.close()
        try:
            yield self._ask_queue()
        except BrokerError as exc:
            yield Answer("warn", f"what is kept cannot be tried: {exc}")

    def _ask_topics(self, connection: Connection) -> Iterator[Answer]:
        filters = {
            TopicTemplate(one.topic).filter: one.qos
            for pipeline in self.settings.pipelines
            for one in pipeline.inputs
        }
        wanted = [Subscription(name, qos) for name, qos in filters.items()]
        connection.subscribe([*wanted, Subscription(self.topic, 1)])
        self._turn_until(connection, lambda: not connection.subscribing)
        for name in filters:
            if name in connection.refused_filters:
                yield Answer("FAIL", f"subscribe {name}: refused by the broker")
            else:
                yield Answer("ok", f"subscribe {name}")
        connection.unsubscribe(list(filters))

    def _ask_queue(self) -> Answer:
        """Publish while the session has no connection, and count what the broker kept for it."""
        self._publish_trial()
        connection = self.connect()
        kept = self._count(connection) if connection.session_present else 0
        connection.unsubscribe([self.topic])
        connection.close(forget_session=True)
        if kept < TRIAL_MESSAGES:
            return Answer(
                "warn",
                f"of {TRIAL_MESSAGES} messages for a gateway that is away, {kept} are kept: the"
                " others are lost without a word; see config/mosquitto.conf",
            )
        return Answer(
            "ok",
            f"keeps {kept} messages for a gateway that is away; over its own restart only with"
            " persistence, which cannot be asked: see config/mosquitto.conf",
        )

    def _publish_trial(self) -> None:
        connection = self.connect("check-trial")
        if connection.session_present:
            connection.close(forget_session=True)
            raise BrokerError(_ONE_SESSION)
        starts = range(FIRST_PACKET_ID, FIRST_PACKET_ID + TRIAL_MESSAGES, _IN_FLIGHT)
        taken = all(self._publish_some(connection, first) for first in starts)
        connection.close(forget_session=True)
        if not taken:
            raise BrokerError(f"{self.topic} is refused by the broker")

    def _publish_some(self, connection: Connection, first: int) -> bool:
        for packet_id in range(first, first + _IN_FLIGHT):
            connection.publish(Publish(self.topic, b"", 1, packet_id=packet_id))
        self._turn_until(connection, lambda: len(connection.confirmed) == _IN_FLIGHT)
        confirmed, connection.confirmed = connection.confirmed, []
        return sum(code < 0x80 for _, code in confirmed) == _IN_FLIGHT  # noqa: PLR2004  MQTT 5, 2.4

    def _count(self, connection: Connection) -> int:
        """Take in what was kept, until nothing more comes."""
        kept, quiet_at = 0, monotonic() + _QUIET_S
        while kept < TRIAL_MESSAGES and monotonic() < quiet_at and not connection.lost:
            self._turn(connection)
            for message in connection.received:
                connection.acknowledge(message.packet_id)
                quiet_at = monotonic() + _QUIET_S
            kept += len(connection.received)
            connection.received.clear()
        return kept

    def _turn_until(self, connection: Connection, done: Callable[[], bool]) -> None:
        deadline = monotonic() + self.settings.broker.connect_timeout_s
        while not done() and not connection.lost and monotonic() < deadline:
            self._turn(connection)

    @staticmethod
    def _turn(connection: Connection) -> None:
        connection.flush()
        descriptor = connection.fileno()
        if descriptor is not None and not connection.has_unread:
            select.select([descriptor], [], [], _TURN_S)
        connection.read(_IN_FLIGHT)
