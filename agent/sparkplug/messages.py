"""The messages of the node: topic, payload, and the sequence number that all of them share."""

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Final

from agent.delivery.outgoing import Publisher, packet_bytes
from agent.mqtt.connection import Will
from agent.sparkplug.birth_number import BirthNumber
from agent.sparkplug.topics import NodeTopics
from models.sparkplug.datatype import DataType
from models.sparkplug.encoder import encode
from models.sparkplug.payload import BD_SEQ, REBIRTH, Metric, Payload
from serving.log import Limited
from serving.mqtt.packets import Publish

_SEQUENCE: Final = 256
_TIME: Final = attrgetter("timestamp_ms")


class Messages:
    """Builds the messages of one node, and publishes them in order.

    Args:
        topics: topics of the node.
        number: number of the connection.
        now_ms: returns the time, milliseconds since 1970.
        log_interval_s: seconds in which a warning of one kind is logged at most once.
        has_types: whether data have data types too.

    Attributes:
        number: as given.
    """

    def __init__(
        self,
        topics: NodeTopics,
        number: BirthNumber,
        now_ms: Callable[[], int],
        log_interval_s: float,
        *,
        has_types: bool,
    ) -> None:
        self.number = number
        self._topics, self._now_ms = topics, now_ms
        self._log = Limited(log_interval_s)
        self._has_types = has_types
        self._seq = 0

    def will(self) -> Will:
        """The death that the broker publishes if the next connection breaks."""
        death = self._death(self.number.next)
        return Will(death.topic, death.payload, is_death=True)

    def death(self) -> Publish:
        """The death of the node, for an end on purpose."""
        return self._death(self.number.current)

    def birth(self, metrics: Sequence[Metric]) -> Publish:
        """The birth of the node, with which the sequence begins anew."""
        self._seq = 0
        now_ms = self._now_ms()
        control = [
            self._bd_seq(self.number.current),
            Metric(REBIRTH, None, now_ms, DataType.BOOLEAN, value=False),
        ]
        return self.of("NBIRTH", "", [*control, *metrics])

    def of(self, kind: str, device: str, metrics: Sequence[Metric]) -> Publish:
        """A message of a kind, of a device or with an empty name of the node itself.

        Its metrics are in the order of their times (Sparkplug 3.0.0,
        tck-id-operational-behavior-data-publish-nbirth-order and -dbirth-order).
        """
        payload = Payload(self._now_ms(), sorted(metrics, key=_TIME), self._seq)
        is_birth = kind.endswith("BIRTH")
        content = encode(payload, is_birth=is_birth, has_types=self._has_types)
        return Publish(self._topics.of(kind, device), content, 0)

    def publish(self, connection: Publisher, message: Publish) -> bool:
        """Publish a message; whether it is not too large for the broker."""
        if packet_bytes(message) > connection.max_packet_bytes:
            self._log.warning(
                "too_large",
                "Sparkplug message is larger than the broker accepts",
                topic=message.topic[:256],
                payload_bytes=len(message.payload),
                allowed_bytes=connection.max_packet_bytes,
            )
            return False
        connection.publish(message)
        self._seq = (self._seq + 1) % _SEQUENCE
        return True

    def _death(self, number: int) -> Publish:
        payload = Payload(self._now_ms(), [self._bd_seq(number)])
        return Publish(self._topics.of("NDEATH"), encode(payload, is_birth=True), 0)

    def _bd_seq(self, number: int) -> Metric:
        return Metric(BD_SEQ, None, self._now_ms(), DataType.INT64, number)
