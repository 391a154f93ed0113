"""What an edge node has sent, taken apart by the rules of MQTT and by Protocol Buffers' runtime."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from tests.kit.broker.scripted import CONNECT, DISCONNECT, MQTT_5, PUBLISH, SUBSCRIBE, Packet
from tests.kit.sparkplug.host import Payload

_PROPERTY_BYTES: Final = {0x11: 4, 0x17: 1, 0x18: 4, 0x19: 1, 0x21: 2, 0x22: 2, 0x27: 4}
"""Bytes of the properties of CONNECT that are numbers (MQTT 5, 3.1.2.11 and 3.1.3.2)."""
_SESSION_EXPIRY: Final = 0x11


class Sent(NamedTuple):
    """One message, or a will.

    Attributes:
        connection: number of the connection, from 1.
        topic: its topic.
        qos: its quality of service.
        is_retained: its RETAIN flag.
        payload: as the runtime of Protocol Buffers has parsed it.
    """

    connection: int
    topic: str
    qos: int
    is_retained: bool
    payload: Any

    @property
    def kind(self) -> str:
        """The type of the message, such as `NBIRTH`."""
        return self.topic.split("/")[2]

    @property
    def device(self) -> str:
        """Name of the device; empty in messages of the node itself."""
        return "/".join(self.topic.split("/")[4:])

    def metric(self, name: str) -> Any:  # noqa: ANN401  of the runtime
        """The metric of a name; raises StopIteration where there is none."""
        return next(one for one in self.payload.metrics if one.name == name)


class Opened(NamedTuple):
    """One CONNECT.

    Attributes:
        is_clean: the flag Clean Session, or Clean Start.
        expiry_s: the Session Expiry Interval of MQTT 5, seconds.
        will: the will; None without one.
    """

    is_clean: bool
    expiry_s: int
    will: Sent | None


@dataclass(frozen=True)
class Recorded:
    """All packets of a node.

    Attributes:
        version: version of MQTT, 5 or 4.
        packets: the packets, in order.
        began_ms: time before the first of them, milliseconds since 1970.
        ended_ms: time after the last of them.
    """

    version: int
    packets: Sequence[Packet]
    began_ms: int
    ended_ms: int

    @property
    def opened(self) -> list[Opened]:
        """Every CONNECT."""
        return [self._connect(one) for one in self.packets if one.kind == CONNECT]

    @property
    def messages(self) -> list[Sent]:
        """Every message, in order."""
        return [self._publish(one) for one in self.packets if one.kind == PUBLISH]

    @property
    def subscribed(self) -> dict[str, int]:
        """The QoS that was asked for, by topic filter."""
        return {
            name: qos
            for one in self.packets
            if one.kind == SUBSCRIBE
            for name, qos in self._filters(one.body)
        }

    @property
    def connections(self) -> list[list[Packet]]:
        """The packets of each connection."""
        numbers = sorted({one.connection for one in self.packets})
        return [[one for one in self.packets if one.connection == number] for number in numbers]

    @property
    def goodbyes(self) -> list[tuple[Sent, bytes]]:
        """The last message before each DISCONNECT, and the body of that."""
        return [
            (self._publish([one for one in packets if one.kind == PUBLISH][-1]), packets[-1].body)
            for packets in self.connections
            if packets[-1].kind == DISCONNECT
        ]

    def of(self, *kinds: str) -> list[Sent]:
        """The messages of some types."""
        return [one for one in self.messages if one.kind in kinds]

    def _connect(self, packet: Packet) -> Opened:
        body, expiry_s = packet.body, 0
        flags, at = body[7], 10
        if self.version == MQTT_5:
            numbers = dict(_numbers(body[at + 1 : at + 1 + body[at]]))
            expiry_s, at = numbers.get(_SESSION_EXPIRY, 0), at + 1 + body[at]
        _, at = _text(body, at)
        will = None
        if flags & 4:
            if self.version == MQTT_5:
                at += 1 + body[at]
            topic, at = _text(body, at)
            content, _ = _text(body, at)
            payload = Payload.FromString(content)
            will = Sent(
                packet.connection, topic.decode(), flags >> 3 & 3, bool(flags & 32), payload
            )
        return Opened(bool(flags & 2), expiry_s, will)

    def _publish(self, packet: Packet) -> Sent:
        topic, at = _text(packet.body, 0)
        qos = packet.flags >> 1 & 3
        at += 2 if qos else 0
        at += 1 + packet.body[at] if self.version == MQTT_5 else 0
        payload = Payload.FromString(packet.body[at:])
        return Sent(packet.connection, topic.decode(), qos, bool(packet.flags & 1), payload)

    def _filters(self, body: bytes) -> Iterator[tuple[str, int]]:
        at = 2 + (1 + body[2] if self.version == MQTT_5 else 0)
        while at < len(body):
            name, at = _text(body, at)
            yield name.decode(), body[at] & 3
            at += 1


def _text(body: bytes, at: int) -> tuple[bytes, int]:
    """The bytes behind their length of two bytes, and where they end (MQTT 5, 1.5.4)."""
    end = at + 2 + int.from_bytes(body[at : at + 2])
    return body[at + 2 : end], end


def _numbers(properties: bytes) -> Iterator[tuple[int, int]]:
    at = 0
    while at < len(properties):
        size = _PROPERTY_BYTES[properties[at]]
        yield properties[at], int.from_bytes(properties[at + 1 : at + 1 + size])
        at += 1 + size
