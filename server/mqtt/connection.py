"""One MQTT connection, over paho-mqtt, which only this file imports here.

paho runs no thread: the event loop calls `read` and `tick`. As in the agent, PUBLISH is read in
blocks by `serving.mqtt.reader`, many messages from one `recv`, and paho gets all other packets.
"""

import ssl
from collections.abc import Sequence
from time import time_ns
from typing import TYPE_CHECKING, Any, Final

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from serving.mqtt import credentials
from serving.mqtt.errors import BrokerError, reason_of
from serving.mqtt.packets import MQTT_5, PUBACK, MalformedError, Received
from serving.mqtt.reader import Reader
from serving.mqtt.settings import Broker

if TYPE_CHECKING:
    from socket import socket

RECV_BYTES: Final = 1 << 16
TURN_BYTES: Final = 1 << 17
"""Bytes that are read at a time at most, some 300 predictions: then the loop has other work."""
_ALL: Final = 1 << 30
_PACKET_ROOM_BYTES: Final = 2 << 16  # a topic and properties: 64 KiB each (MQTT 5, 1.5.4)
_LATER: Final = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class FedClient(Client):
    """paho's client, which reads from a buffer instead of from the socket.

    Attributes:
        fed: bytes of whole packets that paho has yet to read.
        is_ended: whether the other side is gone; paho then reads the end of the stream.
    """

    def __init__(self, version: int, client_id: str) -> None:
        is_mqtt_5 = version == MQTT_5
        super().__init__(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=MQTTProtocolVersion(version),
            reconnect_on_failure=False,
            # The session ends with the connection: what was missed is not wanted later.
            clean_session=None if is_mqtt_5 else True,
        )
        self.fed = bytearray()
        self.is_ended = False

    def _sock_recv(self, bufsize: int) -> bytes:
        """Override the only private method of paho that is needed."""
        if not self.fed and not self.is_ended:
            raise BlockingIOError
        content = bytes(self.fed[:bufsize])
        del self.fed[:bufsize]
        return content


