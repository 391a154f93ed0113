"""One MQTT connection, over paho-mqtt, which only this file and `client.py` beside it import.

A `Connection` lives as long as its socket. The next connection is a new object, so that packet ids,
half-read packets and queues of a lost one cannot reach it (ADR 7); what must outlive it is kept by
`agent.delivery.at_least_once`. paho runs no thread here: the reactor calls `read`, `flush` and
`tick` on the hot thread. paho's callbacks only set attributes: they never raise, block or log.

PUBLISH and its acknowledgements are read and written in blocks by `agent.mqtt.transport` (ADR 8).
Keep-alive is the agent's own (`agent.mqtt.keep_alive`), and paho gets all other packets.
"""

import os
import socket
import ssl
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from time import monotonic, time_ns
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from agent.config.settings import ConnectionSettings
from agent.mqtt.client import PahoClient
from agent.mqtt.keep_alive import KeepAlive
from agent.mqtt.session import Session
from agent.mqtt.subscription import Subscription
from agent.mqtt.transport import Transport, is_read_to_the_end, silent_s
from serving.mqtt.packets import Block, MalformedError, Publish, Received

UNSUPPORTED_PROTOCOL = 0x84
"""Reason code of CONNACK: unsupported protocol version (MQTT 5, 3.2.2.2)."""
_NO_PACKET_LIMIT = 268_435_460  # MQTT 5, 2.1.4: the largest packet that can be encoded
TAKEN_OVER = 0x8E
"""Reason code of DISCONNECT: another client has connected with this client id (MQTT 5, 4.13)."""
_RECEIVE_MAXIMUM = 65_535  # MQTT 5, 3.2.2.3.3: what holds where the broker sends none


@dataclass(frozen=True, slots=True)
class Will:
    """The message that the broker publishes, at QoS 1, if the connection breaks.

    Attributes:
        topic: topic name.
        payload: content of the message.
        is_death: whether it is not retained, and published at a DISCONNECT too (MQTT 5 only).
    """

    topic: str
    payload: bytes
    is_death: bool = False


