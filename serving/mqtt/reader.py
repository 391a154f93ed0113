"""Decodes PUBLISH and its acknowledgements, many at a time (MQTT 3.1.1 and 5, 3.3 to 3.7).

The module is pure: it takes bytes and returns values, and it knows no socket and no clock. Packets
of other types are handed on whole to the owner of the connection.

Rules (section numbers are those of MQTT 5):

- A packet is a first byte, its Remaining Length as a variable byte integer of at most four bytes
  (1.5.5), and as many bytes of content. A longer length is malformed.
- A PUBLISH beyond `max_packet_bytes` is skipped: its content is dropped as it arrives, and it is
  returned with a `Skipped` as its payload once all of it has passed. Any other packet beyond the
  limit is malformed, which is known before its content has arrived.
- A PUBLISH has a topic, at QoS 1 and 2 a packet id that is not 0 (2.2.1), in MQTT 5 its properties
  (3.3.2.3), and then the payload. No property is used. QoS 3 is malformed. The agent subscribes at
  QoS 0 and 1, but a session that it takes up may have other subscriptions.
- A topic that is not UTF-8 is no reason to close the connection: it is read as the empty topic,
  to which no route leads, and is counted as dropped.
- A PUBACK has a packet id. Its reason code may be left out, and is then 0, success (3.4.2.1). A
  PUBREC is read likewise (3.5.2): only `millhand-agent check` publishes what it answers.
- A PUBREL has a packet id; its reason code changes nothing for the receiver (3.6.2.1).

For example, `30 05 00 01 74 68 69` is a PUBLISH of MQTT 3.1.1 at QoS 0: a Remaining Length of 5, a
topic of 1 byte, `t`, and the payload `hi`.
"""

from typing import Final

from serving.mqtt.packets import (
    MAX_KEPT_TOPIC,
    MAX_TOPICS,
    MORE,
    MQTT_5,
    PUBACK,
    PUBLISH,
    PUBREC,
    PUBREL,
    Block,
    MalformedError,
    Received,
    Skipped,
)

_CONFIRMATIONS: Final = (PUBACK, PUBREC)
_MAX_LENGTH_BYTES: Final = 4  # 1.5.5
_AT_QOS_2, _HIGHEST_QOS = 2, 2
_NOT_BEFORE_SKIPPED = 1 << 62  # bytes needed before the next read, while a packet is skipped


