"""MQTT clients over paho: what a plant, a SCADA system and an operator's console would be.

with PlantClient(broker.port, ["plant/+/+/_inference/#"]) as client:
    client.publish("plant/l1/p1/telemetry", {"ts": 1_700_000_000_000, "c0": 1.0})
    client.wait_for("_inference")
"""

import json
import socket
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from types import TracebackType
from typing import Any, Self

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from models.control.topics import ControlTopics
from tests.kit.broker.brokers import HOST
from tests.kit.errors import KitError
from tests.kit.waiting import eventually

_CONNECT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """How a client introduces itself to the broker.

    Attributes:
        version: version of MQTT in CONNECT: 5, or 4 for 3.1.1.
        client_id: client id; empty lets the broker choose one.
        login: user and password; None connects without.
        ca_file: certificate of the authority in PEM; None speaks plain TCP.
        expiry_s: seconds that the broker keeps the session after a disconnect (MQTT 5); 0: none.
    """

    version: int = 5
    client_id: str = ""
    login: tuple[str, str] | None = None
    ca_file: Path | None = None
    expiry_s: int = 0


ANONYMOUS = Session()


def paho_client(session: Session) -> Client:
    """A client of paho's that is not connected; without a limit of its own on what is in flight."""
    client = Client(
        CallbackAPIVersion.VERSION2,
        protocol=MQTTProtocolVersion(session.version),
        client_id=session.client_id,
    )
    if session.ca_file is not None:
        client.tls_set(str(session.ca_file))
    if session.login is not None:
        client.username_pw_set(*session.login)
    client.max_inflight_messages_set(0)
    client.on_socket_open = _without_delay
    return client


class MqttClient:
    """A client on a thread of paho's, which connects again and subscribes anew after each loss.

    A subclass takes messages in by `take`.

    Args:
        port: port of the broker on the loopback.
        filters: topic filters to subscribe to, at QoS 1.
        session: how the client introduces itself.

    Attributes:
        paho: the client of paho's, for what has no method here.

    Raises:
        KitError: nothing listens at the port, or TLS fails.
    """

    def __init__(
        self, port: int, filters: Iterable[str] = (), session: Session = ANONYMOUS
    ) -> None:
        self._filters = list(filters)
        self._subscribed = Event()
        self.paho = paho_client(session)
        self.paho.on_connect = self._on_connect
        self.paho.on_message = self._on_message
        self.paho.on_subscribe = lambda *_: self._subscribed.set()
        try:
            self.paho.connect(HOST, port, **_kept(session))
        except OSError as exc:
            raise KitError(f"the broker at port {port} cannot be reached: {exc}") from exc

    def __enter__(self) -> Self:
        """Wait until the client is connected and subscribed.

        Raises:
            KitError: the broker confirms no subscription, or refuses the connection.
        """
        self.paho.loop_start()
        ready = self._subscribed.is_set if self._filters else self.paho.is_connected
        try:
            eventually(ready, _CONNECT_S, "the broker to confirm the subscription")
        except KitError:
            self.paho.loop_stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Disconnect and join the thread."""
        self.paho.disconnect()
        self.paho.loop_stop()

    def take(self, topic: str, payload: bytes) -> None:
        """Take one message in, on paho's thread; nothing is done with it unless a subclass does."""

    def publish(
        self,
        topic: str,
        payload: bytes | str | dict[str, Any],
        qos: int = 1,
        *,
        retain: bool = False,
    ) -> None:
        """Publish; at QoS 1 `flush` waits for the broker's confirmation."""
        if isinstance(payload, dict):
            payload = json.dumps(payload)
        self.paho.publish(topic, payload, qos, retain)

    def flush(self, timeout_s: float = 30.0) -> None:
        """Wait until the broker has confirmed everything published at QoS 1."""
        eventually(
            lambda: not self.paho._out_messages,  # noqa: SLF001 - paho has no public count
            timeout_s,
            "the broker to confirm all publishes",
        )

    def _on_connect(self, client: Client, *_: object) -> None:
        if self._filters:
            client.subscribe([(one, 1) for one in self._filters])

    def _on_message(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        self.take(message.topic, bytes(message.payload))


class PlantClient(MqttClient):
    """A client that keeps every message it receives.

    Args:
        port: port of the broker on the loopback.
        filters: topic filters to subscribe to, at QoS 1.
        version: version of MQTT: 5, or 4 for 3.1.1.
        ca_file: certificate of the authority in PEM; None speaks plain TCP.
        login: user and password; None connects without.

    Attributes:
        messages: topic and payload of every message, in the order of arrival.
    """

    def __init__(
        self,
        port: int,
        filters: Iterable[str] = (),
        *,
        version: int = 5,
        ca_file: Path | None = None,
        login: tuple[str, str] | None = None,
    ) -> None:
        self.messages: list[tuple[str, bytes]] = []
        self._by_topic: dict[str, list[bytes]] = {}
        self._decoded: dict[int, dict[str, Any]] = {}
        super().__init__(port, filters, Session(version=version, ca_file=ca_file, login=login))

    def take(self, topic: str, payload: bytes) -> None:
        """Keep one message."""
        self.messages.append((topic, payload))
        self._by_topic.setdefault(topic, []).append(payload)

    def documents(self, topic_part: str) -> list[dict[str, Any]]:
        """Every JSON object that came on a topic which contains `topic_part`."""
        return [
            self._document(number)
            for number, (topic, _) in enumerate(list(self.messages))
            if topic_part in topic
        ]

    def _document(self, number: int) -> dict[str, Any]:
        """One message as a JSON object, decoded once: tests ask for all of them again and again."""
        if number not in self._decoded:
            self._decoded[number] = json.loads(self.messages[number][1])
        return self._decoded[number]

    def wait_for(
        self, topic_part: str, count: int = 1, timeout_s: float = 20.0
    ) -> list[dict[str, Any]]:
        """Wait for `count` such objects, and return all of them."""
        eventually(
            lambda: self.count(topic_part) >= count, timeout_s, f"{count} messages on {topic_part}"
        )
        return self.documents(topic_part)

    def count(self, topic_part: str) -> int:
        """The number of messages on topics that contain `topic_part`; quick also under load."""
        return sum(len(got) for topic, got in list(self._by_topic.items()) if topic_part in topic)

    def latest(self, topic: str) -> dict[str, Any] | None:
        """The newest JSON object on one topic, None if there is none."""
        got = self._by_topic.get(topic)
        latest: dict[str, Any] | None = json.loads(got[-1]) if got else None
        return latest


def push(client: MqttClient, stream: str, seq: int, gateway: str = "gw1") -> str:
    """Select a bundle, as `millhand-trainer push` does, and return the activity's id."""
    activity = uuid.uuid4().hex
    desired = {"activity": activity, "stream": stream, "seq": seq}
    client.publish(ControlTopics(gateway).desired(stream), desired, retain=True)
    return activity


def _kept(session: Session) -> dict[str, Any]:
    """The arguments of paho's `connect` for a session that the broker is to keep."""
    if not session.expiry_s:
        return {}
    expiry = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho
    expiry.SessionExpiryInterval = session.expiry_s
    return {"clean_start": False, "properties": expiry}


def _without_delay(_client: Client, _userdata: object, opened: Any) -> None:  # noqa: ANN401  paho's own union of sockets
    """Turn Nagle's algorithm off: it would hold small messages back for 40 ms."""
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