class Connection:
    """One connection to the broker, from `open` until `lost` says why it ended.

    `open` blocks and belongs on a worker. After it only the hot thread uses the object, no method
    blocks but a `close` that is to wait, and a broken connection is not raised: it sets `lost`.

    Args:
        broker: address, credentials and limits of the connection.
        client_id: MQTT client id, the same at each connection: the session is found by it.
        will: message that the broker publishes if the connection breaks.
        version: `MQTT_5` or `MQTT_3_1_1` of `serving.mqtt.packets`.
        session: what is kept of the session over all connections; a new one if omitted.

    Attributes:
        received: messages that have arrived; the caller clears the list once it has handled them.
        confirmed: packet id and reason code of each PUBACK; the caller clears the list likewise.
        accepted: whether the broker has accepted the connection.
        session_present: whether the broker still had the session then (MQTT 5, 3.2.2.1.1).
        session_expiry_s: seconds for which the broker keeps the session, None where it does not say
            so, and then keeps it as long as it was asked to (MQTT 5, 3.2.2.3.2).
        refused_with: reason code of a CONNACK that refuses the connection, else None.
        refused_filters: topic filters that the broker did not grant.
        granted_less: topic filters that the broker granted at a lower QoS than was asked for.
        subscribing: subscriptions of each SUBSCRIBE without an answer yet, by its packet id.
        lost: why the connection ended, in words; empty while it lasts.
        ended_with: reason code of the broker's DISCONNECT (MQTT 5, 3.14.2.1), None without one.
        is_closed: whether the other side has closed the connection without a word.
        max_in_flight: unconfirmed publishes that the broker accepts, its Receive Maximum.
        max_packet_bytes: bytes of the longest packet that the broker accepts.
    """

    def __init__(
        self,
        broker: ConnectionSettings,
        client_id: str,
        will: Will,
        version: int,
        session: Session | None = None,
    ) -> None:
        self.version = version
        self.received: list[Received] = []
        self.confirmed: list[tuple[int, int]] = []
        self.accepted = False
        self.session_present = False
        self.session_expiry_s: int | None = None
        self.refused_with: int | None = None
        self.refused_filters: list[str] = []
        self.granted_less: list[str] = []
        self.lost = ""
        self.ended_with: int | None = None
        self.is_closed = False
        self.max_in_flight = _RECEIVE_MAXIMUM
        self.max_packet_bytes = _NO_PACKET_LIMIT
        self._broker = broker
        self.subscribing: dict[int, Sequence[Subscription]] = {}
        self._session = session or Session()
        self._session.begin_connection()
        self._keep_alive = KeepAlive(broker.keepalive_s)
        self._transport = Transport(version, broker.max_packet_bytes)
        self._is_mid_packet = False
        self._ticked_s = monotonic()
        self._socket: socket.socket | None = None
        self._client = self._build(client_id, will)

    def open(self) -> None:
        """Connect, and send CONNECT. It blocks (DNS, TCP, TLS): not for the hot thread.

        Raises:
            BrokerError: credentials cannot be read, the address cannot be resolved or reached, or
                TLS fails. The object is of no more use; try again with a new one.
        """
        self._client.connect_to(self._broker)

    def fileno(self) -> int | None:
        """File descriptor to wait on; None without a socket."""
        return self._socket.fileno() if self._socket is not None else None

    @property
    def has_unread(self) -> bool:
        """Whether `read` would find something that a wait on the descriptor does not announce."""
        if self._transport.has_packets:
            return True
        # TLS may have decrypted more than was read (SSL_pending(3)).
        return isinstance(self._socket, ssl.SSLSocket) and self._socket.pending() > 0

    def read(self, limit: int, clock: Callable[[], int] = time_ns) -> None:
        """Append to `received` and `confirmed` what has arrived, at most `limit` messages."""
        if self._socket is None:
            return
        try:
            block = self._transport.receive(self._socket, limit, clock)
        except MalformedError as exc:
            self.lost = f"the broker sends {exc}"
            block = Block()
            self._transport.ended = True
        received, confirmations, others, at_qos_2, released = block
        if at_qos_2:
            received = self._without_repeated(received, set(at_qos_2))
        self.received += received
        self.confirmed += confirmations
        for packet_id in released:
            self._session.release(packet_id)
            self._transport.complete(packet_id)
        if others or self._transport.ended:
            self._client.fed += others
            self._pass_on()

    @property
    def wants_write(self) -> bool:
        """Whether packets wait to be sent."""
        return self._transport.has_unsent or self._client.want_write()

    def flush(self) -> None:
        """Send as much as the socket takes."""
        if not self.accepted:
            # An alert of TLS says why the broker ends the connection (RFC 8446, 6), and cannot be
            # read any more once a write has failed.
            self.read(1)
        # paho and the transport write to one socket. Neither begins a packet while the other has
        # sent a part of one, or the broker would read the second packet inside the first.
        if self._is_mid_packet:
            self._client.loop_write()
            self._is_mid_packet = self._client.want_write()
        if self._socket is None or self._is_mid_packet:
            return
        self._transport.send(self._socket)
        if self._client.want_write() and not self._transport.has_unsent:
            self._client.loop_write()
            self._is_mid_packet = self._client.want_write()
        if self._transport.ended:
            self._pass_on()

    def tick(self) -> None:
        """Send PINGREQ and notice a broker that is silent; call it about once a second."""
        now_s = monotonic()
        if self._transport.has_heard or self._transport.has_packets:
            # The answer to a PINGREQ may wait behind packets that are not handled yet.
            self._transport.has_heard = False
            self._keep_alive.has_heard = True
        if isinstance(self._socket, ssl.SSLSocket):
            # A record of TLS is read only when it is whole. It may have 16 KiB, which a slow link
            # takes longer to carry than the keep-alive lasts.
            self._keep_alive.has_heard |= silent_s(self._socket) < now_s - self._ticked_s
        self._ticked_s = now_s
        if self._keep_alive.is_due(now_s):
            self._transport.ping()
        elif self._keep_alive.is_over(now_s):
            self.lost = "connection lost: Keep alive timeout"
            self._transport.ended = True
            self._pass_on()

    def subscribe(self, subscriptions: Sequence[Subscription]) -> None:
        """Send SUBSCRIBE; filters that the broker does not grant appear in `refused_filters`."""
        packet_id = self._client.subscribe_to(subscriptions)
        if packet_id is not None:
            self.subscribing[packet_id] = subscriptions

    def unsubscribe(self, filters: Sequence[str]) -> None:
        """Send UNSUBSCRIBE for filters that the session on the broker still has."""
        self._client.unsubscribe(list(filters))

    def publish(self, message: Publish) -> None:
        """Queue one PUBLISH, at QoS 1 with a packet id of the upper half; `flush` sends it."""
        self._transport.publish(message)

    def acknowledge(self, packet_id: int) -> None:
        """Queue the PUBACK of a message at QoS 1, the PUBREC of one at QoS 2; `flush` sends it."""
        if self._session.receive(packet_id):
            self._transport.receive_at_qos_2(packet_id)
        else:
            self._transport.acknowledge(packet_id)

    def close(self, *, forget_session: bool = False, wait_s: float = 0.0) -> bool:
        """Send DISCONNECT, so that the broker discards the will (MQTT 5, 3.14).

        Args:
            forget_session: whether the broker ends the session too, which only MQTT 5 can ask for.
            wait_s: seconds to wait for the broker to read what was sent; it blocks so long.

        Returns:
            Whether the broker is known to have read every acknowledgement.
        """
        self.flush()
        if self._socket is None:
            return False
        with socket.socket(fileno=os.dup(self._socket.fileno())) as copy:
            self._client.leave(forget_session=forget_session)
            self.flush()
            return wait_s > 0 and not self.wants_write and is_read_to_the_end(copy, wait_s)

    def _without_repeated(
        self, received: Sequence[Received], at_qos_2: Collection[int]
    ) -> list[Received]:
        """Answer messages at QoS 2 whose PUBREC was sent before, and return all others."""
        new = []
        for message in received:
            if message.packet_id not in at_qos_2 or self._session.is_new(message):
                new.append(message)
            else:
                self._transport.receive_at_qos_2(message.packet_id)
        return new

    def _pass_on(self) -> None:
        """Have paho handle its own packets, or the end of the connection."""
        self._client.ended = self._transport.ended
        while (self._client.fed or self._client.ended) and self._socket is not None:
            self._client.loop_read()

    def _build(self, client_id: str, will: Will) -> PahoClient:
        # Without an expiry no session is left to be taken up, which 3.1.1 can say only like this.
        is_clean = self._session.begins_clean or not self._broker.session_expiry_s
        client = PahoClient(self.version, client_id, is_clean=is_clean)
        client.promise(will.topic, will.payload, is_death=will.is_death)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_socket_open = self._on_socket_open
        client.on_socket_close = self._on_socket_close
        return client

    def _on_socket_open(self, _client: Client, _userdata: object, opened: Any) -> None:  # noqa: ANN401  paho's own union of sockets
        # Send small packets at once: Nagle's algorithm costs 20 ms a message (mosquitto#433).
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = opened

    def _on_socket_close(self, _client: Client, _userdata: object, closed: Any) -> None:  # noqa: ANN401  as above
        self._transport.find_cause(closed)
        self._socket = None

    def _on_connect(
        self,
        _client: Client,
        _userdata: object,
        flags: ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            self.refused_with = reason.value
            self.lost = f"the broker refuses the connection: {reason}"
            return
        self.accepted = True
        self.session_present = flags.session_present
        self.max_in_flight = getattr(properties, "ReceiveMaximum", self.max_in_flight)
        self.max_packet_bytes = getattr(properties, "MaximumPacketSize", self.max_packet_bytes)
        self.session_expiry_s = getattr(properties, "SessionExpiryInterval", None)
        keep_alive = self._keep_alive
        keep_alive.interval_s = getattr(properties, "ServerKeepAlive", keep_alive.interval_s)
        if not self.session_present:
            self._session.forgotten()

    def _on_disconnect(
        self,
        _client: Client,
        _userdata: object,
        flags: DisconnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        # Without a DISCONNECT from the broker paho's reason is "Unspecified error".
        is_told = flags.is_disconnect_packet_from_server
        self.is_closed = self._client.ended and not is_told
        self.ended_with = reason.value if is_told else None
        is_unknown = self._client.ended or reason == "Unspecified error"
        cause = self._transport.cause if is_unknown and not is_told else str(reason)
        # Where to go instead, or more about the reason (MQTT 5, 3.14.2.2).
        for name in ("ServerReference", "ReasonString"):
            if text := getattr(properties, name, ""):
                cause += f", {name} '{text}'"
        self.lost = self.lost or f"connection lost: {cause}"

    def _on_subscribe(
        self,
        _client: Client,
        _userdata: object,
        packet_id: int,
        reasons: list[ReasonCode],
        _properties: Properties | None,
    ) -> None:
        asked = self.subscribing.pop(packet_id, ())
        answers = {
            one.filter: (one.qos, reason) for one, reason in zip(asked, reasons, strict=False)
        }

        def updated(known: Sequence[str], new: Iterable[str]) -> list[str]:
            return [*(name for name in known if name not in answers), *new]

        self.refused_filters = updated(
            self.refused_filters,
            (name for name, (_, reason) in answers.items() if reason.is_failure),
        )
        self.granted_less = updated(
            self.granted_less,
            (name for name, (qos, reason) in answers.items() if reason.value < qos),
        )
