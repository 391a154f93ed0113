"""A broker and a connection to it without a socket, with the interface of `Connection`.

The broker does what the agent relies on. A test can also make it do what a real broker does rarely:
lose a connection or a session, crash and go on from an older state, refuse a topic, hold its
confirmations back, or read nothing.
"""

from collections import deque
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from time import time_ns
from typing import NamedTuple

from agent.mqtt.connection import Will
from agent.mqtt.subscription import Subscription
from serving.mqtt.packets import Publish, Received

MQTT_5 = 5
NOT_AUTHORISED, QUOTA_EXCEEDED, PAYLOAD_INVALID = 0x87, 0x97, 0x99
CLIENT = "gw"
WILL = Will("gw/status", b"offline")
IN_FLIGHT_3_1_1 = 20


class Published(NamedTuple):
    """A message that the broker has accepted from a client."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False


@dataclass
class _Session:
    """The session of a client, which the broker keeps while the client is not connected."""

    subscriptions: dict[str, Subscription] = field(default_factory=dict)
    queue: deque[Published] = field(default_factory=deque)
    in_flight: dict[int, Published] = field(default_factory=dict)
    unconfirmed: dict[int, Published] = field(default_factory=dict)
    last_packet_id: int = 0


class FakeBroker:
    """Sessions, subscriptions and QoS 1 by client id.

    Attributes:
        published: every message that clients published and the broker accepted, wills included.
        refused: every message that the broker refused, with the reason code.
        confirmed: publishes at QoS 1 whose PUBACK with success has reached the client.
        acknowledged: every message that a client acknowledged, in the order of the
            acknowledgements.
        out_of_order: messages that were acknowledged before an earlier one (MQTT 5, 4.6).
        refusals: reason code of each topic whose publishes are refused (MQTT 5).
        refused_filters: topic filters that are not granted.
        confirms: whether publishes are confirmed now; a PUBACK that waits is lost with a
            connection.
        stalls: whether the broker reads nothing now.
        receive_maximum: most messages at QoS 1 that it sends without an acknowledgement.
        max_packet_bytes: size of the largest packet that it accepts.
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
        """Accept a message from the plant."""
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
        """Lose a connection without DISCONNECT, with all that was on its way, and send the will."""
        connection = self._connections.pop(client_id, None)
        if connection is not None:
            connection.lost = "connection lost: cut"
            self.take(Published(connection.will.topic, connection.will.payload, 1, retain=True))

    def forget_sessions(self) -> None:
        """Restart, and forget all sessions."""
        for client_id in list(self._connections):
            self.cut(client_id)
        self._sessions.clear()
        self._saved.clear()

    def save(self) -> None:
        """Write all sessions to disk."""
        self._saved = deepcopy(self._sessions)
        for session in self._saved.values():
            session.unconfirmed.clear()  # after a crash the publishes come again

    def crash(self) -> None:
        """Go on from the sessions that were saved, as after a kill."""
        for client_id in list(self._connections):
            self.cut(client_id)
        self._sessions = deepcopy(self._saved)

    def subscribed(self, client_id: str) -> bool:
        """Whether a client has a session with a subscription."""
        return client_id in self._sessions and bool(self._sessions[client_id].subscriptions)

    def waiting(self, client_id: str) -> int:
        """The number of messages for a client that are queued, or sent and not acknowledged."""
        session = self._sessions[client_id]
        return len(session.queue) + len(session.in_flight)

    # The methods that a connection calls.

    def accept(self, connection: "FakeConnection") -> None:
        """Accept a client, and send again what it has not acknowledged, in order."""
        self.cut(
            connection.client_id
        )  # a second client with an id replaces the first (MQTT 5, 3.1.4)
        connection.session_present = connection.client_id in self._sessions
        session = self._sessions.setdefault(connection.client_id, _Session())
        self._connections[connection.client_id] = connection
        for packet_id, message in session.in_flight.items():
            connection.arrive(message, packet_id, repeated=True)

    def subscribe(self, connection: "FakeConnection", wanted: Sequence[Subscription]) -> None:
        """Grant topic filters, and send retained messages where the subscription asks for them."""
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
        """Remove topic filters."""
        for one in filters:
            self._sessions[connection.client_id].subscriptions.pop(one, None)

    def take(self, message: Published) -> int:
        """Accept or refuse a publish of a client, and return the reason code."""
        reason_code = self.refusals.get(message.topic, 0)
        if reason_code:
            self.refused.append((message, reason_code))
        else:
            self.published.append(message)
            if message.retain:
                self._retained[message.topic] = message
        return reason_code

    def occupy(self, client_id: str, packet_id: int, message: Published, *, repeated: bool) -> None:
        """Check that no other publish has the packet id before its PUBACK (MQTT 5, 2.2.1)."""
        unconfirmed = self._sessions[client_id].unconfirmed
        assert unconfirmed.get(packet_id, message if repeated else None) == (
            message if repeated else None
        ), f"packet id {packet_id} is in use"
        unconfirmed[packet_id] = message

    def release(self, client_id: str, packet_id: int) -> None:
        """Free a packet id whose PUBACK has reached the client."""
        del self._sessions[client_id].unconfirmed[packet_id]

    def acknowledge(self, connection: "FakeConnection", packet_id: int) -> None:
        """Forget a message that its receiver has acknowledged."""
        in_flight = self._sessions[connection.client_id].in_flight
        is_next = packet_id == next(iter(in_flight))
        message = in_flight.pop(packet_id)
        self.acknowledged.append(message)
        if not is_next:
            self.out_of_order.append(message)

    def send(self, connection: "FakeConnection", limit: int) -> None:
        """Send queued messages, as far as the Receive Maximum allows."""
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
        """End the connection of a client that has sent DISCONNECT, without its will."""
        self._connections.pop(connection.client_id, None)


