"""PUBLISH and PUBACK in blocks, the two packets of the stream (MQTT 3.1.1 and 5, 3.3 and 3.4).

One `recv` brings many packets and one `send` takes many, so most of what a client library spends
on a message is not spent at all. Every other packet is left whole for whoever owns the connection.
Pure: bytes in, values out; no socket, no clock.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

MQTT_3_1_1: Final = 4
MQTT_5: Final = 5
"""As CONNECT names the protocol's versions."""
FIRST_PACKET_ID, LAST_PACKET_ID = 0x8000, 0xFFFF
"""Packet ids of our publishes; the lower half of the range is paho's, for its own packets."""
MAX_TOPICS: Final = 100_000
"""Kept decoded, or encoded; longer ones than this never are, so that this bounds memory too:"""
MAX_KEPT_TOPIC: Final = 512
_PUBLISH, _PUBACK = 0x30, 0x40
_MORE = 0x80  # 1.5.5: another length byte follows
_MAX_LENGTH_BYTES = 4
_SHORT = struct.Struct(">H")
_ACK = struct.Struct(">BBH")
_HEAD = struct.Struct("BBB")


class MalformedError(ValueError):
    """Bytes that are no MQTT packet, or one that nobody may send us."""


class Received(NamedTuple):
    """One PUBLISH that arrived.

    Attributes:
        topic: empty if it was no UTF-8; no route leads there, so it is dropped and counted.
        payload: as it came.
        packet_id: packet id to acknowledge; 0 at QoS 0.
        retained: the RETAIN flag.
        repeated: the DUP flag.
        at_ns: when, by this machine's clock that never goes back (serving/clock.py), in
            nanoseconds since 1970.
    """

    topic: str
    payload: bytes
    packet_id: int
    retained: bool
    repeated: bool
    at_ns: int


@dataclass(slots=True, eq=False)
class Publish:
    """One PUBLISH that leaves.

    Attributes:
        topic: where to.
        payload: what.
        qos: 0 or 1.
        retain: the RETAIN flag.
        packet_id: packet id, which counts at QoS 1 only.
        repeated: the DUP flag.
    """

    topic: str
    payload: bytes
    qos: int
    retain: bool = False
    packet_id: int = 0
    repeated: bool = False


class Block(NamedTuple):
    """What a stretch of bytes held.

    Attributes:
        received: PUBLISHes in order of arrival.
        confirmations: packet id and reason code of every PUBACK.
        others: all other packets, whole, one behind the other.
    """

    received: Sequence[Received] = ()
    confirmations: Sequence[tuple[int, int]] = ()
    others: bytes | bytearray = b""


