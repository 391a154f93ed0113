"""A plain MQTT client for tests: what a plant and a SCADA system would be."""

import json
import threading
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from tests.kit.waiting import eventually


class PlantClient:
    """Publishes readings and records everything under the filters it was given.

    Attributes:
        messages: topic and payload of all that came, in order.
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
        self._filters = list(filters)
        self._subscribed = threading.Event()
        self._unconfirmed: set[int] = set()
        self._lock = threading.Lock()
        self._client = Client(
            CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion(version), client_id=""
        )
        if ca_file is not None:
            self._client.tls_set(str(ca_file))
        if login is not None:
            self._client.username_pw_set(*login)
        self._client.max_inflight_messages_set(0)
        self._client.on_connect = self._on_connect
        self._client.on_message = self._on_message
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.connect("127.0.0.1", port)

    def __enter__(self) -> Self:
        """Connect and subscribe."""
        self._client.loop_start()
        if self._filters:
            assert self._subscribed.wait(10), "not subscribed within 10 s"
        else:
            eventually(self._client.is_connected)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Disconnect and join the thread."""
        self._client.disconnect()
        self._client.loop_stop()

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
        self._client.publish(topic, payload, qos, retain)

    def flush(self, timeout_s: float = 30.0) -> None:
        """Wait until the broker has confirmed everything published at QoS 1."""
        eventually(
            lambda: not self._client._out_messages,  # noqa: SLF001 - paho has no public count
            timeout_s,
            "the broker to confirm all publishes",
        )

    def documents(self, topic_part: str) -> list[dict[str, Any]]:
        """Every JSON object that came on a topic which contains `topic_part`."""
        return [
            json.loads(payload) for topic, payload in list(self.messages) if topic_part in topic
        ]

    def wait_for(
        self, topic_part: str, count: int = 1, timeout_s: float = 20.0
    ) -> list[dict[str, Any]]:
        """Wait for `count` such objects."""
        eventually(
            lambda: self.count(topic_part) >= count, timeout_s, f"{count} messages on {topic_part}"
        )
        return self.documents(topic_part)

    def count(self, topic_part: str) -> int:
        """How many messages came on topics that contain `topic_part`; cheap, also under load."""
        return sum(len(got) for topic, got in list(self._by_topic.items()) if topic_part in topic)

    def latest(self, topic: str) -> dict[str, Any] | None:
        """The newest JSON object on one topic, None if there is none."""
        got = self._by_topic.get(topic)
        latest: dict[str, Any] | None = json.loads(got[-1]) if got else None
        return latest

    def _on_connect(self, client: Client, *_: object) -> None:
        if self._filters:
            client.subscribe([(one, 1) for one in self._filters])

    def _on_message(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        topic, payload = message.topic, bytes(message.payload)
        self.messages.append((topic, payload))
        self._by_topic.setdefault(topic, []).append(payload)