class Reader:
    """Splits a byte stream into packets, wherever the network has cut it.

    Args:
        version: `MQTT_5`, whose packets carry properties, or `MQTT_3_1_1`.
        max_packet_bytes: bytes that a packet may have after its length. A longer PUBLISH is
            skipped; another packet that is longer raises `MalformedError`.
    """

    def __init__(self, version: int, max_packet_bytes: int) -> None:
        self._properties = version == MQTT_5
        self._max_packet_bytes = max_packet_bytes
        self._chunks: list[bytes] = []
        self._size = 0
        self._needed = 2
        self._topics: dict[bytes, str] = {}
        self._at_qos_2: list[int] = []
        self._released: list[int] = []
        self._skipped: Received | None = None  # stands for the packet that is skipped
        self._left = 0  # bytes of it that have yet to arrive
        self._is_skipped_at_qos_2 = False

    @property
    def has_packets(self) -> bool:
        """Whether the bytes that were fed and not yet read may contain a whole packet."""
        return self._size >= self._needed

    def feed(self, chunk: bytes) -> None:
        """Append bytes as they came from the socket; an empty chunk changes nothing."""
        if self._left:
            chunk = self._dropped(chunk)
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
        received = self._passed()
        confirmations: list[tuple[int, int]] = []
        others, room = bytearray(), limit - len(received)
        self._needed = 2
        while room:
            # Most lengths take one byte or two; a call would cost more than decoding them here.
            low = buffer[at + 1] if at + 2 < size else MORE
            if not low & MORE:
                body, end = at + 2, at + 2 + low
            elif at + 2 < size and not buffer[at + 2] & MORE:
                body = at + 3
                end = body + (low & 0x7F | buffer[at + 2] << 7)
            else:
                body, end = self._bounds(buffer, at)
            if end - body > self._max_packet_bytes:
                at, self._needed = self._skip(buffer, at, (body, end), at_ns)
                break
            if end > size:
                self._needed = end - at
                break
            kind = buffer[at] & 0xF0
            if kind == PUBLISH:
                received.append(self._publish(buffer, at, body, end, at_ns))
                room -= 1
            elif kind in _CONFIRMATIONS:
                confirmations.append(_puback(buffer, body, end))
            elif kind == PUBREL:
                self._released.append(_packet_id(buffer, body, end))
            else:
                others += buffer[at:end]
            at = end
        self._chunks, self._size = [buffer[at:]] if at < size else [], size - at
        at_qos_2, self._at_qos_2 = self._at_qos_2, []
        released, self._released = self._released, []
        return Block(received, confirmations, others, at_qos_2, released)

    def _passed(self) -> list[Received]:
        """What stands for a packet that was skipped, once all of it has passed."""
        if self._skipped is None:
            return []
        passed, self._skipped = self._skipped, None
        if self._is_skipped_at_qos_2:
            self._at_qos_2.append(passed.packet_id)
        return [passed]

    def _skip(self, buffer: bytes, at: int, bounds: tuple[int, int], at_ns: int) -> tuple[int, int]:
        """Begin to skip the packet at `at`, once its topic and packet id are there.

        Returns:
            Where to go on in the buffer, and how many bytes the next read needs from there.

        Raises:
            MalformedError: the packet is not a PUBLISH, or its topic does not end within it.
        """
        body, end = bounds
        first = buffer[at]
        if first & 0xF0 != PUBLISH:
            what = f"a packet of {end - body} bytes, at most {self._max_packet_bytes}"
            raise MalformedError(what)
        size = len(buffer)
        head = body + 2
        if head <= size:
            head += (buffer[body] << 8 | buffer[body + 1]) + (2 if first & 0x06 else 0)
        if head > end:
            raise MalformedError("a PUBLISH shorter than its content")
        if head > size:
            return at, head - at
        # What is decoded is a PUBLISH that ends behind its head: no properties, no payload.
        message = self._publish(buffer[:head] + b"\0", at, body, head + self._properties, at_ns)
        self._is_skipped_at_qos_2 = bool(first & 0x04)
        if self._is_skipped_at_qos_2:
            self._at_qos_2.pop()  # it goes out with the message
        self._skipped = message._replace(payload=Skipped(end - head))
        self._left = max(0, end - size)
        return min(end, size), _NOT_BEFORE_SKIPPED if self._left else 0

    def _dropped(self, chunk: bytes) -> bytes:
        """What of a chunk is behind the packet that is skipped."""
        rest = chunk[self._left :]
        self._left -= len(chunk) - len(rest)
        if not self._left:
            self._needed = 0
        return rest

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
            if not byte & MORE:
                break
            shift += 7
            if shift == 7 * _MAX_LENGTH_BYTES:
                raise MalformedError("a length of more than four bytes")
        return body, body + length

    def _publish(  # noqa: C901  written out, because a call for each message would cost throughput
        self, buffer: bytes, start: int, body: int, end: int, at_ns: int
    ) -> Received:
        # First byte (3.3.1): type in the upper four bits, then DUP, QoS in two bits, RETAIN.
        first = buffer[start]
        qos, begin = first >> 1 & 0x03, body + 2
        if qos > _HIGHEST_QOS or begin > end:
            raise MalformedError("a PUBLISH at QoS 3, or without a topic")
        at = begin + (buffer[body] << 8 | buffer[body + 1])
        name = buffer[begin:at]
        packet_id = 0
        if qos:
            if at + 2 > end:
                raise MalformedError("a PUBLISH at QoS 1 or 2 without a packet id")
            packet_id = buffer[at] << 8 | buffer[at + 1]
            at += 2
            if not packet_id:
                raise MalformedError("a PUBLISH at QoS 1 or 2 with packet id 0")
            if qos == _AT_QOS_2:
                self._at_qos_2.append(packet_id)
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


def _packet_id(buffer: bytes, body: int, end: int) -> int:
    """Packet id at the beginning of a PUBREL."""
    if end - body < 2:  # noqa: PLR2004  the packet id
        raise MalformedError("a PUBREL without a packet id")
    return buffer[body] << 8 | buffer[body + 1]


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
        if not byte & MORE:
            return at, value
        shift += 7
    raise MalformedError("a property length that does not end")
