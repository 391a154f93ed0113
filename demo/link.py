"""The demo's own MQTT connection: it sends telemetry, and receives predictions and control topics.

It speaks MQTT 3.1.1, which every broker does. The thread of the connection only puts messages into
a bounded inbox; the demo takes them from there.
"""

import contextlib
import queue
import time
from dataclasses import dataclass

from tests.kit.gateway.mqtt_client import MqttClient, Session

MAX_INBOX = 20_000

_MQTT_3_1_1 = 4


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message that arrived.

    Attributes:
        topic: topic of the message.
        payload: its payload.
        arrived_s: when it arrived, seconds of the monotonic clock.
    """

    topic: str
    payload: bytes
    arrived_s: float


class Link(MqttClient):
    """A connection to the broker, from entering the context to leaving it.

    Args:
        port: port of the broker on the loopback.
        topics: topic filters to subscribe to, at QoS 1.

    Attributes:
        overflowed: number of messages that were thrown away because the inbox was full.
    """

    def __init__(self, port: int, topics: list[str]) -> None:
        self.overflowed = 0
        self._inbox: queue.Queue[Arrival] = queue.Queue(MAX_INBOX)
        super().__init__(port, topics, Session(version=_MQTT_3_1_1, client_id="plant"))

    def arrivals(self, until_s: float) -> list[Arrival]:
        """Wait for messages until a monotonic time; return as soon as there are any."""
        arrived: list[Arrival] = []
        with contextlib.suppress(queue.Empty):
            arrived.append(self._inbox.get(timeout=max(until_s - time.monotonic(), 0.0)))
            while True:
                arrived.append(self._inbox.get_nowait())
        return arrived

    def take(self, topic: str, payload: bytes) -> None:
        """Put one message into the inbox."""
        try:
            self._inbox.put_nowait(Arrival(topic, payload, time.monotonic()))
        except queue.Full:
            self.overflowed += 1