class Reader:
    """Splits a byte stream into packets, wherever it was cut.

    Args:
        version: 5, or 4 for MQTT 3.1.1: whether packets carry properties.
        max_packet_bytes: a longer one ends the connection before it is taken in.
    """

    def __init__(self, version: int, max_packet_bytes: int) -> None:
        self._properties = version == MQTT_5
        self._max_packet_bytes = max_packet_bytes
        self._chunks: list[bytes] = []
        self._size = 0
        self._needed = 2
        self._topics: dict[bytes, str] = {}

    @property
    def has_packets(self) -> bool:
        """Whether bytes that were fed may hold a whole packet that was not yet read."""
        return self._size >= self._needed

    def feed(self, chunk: bytes) -> None:
        """Take in bytes as they came."""
        self._chunks.append(chunk)
        self._size += len(chunk)

    def read(self, limit: int, at_ns: int) -> Block:
        """Take out whole packets until `limit` PUBLISHes are there.

        Raises:
            MalformedError: what follows is no packet, or is too long; the connection cannot go on.
        """
        if self._size < self._needed:
            return Block()
        chunks = self._chunks
        buffer, at, size = chunks[0] if len(chunks) == 1 else b"".join(chunks), 0, self._size
        received: list[Received] = []
        confirmations: list[tuple[int, int]] = []
        others, room = bytearray(), limit
        self._needed = 2
        while room:
            # Most lengths take one byte or two, and a call would cost more than reading them.
            low = buffer[at + 1] if at + 2 < size else _MORE
            if not low & _MORE:
                body, end = at + 2, at + 2 + low
            elif at + 2 < size and not buffer[at + 2] & _MORE:
                body = at + 3
                end = body + (low & 0x7F | buffer[at + 2] << 7)
            else:
                body, end = self._bounds(buffer, at)
            if end - body > self._max_packet_bytes:
                what = f"a packet of {end - body} bytes, at most {self._max_packet_bytes}"
                raise MalformedError(what)
            if end > size:
                self._needed = end - at
                break
            kind = buffer[at] & 0xF0
            if kind == _PUBLISH:
                received.append(self._publish(buffer, at, body, end, at_ns))
                room -= 1
            elif kind == _PUBACK:
                confirmations.append(_puback(buffer, body, end))
            else:
                others += buffer[at:end]
            at = end
        self._chunks, self._size = [buffer[at:]] if at < size else [], size - at
        return Block(received, confirmations, others)

    def _bounds(self, buffer: bytes, at: int) -> tuple[int, int]:
        """Where the body of the packet at `at` begins and ends; the end lies beyond if unknown."""
        length, shift, body = 0, 0, at + 1
        while True:
            if body >= len(buffer):
                return body, max(body + 1, at + 2)
            byte = buffer[body]
            body += 1
            length |= (byte & 0x7F) << shift
            if not byte & _MORE:
                break
            shift += 7
            if shift == 7 * _MAX_LENGTH_BYTES:
                raise MalformedError("a length of more than four bytes")
        return body, body + length

    def _publish(self, buffer: bytes, start: int, body: int, end: int, at_ns: int) -> Received:
        first = buffer[start]
        qos, begin = first >> 1 & 0x03, body + 2
        if qos > 1 or begin > end:
            raise MalformedError("a PUBLISH at QoS 2 or 3, or without a topic")
        at = begin + (buffer[body] << 8 | buffer[body + 1])
        name = buffer[begin:at]
        packet_id = 0
        if qos:
            if at + 2 > end:
                raise MalformedError("a PUBLISH at QoS 1 without a packet id")
            packet_id = buffer[at] << 8 | buffer[at + 1]
            at += 2
            if not packet_id:
                raise MalformedError("a PUBLISH at QoS 1 with packet id 0")
        if self._properties:
            if at >= end:
                raise MalformedError("a PUBLISH without properties")
            if buffer[at]:
                at, length = _bounded(buffer, at, end)
                at += length
            else:
                at += 1
        if at > end:
            raise MalformedError("a PUBLISH shorter than what it holds")
        topic = self._topics.get(name)
        if topic is None:
            topic = self._decode(name)
        return Received(topic, buffer[at:end], packet_id, bool(first & 1), bool(first & 8), at_ns)

    def _decode(self, name: bytes) -> str:
        try:
            topic = name.decode()
        except UnicodeDecodeError:
            return ""
        if len(self._topics) < MAX_TOPICS and len(name) <= MAX_KEPT_TOPIC:
            self._topics[name] = topic
        return topic


class Writer:
    """Encodes PUBLISH and PUBACK.

    Args:
        version: 5, or 4 for MQTT 3.1.1.
    """

    def __init__(self, version: int) -> None:
        self._no_properties = b"\0" if version == MQTT_5 else b""
        self._names: dict[str, bytes] = {}

    def publish(self, message: Publish) -> bytes:
        """One PUBLISH."""
        topic, payload, qos = message.topic, message.payload, message.qos
        name = self._names.get(topic)
        if name is None:
            encoded = topic.encode()
            name = _SHORT.pack(len(encoded)) + encoded
            if len(self._names) < MAX_TOPICS and len(encoded) <= MAX_KEPT_TOPIC:
                self._names[topic] = name
        number = _SHORT.pack(message.packet_id) if qos else b""
        length = len(name) + len(number) + len(self._no_properties) + len(payload)
        first = _PUBLISH | message.repeated << 3 | qos << 1 | message.retain
        if 0x7F < length < 0x4000:  # noqa: PLR2004  two bytes, as most lengths take
            head = _HEAD.pack(first, length & 0x7F | _MORE, length >> 7)
        else:
            head = _head(first, length)
        return b"".join((head, name, number, self._no_properties, payload))


def puback(packet_id: int) -> bytes:
    """The PUBACK of success, which is the same in both versions."""
    return _ACK.pack(_PUBACK, 2, packet_id)


def _puback(buffer: bytes, body: int, end: int) -> tuple[int, int]:
    if end - body < 2:  # noqa: PLR2004  the packet id
        raise MalformedError("a PUBACK without a packet id")
    reason_code = buffer[body + 2] if end - body > 2 else 0  # noqa: PLR2004  as above
    return buffer[body] << 8 | buffer[body + 1], reason_code


def _bounded(buffer: bytes, at: int, end: int) -> tuple[int, int]:
    """A variable byte integer that must end before `end`: where it ends, and its value."""
    value = shift = 0
    while at < end and shift < 7 * _MAX_LENGTH_BYTES:
        byte = buffer[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if not byte & _MORE:
            return at, value
        shift += 7
    raise MalformedError("a property length that does not end")


def _head(first: int, length: int) -> bytes:
    head = bytearray((first,))
    while length > 0x7F:  # noqa: PLR2004  seven bits a byte
        head.append(length & 0x7F | _MORE)
        length >>= 7
    head.append(length)
    return bytes(head)
