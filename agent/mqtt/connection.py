"""One MQTT connection, over paho-mqtt, which only this file of the agent imports.

A `Connection` lives as long as its socket. The next connection is a new object, so that packet ids,
half-read packets and queues of a lost one cannot reach it (ADR 7); what must outlive it is kept by
`agent.delivery.at_least_once`. paho runs no thread here: the reactor calls `read`, `flush` and
`tick` on the hot thread. paho's callbacks only set attributes: they never raise, block or log.

PUBLISH and PUBACK are read and written in blocks by `agent.mqtt.transport` (ADR 8). CONNECT,
authentication, TLS, will, SUBSCRIBE and keep-alive are left to paho, which gets all other packets.
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
from agent.mqtt.errors import BrokerError, reason_of
from agent.mqtt.packets import Block, MalformedError, Publish, Received
from agent.mqtt.subscription import Subscription
from agent.mqtt.transport import Transport

UNSUPPORTED_PROTOCOL = 0x84
"""Reason code of CONNACK: unsupported protocol version (MQTT 5, 3.2.2.2)."""
_NO_PACKET_LIMIT = 268_435_460  # MQTT 5, 2.1.4: the largest packet that can be encoded
_RECEIVE_MAXIMUM = 65_535  # MQTT 5, 3.2.2.3.3: what holds where the broker sends none
_MAX_PACKET_BYTES = 80 << 20  # above the largest payload that the settings allow
_SEND_RETAINED, _NEVER_RETAINED = 0, 2  # MQTT 5, 3.8.3.1: Retain Handling


@dataclass(frozen=True, slots=True)
class Will:
    """The message that the broker publishes, at QoS 1 and retained, if the connection breaks.

    Attributes:
        topic: topic name.
        payload: content of the message.
    """

    topic: str
    payload: bytes


class _Client(Client):
    """paho's client, which reads from a buffer instead of from the socket.

    Attributes:
        fed: bytes of whole packets that paho has yet to read.
        ended: whether the other side is gone; paho then reads the end of the stream.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401  paho's own
        super().__init__(*arguments, **named)
        self.fed = bytearray()
        self.ended = False

    def _sock_recv(self, bufsize: int) -> bytes:
        """Override the only private method of paho that is needed; a test guards its name."""
        if not self.fed and not self.ended:
            raise BlockingIOError
        content = bytes(self.fed[:bufsize])
        del self.fed[:bufsize]
        return content


