"""Messages that the agent publishes, and what delivery needs of a connection to do so."""

from dataclasses import dataclass
from typing import Protocol

from agent.delivery.inputs import Input
from serving.mqtt.packets import Publish


@dataclass(slots=True, eq=False)
class Outgoing(Publish):
    """A message that the broker must confirm; it keeps its packet id until the broker answers.

    Attributes:
        source: the input that a prediction answers; None for a document of the control plane.
    """

    source: Input | None = None


class Publisher(Protocol):
    """The part of a connection that delivery needs.

    Attributes:
        max_in_flight: publishes that the broker accepts before it has confirmed one (MQTT 5,
            3.2.2.3.3).
        max_packet_bytes: longest packet that the broker accepts (MQTT 5, 3.2.2.3.6).
    """

    max_in_flight: int
    max_packet_bytes: int

    @property
    def wants_write(self) -> bool:
        """Whether packets wait to be sent, so that further ones would only fill memory."""

    def publish(self, message: Publish) -> None:
        """Queue one PUBLISH. It must not block, and it must not raise for a broken connection."""


def packet_bytes(message: Publish) -> int:
    """Bytes of a PUBLISH at most: 16 beside topic and payload, since it has no properties."""
    topic = message.topic
    topic_bytes = len(topic) if topic.isascii() else len(topic.encode())
    return topic_bytes + len(message.payload) + 16