class FakeConnection:
    """A connection to a FakeBroker, with the members of `agent.mqtt.connection.Connection`."""

    has_unread = False

    def __init__(self, broker: FakeBroker, client_id: str, will: Will, version: int) -> None:
        self.client_id = client_id
        self.will = will
        self.version = version
        self.received: list[Received] = []
        self.confirmed: list[tuple[int, int]] = []
        self.accepted = False
        self.session_present = False
        self.session_expiry_s: int | None = None
        self.refused_with: int | None = None
        self.refused_filters: list[str] = []
        self.granted_less: list[str] = []
        self.ended_with: int | None = None
        self.is_closed = False
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
        """The number of messages that `read` has not returned yet."""
        return len(self._inbound)

    def arrive(self, message: Published, packet_id: int, *, repeated: bool) -> None:
        """Accept a message from the broker."""
        self._inbound.append(
            Received(message.topic, message.payload, packet_id, message.retain, repeated, time_ns())
        )

    def open(self) -> None:
        """Connect; the broker answers at the first `read`."""
        self._broker.accept(self)

    def fileno(self) -> int | None:
        """None, as there is no descriptor to wait on."""
        return None

    def read(self, limit: int) -> None:
        """Receive messages and confirmations that have arrived."""
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
        """Whether packets wait to be sent."""
        return bool(self._outbound)

    def flush(self) -> None:
        """Send queued packets, unless the broker stalls."""
        while self._outbound and not self._broker.stalls and not self.lost:
            self._outbound.popleft()()

    def tick(self) -> None:
        """Do nothing, as there is no keep-alive."""

    def subscribe(self, subscriptions: Sequence[Subscription]) -> None:
        """Queue a subscription."""
        self._outbound.append(lambda: self._broker.subscribe(self, subscriptions))

    def unsubscribe(self, filters: Sequence[str]) -> None:
        """Remove topic filters."""
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
                # A broker of MQTT 3.1.1 confirms what it refuses, as PUBACK has no reason code.
                shown = reason_code if self.version == MQTT_5 else 0
                self._unconfirmed.append((packet_id, shown, message))

        self._outbound.append(send)

    def acknowledge(self, packet_id: int) -> None:
        """Queue the acknowledgement of a QoS 1 message."""
        self._outbound.append(lambda: self._broker.acknowledge(self, packet_id))

    def close(self, *, wait_s: float = 0.0) -> bool:
        """Send DISCONNECT, so that the will is not sent; the broker reads all at once."""
        self._outbound.append(lambda: self._broker.disconnect(self))
        self.flush()
        self.lost = self.lost or "connection lost: closed"
        return wait_s > 0


def connected(broker: FakeBroker) -> FakeConnection:
    """An open connection that has subscribed to `in/#`."""
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