class Connection:
    """One connection, from `open` until `lost` says why it ended.

    Args:
        broker: address and credentials.
        client_id: MQTT client id.
        version: `MQTT_5` or `MQTT_3_1_1`.
        filters: topic filters to subscribe to, at QoS 0.
        max_payload_bytes: bytes of a payload; longer ones arrive as `Skipped`.

    Attributes:
        is_accepted: whether the broker has accepted the connection.
        is_subscribed: whether it has answered the subscriptions.
        refused_with: reason code of a CONNACK that refuses it, else None.
        refused_filters: topic filters that the broker did not grant.
        lost: why the connection ended, in words; empty while it lasts.
    """

    def __init__(
        self,
        broker: Broker,
        client_id: str,
        version: int,
        filters: Sequence[str],
        max_payload_bytes: int,
    ) -> None:
        self.is_accepted = self.is_subscribed = False
        self.refused_with: int | None = None
        self.refused_filters: list[str] = []
        self.lost = ""
        self._broker, self._version, self._filters = broker, version, filters
        self._max_packet_bytes = max_payload_bytes + _PACKET_ROOM_BYTES
        self._reader = Reader(version, max_payload_bytes + _PACKET_ROOM_BYTES)
        self._socket: socket | None = None
        self._client = FedClient(version, client_id)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_socket_open = self._on_socket_open
        self._client.on_socket_close = self._on_socket_close

    def open(self) -> None:
        """Connect, and send CONNECT. It blocks (DNS, TCP, TLS): not for the event loop.

        Raises:
            BrokerError: credentials cannot be read, the address cannot be resolved or reached, or
                TLS fails. The object is of no more use; try again with a new one.
        """
        broker = self._broker
        where = f"{broker.host}:{broker.port}"
        self._client.connect_timeout = broker.connect_timeout_s
        try:
            if broker.username:
                self._client.username_pw_set(broker.username, credentials.password(broker))
            if broker.uses_tls:
                self._client.tls_set_context(credentials.tls_context(broker))
        except (OSError, ValueError) as exc:
            reason = reason_of(exc)
            raise BrokerError(f"the credentials for {where} cannot be used: {reason}") from exc
        try:
            self._client.connect(broker.host, broker.port, broker.keepalive_s, **self._asked())
        except ssl.SSLError as exc:
            raise BrokerError(f"TLS with {where} fails: {reason_of(exc)}") from exc
        except (OSError, ValueError) as exc:
            raise BrokerError(f"{where} cannot be reached: {reason_of(exc)}") from exc

    def fileno(self) -> int | None:
        """File descriptor to wait on; None without a socket."""
        return self._socket.fileno() if self._socket is not None else None

    def read(self) -> tuple[Sequence[Received], bool]:
        """The messages that have arrived, and whether there may be more than one turn may take."""
        opened, size, end = self._socket, 0, ""
        if opened is None:
            return (), False
        try:
            # TLS gives one record at a time, and with it as a rule one message.
            while size < TURN_BYTES and not end:
                chunk = opened.recv(RECV_BYTES)
                self._reader.feed(chunk)
                size += len(chunk)
                end = "" if chunk else "closed by the broker"
        except _LATER:
            pass
        except OSError as exc:
            end = reason_of(exc)
        received = self._parsed() if size else ()
        if end:
            self._end(end)
        return received, size >= TURN_BYTES

    def publish(self, topic: str, payload: bytes) -> None:
        """Publish a retained message at QoS 1; one that is lost with the connection stays lost."""
        self._client.publish(topic, payload, qos=1, retain=True)
        self._flush()

    def tick(self) -> None:
        """Send what waits, keep the connection alive, and notice a broker that is silent."""
        self._flush()
        self._client.loop_misc()
        self._flush()

    def close(self) -> None:
        """Send DISCONNECT, as far as the socket takes it at once, and close the socket."""
        self._client.disconnect()
        self._flush()
        if self._socket is not None:
            self._end("closed")

    def _parsed(self) -> Sequence[Received]:
        try:
            block = self._reader.read(_ALL, time_ns())
        except MalformedError as exc:
            self._end(f"the broker sends {exc}")
            return ()
        self._client.fed += block.others
        for packet_id, _ in block.confirmations:
            # Without it paho would have 20 messages in flight at some time, and send no more.
            self._client.fed += bytes((PUBACK, 2)) + packet_id.to_bytes(2, "big")
        if self._client.fed:
            self._pass_on()
        return block.received

    def _asked(self) -> dict[str, Any]:
        """What only MQTT 5 can ask the broker for."""
        if self._version != MQTT_5:
            return {}
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho
        properties.MaximumPacketSize = self._max_packet_bytes
        return {"clean_start": True, "properties": properties}

    def _end(self, reason: str) -> None:
        self.lost = self.lost or f"connection lost: {reason}"
        self._client.is_ended = True
        self._pass_on()

    def _pass_on(self) -> None:
        """Have paho handle its own packets, or the end of the connection."""
        while (self._client.fed or self._client.is_ended) and self._socket is not None:
            self._client.loop_read()
        self._flush()

    def _flush(self) -> None:
        if self._socket is not None and self._client.want_write():
            self._client.loop_write()

    def _on_socket_open(self, _client: Client, _userdata: object, opened: Any) -> None:  # noqa: ANN401  paho's own union of sockets
        self._socket = opened

    def _on_socket_close(self, _client: Client, _userdata: object, _closed: object) -> None:
        self._socket = None

    def _on_connect(
        self,
        client: Client,
        _userdata: object,
        _flags: ConnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            self.refused_with = reason.value
            self.lost = f"the broker refuses the connection: {reason}"
            return
        self.is_accepted = True
        client.subscribe([(one, 0) for one in self._filters])

    def _on_disconnect(
        self,
        _client: Client,
        _userdata: object,
        flags: DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        is_told = flags.is_disconnect_packet_from_server
        cause = str(reason) if is_told or reason != "Unspecified error" else "closed by the broker"
        self.lost = self.lost or f"connection lost: {cause}"

    def _on_subscribe(
        self,
        _client: Client,
        _userdata: object,
        _packet_id: int,
        reasons: list[ReasonCode],
        _properties: Properties | None,
    ) -> None:
        self.is_subscribed = True
        answers = zip(self._filters, reasons, strict=False)
        self.refused_filters = [name for name, reason in answers if reason.is_failure]