class Connection:
    """One connection to the broker, from `open` until `lost` says why it ended.

    `open` blocks and belongs on a worker. After it only the hot thread uses the object, no method
    blocks, and a broken connection is not raised: it sets `lost`.

    Args:
        broker: address, credentials and limits of the connection.
        client_id: MQTT client id, the same at each connection: the session is found by it.
        will: message that the broker publishes if the connection breaks.
        version: `MQTT_5` or `MQTT_3_1_1` of `agent.mqtt.packets`.

    Attributes:
        received: messages that have arrived; the caller clears the list once it has handled them.
        confirmed: packet id and reason code of each PUBACK; the caller clears the list likewise.
        accepted: whether the broker has accepted the connection.
        session_present: whether the broker still had the session then (MQTT 5, 3.2.2.1.1).
        refused_with: reason code of a CONNACK that refuses the connection, else None.
        refused_filters: topic filters that the broker did not grant.
        subscribing: topic filters of each SUBSCRIBE without an answer yet, by its packet id.
        lost: why the connection ended, in words; empty while it lasts.
        max_in_flight: unconfirmed publishes that the broker accepts, its Receive Maximum.
        max_packet_bytes: bytes of the longest packet that the broker accepts.
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
        """Connect, and send CONNECT. It blocks (DNS, TCP, TLS): not for the hot thread.

        Raises:
            BrokerError: credentials cannot be read, the address cannot be resolved or reached, or
                TLS fails. The object is of no more use; try again with a new one.
        """
        broker = self._broker
        where = f"{broker.host}:{broker.port}"
        arguments: dict[str, Any] = {}
        if self.version == MQTTProtocolVersion.MQTTv5:
            # The session goes on, with what the broker stored meanwhile (MQTT 5, 3.1.2.4).
            arguments = {"clean_start": False, "properties": self._connect_properties()}
        try:
            self._authenticate()
        except (OSError, ValueError) as exc:
            reason = reason_of(exc)
            raise BrokerError(f"the credentials for {where} cannot be used: {reason}") from exc
        try:
            self._client.connect(broker.host, broker.port, broker.keepalive_s, **arguments)
        except ssl.SSLError as exc:
            raise BrokerError(f"TLS with {where} fails: {reason_of(exc)}") from exc
        except (OSError, ValueError) as exc:
            raise BrokerError(f"{where} cannot be reached: {reason_of(exc)}") from exc

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
        received, confirmations, others = block
        self.received += received
        self.confirmed += confirmations
        if others or self._transport.ended:
            self._client.fed += others
            self._pass_on()

    @property
    def wants_write(self) -> bool:
        """Whether packets wait to be sent."""
        return self._transport.has_unsent or self._client.want_write()

    def flush(self) -> None:
        """Send as much as the socket takes."""
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
        """Send PINGREQ and notice a broker that is silent; call it at least once a second."""
        self._client.loop_misc()

    def subscribe(self, subscriptions: Sequence[Subscription]) -> None:
        """Send SUBSCRIBE; filters that the broker does not grant appear in `refused_filters`."""
        if self.version == MQTTProtocolVersion.MQTTv5:
            wanted: list[tuple[str, Any]] = [
                (
                    asked.filter,
                    SubscribeOptions(
                        qos=asked.qos,
                        noLocal=not asked.own,  # MQTT 5, 3.8.3.1: our publishes do not come back
                        retainAsPublished=False,
                        retainHandling=_SEND_RETAINED if asked.state else _NEVER_RETAINED,
                    ),
                )
                for asked in subscriptions
            ]
        else:
            wanted = [(asked.filter, asked.qos) for asked in subscriptions]
        _, packet_id = self._client.subscribe(wanted)
        if packet_id is not None:
            self.subscribing[packet_id] = [asked.filter for asked in subscriptions]

    def unsubscribe(self, filters: Sequence[str]) -> None:
        """Send UNSUBSCRIBE for filters that the session on the broker still has."""
        self._client.unsubscribe(list(filters))

    def publish(self, message: Publish) -> None:
        """Queue one PUBLISH, at QoS 1 with a packet id of the upper half; `flush` sends it."""
        self._transport.publish(message)

    def acknowledge(self, packet_id: int) -> None:
        """Queue the PUBACK of a message at QoS 1; `flush` sends it."""
        self._transport.acknowledge(packet_id)

    def close(self, *, forget_session: bool = False) -> None:
        """Send DISCONNECT, so that the broker discards the will (MQTT 5, 3.14).

        With `forget_session` the broker ends the session too, which only MQTT 5 can ask for.
        """
        properties = None
        if forget_session and self.version == MQTTProtocolVersion.MQTTv5:
            properties = Properties(PacketTypes.DISCONNECT)  # type: ignore[no-untyped-call]  # paho
            properties.SessionExpiryInterval = 0
        self.flush()
        self._client.disconnect(properties=properties)
        self.flush()

    def _pass_on(self) -> None:
        """Have paho handle its own packets, or the end of the connection."""
        self._client.ended = self._transport.ended
        while (self._client.fed or self._client.ended) and self._socket is not None:
            self._client.loop_read()

    def _build(self, client_id: str, will: Will) -> "_Client":
        # MQTT 3.1.1 has clean_session, MQTT 5 has clean_start instead, which `open` passes on.
        is_5 = self.version == MQTTProtocolVersion.MQTTv5
        clean = None if is_5 else self._broker.session_expiry_s == 0
        client = _Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=MQTTProtocolVersion(self.version),
            reconnect_on_failure=False,  # `agent.mqtt.reconnect` connects again
            manual_ack=True,  # `agent.delivery` says when to acknowledge
            clean_session=clean,
        )
        client.connect_timeout = self._broker.connect_timeout_s
        client.max_inflight_messages_set(0)  # delivery bounds what is in flight, not paho
        client.will_set(will.topic, will.payload, qos=1, retain=True)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_socket_open = self._on_socket_open
        client.on_socket_close = self._on_socket_close
        # With this callback paho leaves writing to `flush`; without it, it sends packet by packet.
        client.on_socket_register_write = _write_later
        return client

    def _authenticate(self) -> None:
        broker = self._broker
        if broker.username:
            secret = broker.password_file.read_text().strip() if broker.password_file else None
            self._client.username_pw_set(broker.username, secret)
        if broker.uses_tls:
            context = ssl.create_default_context(cafile=broker.ca_file)
            context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 8996
            if broker.cert_file:
                # Without a password OpenSSL asks the terminal for that of an encrypted key.
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

    def _on_disconnect(
        self,
        _client: Client,
        _userdata: object,
        flags: DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        # Without a DISCONNECT from the broker paho's reason is "Unspecified error".
        is_unknown = self._client.ended or reason == "Unspecified error"
        is_cut = is_unknown and not flags.is_disconnect_packet_from_server
        cause = self._transport.cause if is_cut else reason
        self.lost = self.lost or f"connection lost: {cause}"

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
            *(known for known in self.refused_filters if known not in answers),
            *(asked for asked, reason in answers.items() if reason.is_failure),
        ]


def _write_later(_client: Client, _userdata: object, _socket: object) -> None:
    """Do nothing: `flush` writes at the end of the turn."""
