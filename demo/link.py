"""The demo's own MQTT connection: sends telemetry, receives predictions and control topics.

The one file of the demo that imports paho. It speaks MQTT 3.1.1, which every broker does. paho's
thread only puts what arrives into a bounded inbox; the demo takes it from there.
"""

import contextlib
import queue
import socket
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from demo.errors import DemoError

MAX_INBOX = 20_000

_CONNECT_S = 10.0


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message that arrived, with the monotonic time at which it did."""

    topic: str
    payload: bytes
    arrived_s: float


class Link:
    """A connection to the broker, from entering the context to leaving it.

    Args:
        host: Where the broker listens.
        port: Its port.
        topics: Filters to subscribe to, at QoS 1.

    Attributes:
        overflowed: Messages that found the inbox full.
    """

    def __init__(self, host: str, port: int, topics: list[str]) -> None:
        self.overflowed = 0
        self._address = host, port
        self._topics = topics
        self._inbox: queue.Queue[Arrival] = queue.Queue(MAX_INBOX)
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id="plant", protocol=mqtt.MQTTv311
        )
        self._client.on_socket_open = _send_at_once
        self._client.on_message = self._keep
        self._subscribed: queue.Queue[None] = queue.Queue()
        self._client.on_subscribe = lambda *_: self._subscribed.put(None)

    def __enter__(self) -> Self:
        try:
            self._client.connect(*self._address)
        except OSError as exc:
            raise DemoError(f"broker at {self._address} refuses the demo: {exc}") from exc
        self._client.loop_start()
        self._client.subscribe([(topic, 1) for topic in self._topics])
        try:
            self._subscribed.get(timeout=_CONNECT_S)
        except queue.Empty:
            self._client.loop_stop()
            raise DemoError(f"broker at {self._address} confirms no subscription") from None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def publish(self, topic: str, payload: bytes) -> None:
        """Send one message at QoS 1."""
        self._client.publish(topic, payload, qos=1)

    def arrivals(self, until_s: float) -> list[Arrival]:
        """Wait for messages until a monotonic time; return at once with what has arrived."""
        arrived: list[Arrival] = []
        with contextlib.suppress(queue.Empty):
            arrived.append(self._inbox.get(timeout=max(until_s - time.monotonic(), 0.0)))
            while True:
                arrived.append(self._inbox.get_nowait())
        return arrived

    def _keep(self, _client: mqtt.Client, _userdata: object, message: mqtt.MQTTMessage) -> None:
        try:
            self._inbox.put_nowait(Arrival(message.topic, bytes(message.payload), time.monotonic()))
        except queue.Full:
            self.overflowed += 1


def _send_at_once(_client: mqtt.Client, _userdata: object, sock: Any) -> None:  # noqa: ANN401 - paho's own type
    """Turn Nagle's algorithm off: it would hold small messages back for 40 ms."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
