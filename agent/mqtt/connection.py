"""The one place that knows paho: one MQTT connection, driven from outside.

A `Connection` lives as long as its socket. The next one is a new object, so nothing of a lost
connection (packet ids, half packets, queues) can leak into it; what must outlive it is in
`agent.delivery.at_least_once`. paho runs no thread here: the reactor calls `read`, `flush` and
`tick`, and the callbacks only append to lists. They never raise, block or log.

PUBLISH and PUBACK, the packets that make up the stream, are read and written in blocks by
`agent.mqtt.transport`. CONNECT, authentication, TLS, will, SUBSCRIBE and keep-alive are paho's,
which is fed with all other packets as they come.
"""

import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import time_ns
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from agent.config.settings import Broker
from agent.mqtt.errors import BrokerError
from agent.mqtt.packets import Block, MalformedError, Publish, Received
from agent.mqtt.transport import Transport

UNSUPPORTED_PROTOCOL = 0x84
_NO_PACKET_LIMIT = 268_435_460  # MQTT 5, 2.1.4: the largest packet there can be
_RECEIVE_MAXIMUM = 65_535  # MQTT 5, 3.2.2.3.3: where the broker names none
_MAX_PACKET_BYTES = 80 << 20  # above the largest payload that the settings allow
_SEND_RETAINED, _NEVER_RETAINED = 0, 2  # MQTT 5, 3.8.3.1: retain handling


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker says in our name when we are gone."""

    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Subscription:
    """A topic filter; `state` filters want the retained message too, live ones never do."""

    filter: str
    qos: int
    state: bool = False


class _Client(Client):
    """paho without its own reading: it is fed with the packets that are not ours.

    Attributes:
        fed: whole packets for paho to read.
        ended: whether the other side is gone, which paho reads as the end of the stream.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401  paho's own
        super().__init__(*arguments, **named)
        self.fed = bytearray()
        self.ended = False

    def _sock_recv(self, bufsize: int) -> bytes:
        """Overrides the one private part of paho that is needed; a test holds it to its name."""
        if not self.fed and not self.ended:
            raise BlockingIOError
        content = bytes(self.fed[:bufsize])
        del self.fed[:bufsize]
        return content


