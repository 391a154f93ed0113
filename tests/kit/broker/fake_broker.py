"""A broker and a connection to it without a socket, with the interface of `Connection`.

The broker keeps to what the agent relies on, and can do at will what a real one does rarely: lose
a connection or a session, crash and go on from an older state, refuse a topic, hold its
confirmations back, take nothing in.
"""

from collections import deque
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from time import time_ns
from typing import NamedTuple

from agent.mqtt.connection import Will
from agent.mqtt.packets import Publish, Received
from agent.mqtt.subscription import Subscription

MQTT_5 = 5
NOT_AUTHORISED, QUOTA_EXCEEDED, PAYLOAD_INVALID = 0x87, 0x97, 0x99
CLIENT = "gw"
WILL = Will("gw/status", b"offline")
IN_FLIGHT_3_1_1 = 20


class Published(NamedTuple):
    """A message that the broker has taken from a client."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False


@dataclass
class _Session:
    """What the broker remembers of a client, also while it is away."""

    subscriptions: dict[str, Subscription] = field(default_factory=dict)
    queue: deque[Published] = field(default_factory=deque)
    in_flight: dict[int, Published] = field(default_factory=dict)
    unconfirmed: dict[int, Published] = field(default_factory=dict)
    last_packet_id: int = 0


class FakeBroker:
    """Sessions, subscriptions and QoS 1 by client id.

    Attributes:
        published: all that clients published and the broker took, wills among it.
        refused: all that it did not take, with the reason code.
        confirmed: those QoS 1 publishes whose success has reached the client.
        acknowledged: every input that a client acknowledged, in that order.
        out_of_order: inputs that were acknowledged before an earlier one (MQTT 5, 4.6).
        refusals: reason code by topic, for publishes that it refuses (MQTT 5).
        refused_filters: topic filters that it does not grant.
        confirms: whether it answers publishes now; what it holds back is lost with a connection.
        stalls: whether it takes nothing in now.
    """

    def __init__(self, *, receive_maximum: int = 200, max_packet_bytes: int = 1 << 20) -> None:
        self.published: list[Published] = []
        self.refused: list[tuple[Published, int]] = []
        self.confirmed: list[Published] = []
        self.out_of_order: list[Published] = []
        self.acknowledged: list[Published] = []
        self.refusals: dict[str, int] = {}
        self.refused_filters: set[str] = set()
        self.confirms = True
        self.stalls = False
        self.receive_maximum = receive_maximum
        self.max_packet_bytes = max_packet_bytes
        self._sessions: dict[str, _Session] = {}
        self._saved: dict[str, _Session] = {}
        self._connections: dict[str, FakeConnection] = {}
        self._retained: dict[str, Published] = {}

    def connection(self, client_id: str, will: Will, version: int = MQTT_5) -> "FakeConnection":
        """A connection that is not open yet."""
        return FakeConnection(self, client_id, will, version)

    def publish(self, topic: str, payload: bytes, qos: int = 1, *, retain: bool = False) -> None:
        """Take a message from the plant."""
        message = Published(topic, payload, qos, retain)
        if retain:
            self._retained[topic] = message
        for client_id, session in self._sessions.items():
            granted = [one.qos for one in session.subscriptions.values() if _fits(one, topic)]
            if not granted:
                continue
            copy = message._replace(qos=min(qos, max(granted)), retain=False)
            if copy.qos or client_id in self._connections:
                session.queue.append(copy)

    def cut(self, client_id: str) -> None:
        """Lose a connection without a word, with all that was on its way, and send the will."""
        connection = self._connections.pop(client_id, None)
        if connection is not None:
            connection.lost = "connection lost: cut"
            self.take(Published(connection.will.topic, connection.will.payload, 1, retain=True))

    def forget_sessions(self) -> None:
        """Restart without persistence."""
        for client_id in list(self._connections):
            self.cut(client_id)
        self._sessions.clear()
        self._saved.clear()

    def save(self) -> None:
        """Write all sessions to disk."""
        self._saved = deepcopy(self._sessions)
        for session in self._saved.values():
            session.unconfirmed.clear()  # what was taken before a crash is taken again after it

    def crash(self) -> None:
        """Be killed, and go on from what was saved; of what it has sent since it knows nothing."""
        for client_id in list(self._connections):
            self.cut(client_id)
        self._sessions = deepcopy(self._saved)

    def subscribed(self, client_id: str) -> bool:
        """Whether messages for a client are kept."""
        return client_id in self._sessions and bool(self._sessions[client_id].subscriptions)

    def waiting(self, client_id: str) -> int:
        """How many inputs of a client are queued, or sent and not acknowledged."""
        session = self._sessions[client_id]
        return len(session.queue) + len(session.in_flight)

    # What a connection calls.

    def accept(self, connection: "FakeConnection") -> None:
        """Let a client in; unacknowledged messages come again, first and in order."""
        self.cut(connection.client_id)  # a client id is taken over
        connection.session_present = connection.client_id in self._sessions
        session = self._sessions.setdefault(connection.client_id, _Session())
        self._connections[connection.client_id] = connection
        for packet_id, message in session.in_flight.items():
            connection.arrive(message, packet_id, repeated=True)

    def subscribe(self, connection: "FakeConnection", wanted: Sequence[Subscription]) -> None:
        """Grant what is not refused, and send retained messages where they are asked for."""
        session = self._sessions[connection.client_id]
        for one in wanted:
            if one.filter in self.refused_filters:
                connection.refused_filters.append(one.filter)
                continue
            session.subscriptions[one.filter] = one
            if one.state or connection.version != MQTT_5:
                session.queue += [
                    message._replace(qos=min(message.qos, one.qos))
                    for topic, message in self._retained.items()
                    if _fits(one, topic)
                ]

    def unsubscribe(self, connection: "FakeConnection", filters: Sequence[str]) -> None:
        """Drop filters."""
        for one in filters:
            self._sessions[connection.client_id].subscriptions.pop(one, None)

    def take(self, message: Published) -> int:
        """Take a publish of a client and return its reason code."""
        reason_code = self.refusals.get(message.topic, 0)
        if reason_code:
            self.refused.append((message, reason_code))
        else:
            self.published.append(message)
            if message.retain:
                self._retained[message.topic] = message
        return reason_code

    def occupy(self, client_id: str, packet_id: int, message: Published, *, repeated: bool) -> None:
        """Hold a client to MQTT 5, 2.2.1 and 4.4: a packet id is one publish until its PUBACK."""
        unconfirmed = self._sessions[client_id].unconfirmed
        assert unconfirmed.get(packet_id, message if repeated else None) == (
            message if repeated else None
        ), f"packet id {packet_id} is in use"
        unconfirmed[packet_id] = message

    def release(self, client_id: str, packet_id: int) -> None:
        """Know that a PUBACK has arrived."""
        del self._sessions[client_id].unconfirmed[packet_id]

    def acknowledge(self, connection: "FakeConnection", packet_id: int) -> None:
        """Forget a message that its receiver has dealt with."""
        in_flight = self._sessions[connection.client_id].in_flight
        is_next = packet_id == next(iter(in_flight))
        message = in_flight.pop(packet_id)
        self.acknowledged.append(message)
        if not is_next:
            self.out_of_order.append(message)

    def send(self, connection: "FakeConnection", limit: int) -> None:
        """Send what is queued, as far as the Receive Maximum allows."""
        session = self._sessions[connection.client_id]
        at_most = self.receive_maximum if connection.version == MQTT_5 else IN_FLIGHT_3_1_1
        while session.queue and connection.arrived < limit:
            if not session.queue[0].qos:
                connection.arrive(session.queue.popleft(), 0, repeated=False)
            elif len(session.in_flight) < at_most:
                session.last_packet_id = packet_id = session.last_packet_id % 65_535 + 1
                session.in_flight[packet_id] = session.queue.popleft()
                connection.arrive(session.in_flight[packet_id], packet_id, repeated=False)
            else:
                return

    def disconnect(self, connection: "FakeConnection") -> None:
        """Let a client go in order: no will."""
        self._connections.pop(connection.client_id, None)


class FakeConnection:
    """One connection to a FakeBroker; see `agent.mqtt.connection.Connection` for every name."""

    has_unread = False

    def __init__(self, broker: FakeBroker, client_id: str, will: Will, version: int) -> None:
        self.client_id = client_id
        self.will = will
        self.version = version
        self.received: list[Received] = []
        self.confirmed: list[tuple[int, int]] = []
        self.accepted = False
        self.session_present = False
        self.refused_with: int | None = None
        self.refused_filters: list[str] = []
        self.subscribing: dict[int, list[str]] = {}
        self.lost = ""
        self.max_in_flight = 65_535
        self.max_packet_bytes = broker.max_packet_bytes
        self._broker = broker
        self._inbound: deque[Received] = deque()
        self._unconfirmed: deque[tuple[int, int, Published]] = deque()
        self._outbound: deque[Callable[[], None]] = deque()

    @property
    def arrived(self) -> int:
        """Messages on their way to `read`."""
        return len(self._inbound)

    def arrive(self, message: Published, packet_id: int, *, repeated: bool) -> None:
        """Take a message from the broker."""
        self._inbound.append(
            Received(message.topic, message.payload, packet_id, message.retain, repeated, time_ns())
        )

    def open(self) -> None:
        """Connect; the broker answers at the first `read`."""
        self._broker.accept(self)

    def fileno(self) -> int | None:
        """There is no descriptor to wait on."""
        return None

    def read(self, limit: int) -> None:
        """Take in what has arrived."""
        if self.lost:
            return
        self.accepted = True
        self._broker.send(self, limit)
        while self._inbound and len(self.received) < limit:
            self.received.append(self._inbound.popleft())
        while self._broker.confirms and self._unconfirmed:
            packet_id, reason_code, message = self._unconfirmed.popleft()
            self._broker.release(self.client_id, packet_id)
            self.confirmed.append((packet_id, reason_code))
            if not reason_code:
                self._broker.confirmed.append(message)

    @property
    def wants_write(self) -> bool:
        """Whether something waits to be sent."""
        return bool(self._outbound)

    def flush(self) -> None:
        """Send what is queued, unless the broker stalls."""
        while self._outbound and not self._broker.stalls and not self.lost:
            self._outbound.popleft()()

    def tick(self) -> None:
        """Nothing to keep alive."""

    def subscribe(self, subscriptions: Sequence[Subscription]) -> None:
        """Ask for topics."""
        self._outbound.append(lambda: self._broker.subscribe(self, subscriptions))

    def unsubscribe(self, filters: Sequence[str]) -> None:
        """Drop filters."""
        self._outbound.append(lambda: self._broker.unsubscribe(self, filters))

    def publish(self, publish: Publish) -> None:
        """Queue one publish."""
        message = Published(publish.topic, publish.payload, publish.qos, publish.retain)
        packet_id, repeated = publish.packet_id, publish.repeated

        def send() -> None:
            if message.qos:
                self._broker.occupy(self.client_id, packet_id, message, repeated=repeated)
            reason_code = self._broker.take(message)
            if message.qos:
                # A 3.1.1 broker answers plain success for what it refuses.
                told = reason_code if self.version == MQTT_5 else 0
                self._unconfirmed.append((packet_id, told, message))

        self._outbound.append(send)

    def acknowledge(self, packet_id: int) -> None:
        """Queue the acknowledgement of a QoS 1 message."""
        self._outbound.append(lambda: self._broker.acknowledge(self, packet_id))

    def close(self) -> None:
        """Say goodbye, so that the will is not sent."""
        self._outbound.append(lambda: self._broker.disconnect(self))
        self.flush()
        self.lost = self.lost or "connection lost: closed"


def connected(broker: FakeBroker) -> FakeConnection:
    """An open connection that asks for `in/#`."""
    connection = broker.connection(CLIENT, WILL)
    connection.open()
    connection.read(10)
    connection.subscribe([Subscription("in/#", 1)])
    connection.flush()
    return connection


def _fits(subscription: Subscription, topic: str) -> bool:
    wanted, levels = subscription.filter.split("/"), topic.split("/")
    if wanted[-1] == "#":
        wanted, levels = wanted[:-1], levels[: len(wanted) - 1]
    return len(wanted) == len(levels) and all(
        one in ("+", level) for one, level in zip(wanted, levels, strict=True)
    )
