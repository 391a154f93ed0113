"""Decodes and encodes PUBLISH and PUBACK, many at a time (MQTT 3.1.1 and 5, sections 3.3 and 3.4).

These two packets carry the stream. One `recv` brings many of them and one `send` takes many, which
saves most of what a client library spends on each message (ADR 8). Every other packet is handed on
whole to the owner of the connection. The module is pure: it takes and returns bytes and values, and
it knows no socket and no clock.

Rules (section numbers are those of MQTT 5):

- A packet is a first byte, its Remaining Length as a variable byte integer of at most four bytes
  (1.5.5), and as many bytes of content. A longer length, or a packet beyond `max_packet_bytes`, is
  malformed. The limit is checked before the content has arrived.
- A PUBLISH has a topic, at QoS 1 a packet id that is not 0 (2.2.1), in MQTT 5 its properties
  (3.3.2.3), and then the payload. No property is used. QoS 2 and 3 are malformed, because the agent
  subscribes at QoS 0 and 1 only.
- A topic that is not UTF-8 is no reason to close the connection: it is read as the empty topic,
  to which no route leads, and is counted as dropped.
- A PUBACK has a packet id. Its reason code may be left out, and is then 0, success (3.4.2.1). A
  PUBREC is read likewise (3.5.2): only `millhand-agent check` publishes what it answers.

For example, `30 05 00 01 74 68 69` is a PUBLISH of MQTT 3.1.1 at QoS 0: a Remaining Length of 5, a
topic of 1 byte, `t`, and the payload `hi`.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

MQTT_3_1_1: Final = 4
MQTT_5: Final = 5
"""Protocol versions by the number that CONNECT carries for them (3.1.2.2)."""
FIRST_PACKET_ID, LAST_PACKET_ID = 0x8000, 0xFFFF
"""Range of the packet ids of our publishes. paho numbers its own packets from 1 upwards."""
MAX_TOPICS: Final = 100_000
"""Number of topics that a reader keeps decoded, and a writer encoded, to save time."""
MAX_KEPT_TOPIC: Final = 512
"""Bytes of the longest topic that is kept so. With `MAX_TOPICS` this bounds the memory."""
_PUBLISH, _PUBACK = 0x30, 0x40  # packet types 3 and 4 in the upper four bits (2.1.2)
_CONFIRMATIONS = (_PUBACK, 0x50)  # PUBREC, of type 5, has the same form (3.5.2)
_MORE = 0x80  # 1.5.5: another byte of the length follows
_MAX_LENGTH_BYTES = 4  # 1.5.5
_SHORT = struct.Struct(">H")
_ACK = struct.Struct(">BBH")
_HEAD = struct.Struct("BBB")


class MalformedError(ValueError):
    """The bytes are not an MQTT packet, or it is one that the broker must not send.

    The connection has to be closed: where the next packet begins is not known (MQTT 5, 4.13.1).
    """


class Received(NamedTuple):
    """One PUBLISH that arrived.

    Attributes:
        topic: topic name; empty if its bytes were not UTF-8, so that no route takes the message.
        payload: content of the message, unchanged.
        packet_id: packet id to acknowledge, from 1 to 65,535; 0 at QoS 0, which has none.
        retained: the RETAIN flag (MQTT 5, 3.3.1.3): the message was stored by the broker.
        repeated: the DUP flag (MQTT 5, 3.3.1.1): the broker delivers the message again.
        at_ns: time of arrival in nanoseconds since 1970, by the clock of this machine that never
            goes back (`serving.clock`).
    """

    topic: str
    payload: bytes
    packet_id: int
    retained: bool
    repeated: bool
    at_ns: int


@dataclass(slots=True, eq=False)
class Publish:
    """One PUBLISH to send.

    Attributes:
        topic: topic name.
        payload: content of the message.
        qos: quality of service, 0 or 1; 2 only for a message that is never released.
        retain: the RETAIN flag: the broker stores the message for later subscribers.
        packet_id: packet id, from `FIRST_PACKET_ID` to `LAST_PACKET_ID`; ignored at QoS 0.
        repeated: the DUP flag: the message was sent before and may have arrived.
    """

    topic: str
    payload: bytes
    qos: int
    retain: bool = False
    packet_id: int = 0
    repeated: bool = False


class Block(NamedTuple):
    """The packets of one read.

    Attributes:
        received: PUBLISH packets, in order of arrival.
        confirmations: packet id and reason code of each PUBACK and PUBREC, in order of arrival.
        others: bytes of all other packets, each of them whole, in order of arrival.
    """

    received: Sequence[Received] = ()
    confirmations: Sequence[tuple[int, int]] = ()
    others: bytes | bytearray = b""


class Reader:
    """Splits a byte stream into packets, wherever the network has cut it.

    Args:
        version: `MQTT_5`, whose packets carry properties, or `MQTT_3_1_1`.
        max_packet_bytes: bytes that a packet may have after its length. A longer one raises
            `MalformedError` before its content is received.
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
        """Whether the bytes that were fed and not yet read may contain a whole packet."""
        return self._size >= self._needed

    def feed(self, chunk: bytes) -> None:
        """Append bytes as they came from the socket; an empty chunk changes nothing."""
        self._chunks.append(chunk)
        self._size += len(chunk)

    def read(self, limit: int, at_ns: int) -> Block:
        """Take out whole packets, at most until `limit` PUBLISH packets are among them.

        Args:
            limit: number of PUBLISH packets to return at most. The others stay for the next call.
            at_ns: time of arrival to note in them, nanoseconds since 1970.

        Returns:
            The packets; an empty block if no packet is complete.

        Raises:
            MalformedError: the next bytes are not a packet, or one that is too long. Nothing of
                this call is returned, and the caller has to close the connection.
        """
        if self._size < self._needed:
            return Block()
        # A packet of megabytes comes in many chunks: they are joined once, when it is complete.
        chunks = self._chunks
        buffer, at, size = chunks[0] if len(chunks) == 1 else b"".join(chunks), 0, self._size
        received: list[Received] = []
        confirmations: list[tuple[int, int]] = []
        others, room = bytearray(), limit
        self._needed = 2
        while room:
            # Most lengths take one byte or two; a call would cost more than decoding them here.
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
            elif kind in _CONFIRMATIONS:
                confirmations.append(_puback(buffer, body, end))
            else:
                others += buffer[at:end]
            at = end
        self._chunks, self._size = [buffer[at:]] if at < size else [], size - at
        return Block(received, confirmations, others)

    def _bounds(self, buffer: bytes, at: int) -> tuple[int, int]:
        """Indices at which the content of the packet at `at` begins and ends.

        Where the length itself is not complete, the end returned lies beyond the buffer.
        """
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
        # First byte (3.3.1): type in the upper four bits, then DUP, QoS in two bits, RETAIN.
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
            # Brokers send a length of 0 as a rule. Properties are skipped: the agent uses none.
            if buffer[at]:
                at, length = _bounded(buffer, at, end)
                at += length
            else:
                at += 1
        if at > end:
            raise MalformedError("a PUBLISH shorter than its content")
        # A plant has few topics, and a dictionary finds a string sooner than UTF-8 is decoded.
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
    """Encodes PUBLISH packets.

    Args:
        version: `MQTT_5`, whose packets carry properties, or `MQTT_3_1_1`.
    """

    def __init__(self, version: int) -> None:
        self._no_properties = b"\0" if version == MQTT_5 else b""
        self._names: dict[str, bytes] = {}

    def publish(self, message: Publish) -> bytes:
        """Encode one PUBLISH without properties, in at most 16 bytes more than topic and payload.

        The caller has checked that the topic has at most 65,535 bytes of UTF-8, and that the packet
        is not longer than the broker accepts.
        """
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
    """Encode the PUBACK of success, which is the same in both versions (MQTT 5, 3.4.2.1)."""
    return _ACK.pack(_PUBACK, 2, packet_id)


def _puback(buffer: bytes, body: int, end: int) -> tuple[int, int]:
    """Packet id and reason code of a PUBACK; MQTT 3.1.1 has no reason code, which reads as 0."""
    if end - body < 2:  # noqa: PLR2004  the packet id
        raise MalformedError("a PUBACK without a packet id")
    reason_code = buffer[body + 2] if end - body > 2 else 0  # noqa: PLR2004  as above
    return buffer[body] << 8 | buffer[body + 1], reason_code


def _bounded(buffer: bytes, at: int, end: int) -> tuple[int, int]:
    """Decode a variable byte integer (1.5.5); returns the index after it, and its value.

    Raises:
        MalformedError: it does not end before `end`, or has more than four bytes.
    """
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
    """The first byte and the Remaining Length of a packet (2.1)."""
    head = bytearray((first,))
    while length > 0x7F:  # noqa: PLR2004  seven bits a byte
        head.append(length & 0x7F | _MORE)
        length >>= 7
    head.append(length)
    return bytes(head)
