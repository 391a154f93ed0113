"""paho's client as the agent drives it: it connects, subscribes and reads what it is fed.

It runs no thread and reads no socket: `agent.mqtt.connection` owns both.
"""

import ssl
from collections.abc import Sequence
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from agent.config.settings import ConnectionSettings
from agent.mqtt.subscription import Subscription
from serving.mqtt import credentials
from serving.mqtt.errors import BrokerError, reason_of

_SEND_RETAINED, _SEND_IF_NEW, _NEVER_RETAINED = 0, 1, 2  # MQTT 5, 3.8.3.1: Retain Handling


class PahoClient(Client):
    """paho's client, which reads from a buffer instead of from the socket.

    Args:
        version: protocol version, by the number that CONNECT carries for it.
        client_id: MQTT client id.
        is_clean: whether the broker ends a session that it has of this client, and begins another.

    Attributes:
        fed: bytes of whole packets that paho has yet to read.
        ended: whether the other side is gone; paho then reads the end of the stream.
    """

    def __init__(self, version: int, client_id: str, *, is_clean: bool = False) -> None:
        is_mqtt_5 = version == MQTTProtocolVersion.MQTTv5
        super().__init__(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=MQTTProtocolVersion(version),
            reconnect_on_failure=False,  # `agent.mqtt.reconnect` connects again
            manual_ack=True,  # `agent.delivery` says when to acknowledge
            # MQTT 3.1.1 has clean_session, MQTT 5 has clean_start, which `connect_to` passes on.
            clean_session=None if is_mqtt_5 else is_clean,
        )
        self.fed = bytearray()
        self.ended = False
        self._is_mqtt_5, self._is_clean = is_mqtt_5, is_clean
        self._has_death = False
        self.max_inflight_messages_set(0)  # delivery bounds what is in flight, not paho
        # With this callback paho leaves writing to `Connection.flush`; without it, it sends packet
        # by packet.
        self.on_socket_register_write = _write_later

    def connect_to(self, broker: ConnectionSettings) -> None:
        """Connect, and send CONNECT. It blocks (DNS, TCP, TLS).

        Raises:
            BrokerError: credentials cannot be read, the address cannot be resolved or reached, or
                TLS fails.
        """
        where = f"{broker.host}:{broker.port}"
        arguments: dict[str, Any] = {}
        if self._is_mqtt_5:
            # Without Clean Start the session goes on, with what the broker stored meanwhile (MQTT
            # 5, 3.1.2.4).
            arguments = {"clean_start": self._is_clean, "properties": _connect_properties(broker)}
        self.connect_timeout = broker.connect_timeout_s
        try:
            self._authenticate(broker)
        except (OSError, ValueError) as exc:
            reason = reason_of(exc)
            raise BrokerError(f"the credentials for {where} cannot be used: {reason}") from exc
        try:
            self.connect(broker.host, broker.port, broker.keepalive_s, **arguments)
        except ssl.SSLError as exc:
            raise BrokerError(f"TLS with {where} fails: {reason_of(exc)}") from exc
        except (OSError, ValueError) as exc:
            raise BrokerError(f"{where} cannot be reached: {reason_of(exc)}") from exc

    def subscribe_to(self, subscriptions: Sequence[Subscription]) -> int | None:
        """Queue SUBSCRIBE; returns its packet id, None without a connection."""
        if self._is_mqtt_5:
            wanted: list[tuple[str, Any]] = [(one.filter, _options(one)) for one in subscriptions]
        else:
            wanted = [(one.filter, one.qos) for one in subscriptions]
        _, packet_id = self.subscribe(wanted)
        return packet_id

    def promise(self, topic: str, payload: bytes, *, is_death: bool) -> None:
        """Set the will; see `agent.mqtt.connection.Will`."""
        self._has_death = is_death
        self.will_set(topic, payload, qos=1, retain=not is_death)

    def leave(self, *, forget_session: bool) -> None:
        """Queue DISCONNECT; only MQTT 5 can ask the broker to end the session too."""
        properties = reason = None
        if self._has_death and self._is_mqtt_5:
            reason = ReasonCode(PacketTypes.DISCONNECT, "Disconnect with will message")
        if forget_session and self._is_mqtt_5:
            properties = Properties(PacketTypes.DISCONNECT)  # type: ignore[no-untyped-call]  # paho
            properties.SessionExpiryInterval = 0
        self.disconnect(reason, properties)

    def _sock_recv(self, bufsize: int) -> bytes:
        """Override the only private method of paho that is needed; a test guards its name."""
        if not self.fed and not self.ended:
            raise BlockingIOError
        content = bytes(self.fed[:bufsize])
        del self.fed[:bufsize]
        return content

    def _authenticate(self, broker: ConnectionSettings) -> None:
        if broker.username:
            self.username_pw_set(broker.username, credentials.password(broker))
        if broker.uses_tls:
            self.tls_set_context(credentials.tls_context(broker))


def _connect_properties(broker: ConnectionSettings) -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho
    properties.SessionExpiryInterval = broker.session_expiry_s
    properties.ReceiveMaximum = broker.receive_maximum
    properties.MaximumPacketSize = broker.max_packet_bytes
    return properties


def _options(asked: Subscription) -> SubscribeOptions:
    return SubscribeOptions(
        qos=asked.qos,
        noLocal=not asked.own,  # MQTT 5, 3.8.3.1
        retainAsPublished=False,
        retainHandling=_retain_handling(asked),
    )


def _retain_handling(asked: Subscription) -> int:
    if not asked.state:
        return _NEVER_RETAINED
    return _SEND_IF_NEW if asked.is_asked_again else _SEND_RETAINED


def _write_later(_client: Client, _userdata: object, _socket: object) -> None:
    """Do nothing: `Connection.flush` writes at the end of the turn."""