class Connection:
    """One connection to the broker, from `open` until `lost` says why it ended.

    Args:
        broker: where and how.
        client_id: fixed, so that the broker finds our session again.
        will: published by the broker if we vanish.
        version: 5, or 4 for MQTT 3.1.1.

    Attributes:
        received: messages that arrived; whoever handles them clears the list.
        confirmed: packet id and reason code of every PUBACK; likewise cleared by its reader.
        accepted: whether the broker let us in.
        session_present: whether it still had our session then.
        refused_with: reason code of a refused CONNECT, else None.
        refused_filters: topic filters that the broker did not grant.
        subscribing: topic filters asked for and not answered yet, by packet id.
        lost: why the connection ended; empty while it lives.
        max_in_flight: the broker's Receive Maximum.
        max_packet_bytes: the broker's Maximum Packet Size.
    """

    def __init__(self, broker: Broker, client_id: str, will: Will, version: int) -> None:
        self.version = version
        self.received: list[Received] = []
        self.confirmed: list[tuple[int, int]] = []
        self.accepted = False
        self.session_present = False
        self.refused_with: int | None = None
        self.refused_filters: list[str] = []
        self.lost = ""
        self.max_in_flight = _RECEIVE_MAXIMUM
        self.max_packet_bytes = _NO_PACKET_LIMIT
        self._broker = broker
        self.subscribing: dict[int, list[str]] = {}
        self._transport = Transport(version, _MAX_PACKET_BYTES)
        self._is_mid_packet = False
        self._socket: socket.socket | None = None
        self._client = self._build(client_id, will)

    def open(self) -> None:
        """Connect and send CONNECT; blocks, so it is called off the hot thread.

        Raises:
            BrokerError: no address, no connection, no TLS, or no readable credentials.
        """
        broker = self._broker
        where = f"{broker.host}:{broker.port}"
        arguments: dict[str, Any] = {}
        if self.version == MQTTProtocolVersion.MQTTv5:
            arguments = {"clean_start": False, "properties": self._connect_properties()}
        try:
            self._authenticate()
        except (OSError, ValueError) as exc:
            raise BrokerError(f"the credentials for {where} cannot be used: {_why(exc)}") from exc
        try:
            self._client.connect(broker.host, broker.port, broker.keepalive_s, **arguments)
        except ssl.SSLError as exc:
            raise BrokerError(f"TLS with {where} fails: {_why(exc)}") from exc
        except (OSError, ValueError) as exc:
            raise BrokerError(f"{where} cannot be reached: {_why(exc)}") from exc

    def fileno(self) -> int | None:
        """The descriptor to wait on, None when there is no socket."""
        return self._socket.fileno() if self._socket is not None else None

    @property
    def has_unread(self) -> bool:
        """Whether something is here already that waiting on the socket will not announce."""
        found = self._socket
        return self._transport.has_packets or (
            isinstance(found, ssl.SSLSocket) and found.pending() > 0
        )

    def read(self, limit: int, clock: Callable[[], int] = time_ns) -> None:
        """Take in what has arrived, at most `limit` messages; the rest is there the next time."""
        if self._socket is None:
            return
        try:
            block = self._transport.receive(self._socket, limit, clock)
        except MalformedError as exc:
            self.lost = f"the broker sends {exc}"
            block = Block()
            self._transport.ended = True
        received, confirmations, others = block
        self.received += received
        self.confirmed += confirmations
        if others or self._transport.ended:
            self._client.fed += others
            self._pass_on()

    @property
    def wants_write(self) -> bool:
        """Whether something waits to be sent."""
        return self._transport.has_unsent or self._client.want_write()

    def flush(self) -> None:
        """Send as much as the socket takes, never one packet inside another."""
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
        """Keep the connection alive; to be called at least once a second."""
        self._client.loop_misc()

    def subscribe(self, subscriptions: Sequence[Subscription]) -> None:
        """Ask for topics; what is not granted appears in `refused_filters`."""
        if self.version == MQTTProtocolVersion.MQTTv5:
            wanted: list[tuple[str, Any]] = [
                (
                    one.filter,
                    SubscribeOptions(
                        qos=one.qos,
                        noLocal=True,
                        retainAsPublished=False,
                        retainHandling=_SEND_RETAINED if one.state else _NEVER_RETAINED,
                    ),
                )
                for one in subscriptions
            ]
        else:
            wanted = [(one.filter, one.qos) for one in subscriptions]
        _, packet_id = self._client.subscribe(wanted)
        if packet_id is not None:
            self.subscribing[packet_id] = [one.filter for one in subscriptions]

    def unsubscribe(self, filters: Sequence[str]) -> None:
        """Drop filters that the session on the broker still has."""
        self._client.unsubscribe(list(filters))

    def publish(self, message: Publish) -> None:
        """Queue one PUBLISH, with a packet id of ours; `flush` sends it."""
        self._transport.publish(message)

    def acknowledge(self, packet_id: int) -> None:
        """Queue the PUBACK of a QoS 1 message."""
        self._transport.acknowledge(packet_id)

    def close(self, *, forget_session: bool = False) -> None:
        """Say goodbye, so that the will is not sent; MQTT 5 can end the session with it."""
        properties = None
        if forget_session and self.version == MQTTProtocolVersion.MQTTv5:
            properties = Properties(PacketTypes.DISCONNECT)  # type: ignore[no-untyped-call]  # paho
            properties.SessionExpiryInterval = 0
        self.flush()
        self._client.disconnect(properties=properties)
        self.flush()

    def _pass_on(self) -> None:
        """Let paho handle its own packets, and the end of the connection."""
        self._client.ended = self._transport.ended
        while (self._client.fed or self._client.ended) and self._socket is not None:
            self._client.loop_read()

    def _build(self, client_id: str, will: Will) -> "_Client":
        # clean_session is 3.1.1's word; with 5 it is clean_start, given to connect.
        clean = None if self.version == MQTTProtocolVersion.MQTTv5 else False
        client = _Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=MQTTProtocolVersion(self.version),
            reconnect_on_failure=False,
            manual_ack=True,
            clean_session=clean,
        )
        client.connect_timeout = self._broker.connect_timeout_s
        client.max_inflight_messages_set(0)  # the window is delivery's
        client.will_set(will.topic, will.payload, qos=1, retain=True)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_socket_open = self._on_socket_open
        client.on_socket_close = self._on_socket_close
        # Set, so that paho leaves writing to `flush` instead of one send a packet.
        client.on_socket_register_write = _write_later
        return client

    def _authenticate(self) -> None:
        broker = self._broker
        if broker.username:
            secret = broker.password_file.read_text().strip() if broker.password_file else None
            self._client.username_pw_set(broker.username, secret)
        if broker.uses_tls:
            context = ssl.create_default_context(cafile=broker.ca_file)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            if broker.cert_file:
                # Without a password here OpenSSL asks for that of an encrypted key, and waits.
                context.load_cert_chain(broker.cert_file, broker.key_file, password="")
            self._client.tls_set_context(context)

    def _connect_properties(self) -> Properties:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho
        properties.SessionExpiryInterval = self._broker.session_expiry_s
        properties.ReceiveMaximum = self._broker.receive_maximum
        return properties

    def _on_socket_open(self, _client: Client, _userdata: object, opened: Any) -> None:  # noqa: ANN401  paho's own union of sockets
        # Send small packets at once: Nagle's algorithm costs 20 ms a message (mosquitto#433).
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = opened

    def _on_socket_close(self, _client: Client, _userdata: object, _socket: object) -> None:
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

    def _on_disconnect(
        self,
        _client: Client,
        _userdata: object,
        flags: DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        # Without a word from the broker paho calls the reason unspecified.
        is_cut = self._client.ended and not flags.is_disconnect_packet_from_server
        told = "closed by the other side" if is_cut else reason
        self.lost = self.lost or f"connection lost: {told}"

    def _on_subscribe(
        self,
        _client: Client,
        _userdata: object,
        packet_id: int,
        reasons: list[ReasonCode],
        _properties: Properties | None,
    ) -> None:
        filters = self.subscribing.pop(packet_id, [])
        answers = dict(zip(filters, reasons, strict=False))
        self.refused_filters = [
            *(one for one in self.refused_filters if one not in answers),
            *(one for one, reason in answers.items() if reason.is_failure),
        ]


def _why(error: OSError | ValueError) -> str:
    """The cause in words, with the file if it is about one; without the numbers around it."""
    if isinstance(error, ssl.SSLError):
        return getattr(error, "verify_message", "") or error.reason or str(error)
    file = getattr(error, "filename", None)
    reason = getattr(error, "strerror", None) or str(error)
    return f"{file}: {reason}" if file else reason


def _write_later(_client: Client, _userdata: object, _socket: object) -> None:
    """Leave the write to the end of the turn."""
