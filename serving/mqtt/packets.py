"""PUBLISH and its acknowledgements as values and as bytes (MQTT 3.1.1 and 5, sections 3.3 to 3.7).

PUBLISH and PUBACK carry the stream. One `recv` brings many of them and one `send` takes many, which
saves most of what a client library spends on each message (ADR 8). PUBREC, PUBREL and PUBCOMP, by
which a message at QoS 2 is acknowledged, are the agent's own too (ADR 24).
They are read by `serving.mqtt.reader`, and written here.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, NamedTuple, Self

MQTT_3_1_1: Final = 4
MQTT_5: Final = 5
"""Protocol versions by the number that CONNECT carries for them (3.1.2.2)."""
FIRST_PACKET_ID, LAST_PACKET_ID = 0x8000, 0xFFFF
"""Range of the packet ids of our publishes. paho numbers its own packets from 1 upwards."""
MAX_TOPICS: Final = 100_000
"""Number of topics that a reader keeps decoded, and a writer encoded, to save time."""
MAX_KEPT_TOPIC: Final = 512
"""Bytes of the longest topic that is kept so. With `MAX_TOPICS` this bounds the memory."""
PINGREQ: Final = b"\xc0\x00"
"""The whole packet (3.12)."""
# Packet types 3 to 7 in the upper four bits (2.1.2).
PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = 0x30, 0x40, 0x50, 0x60, 0x70
MORE: Final = 0x80
"""The bit of a length by which another byte of it follows (1.5.5)."""
_SHORT = struct.Struct(">H")
_ACK = struct.Struct(">BBH")
_HEAD = struct.Struct("BBB")


class MalformedError(ValueError):
    """The bytes are not an MQTT packet, or it is one that the broker must not send.

    The connection has to be closed: where the next packet begins is not known (MQTT 5, 4.13.1).
    """


class Skipped(bytes):
    """Stands for the payload of a PUBLISH that was too long and was not kept.

    It has no content. Its length is that of the payload as it was sent, with the properties of MQTT
    5, so that whoever compares it with a limit finds it too long.
    """

    REASON: ClassVar = "packet_too_large"
    """The reason under which such a message is counted."""
    length: int

    def __new__(cls, length: int) -> Self:
        """Stand for a payload of this many bytes."""
        made = super().__new__(cls)
        made.length = length
        return made

    def __len__(self) -> int:
        """Bytes of the payload that was not kept."""
        return self.length


class Received(NamedTuple):
    """One PUBLISH that arrived.

    Attributes:
        topic: topic name; empty if its bytes were not UTF-8, so that no route takes the message.
        payload: content of the message, unchanged; `Skipped` if it was too long to be kept.
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
        at_qos_2: packet ids of those PUBLISH packets that came at QoS 2.
        released: packet id of each PUBREL, in order of arrival.
    """

    received: Sequence[Received] = ()
    confirmations: Sequence[tuple[int, int]] = ()
    others: bytes | bytearray = b""
    at_qos_2: Sequence[int] = ()
    released: Sequence[int] = ()


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
        first = PUBLISH | message.repeated << 3 | qos << 1 | message.retain
        if 0x7F < length < 0x4000:  # noqa: PLR2004  two bytes, as most lengths take
            head = _HEAD.pack(first, length & 0x7F | MORE, length >> 7)
        else:
            head = _head(first, length)
        return b"".join((head, name, number, self._no_properties, payload))


def puback(packet_id: int) -> bytes:
    """Encode the PUBACK of success, which is the same in both versions (MQTT 5, 3.4.2.1)."""
    return _ACK.pack(PUBACK, 2, packet_id)


def pubrec(packet_id: int) -> bytes:
    """Encode the PUBREC of success: a message at QoS 2 is answered (MQTT 5, 3.5.2.1)."""
    return _ACK.pack(PUBREC, 2, packet_id)


def pubcomp(packet_id: int) -> bytes:
    """Encode the PUBCOMP of success, also for a packet id that is not known (MQTT 5, 3.7.2.1)."""
    return _ACK.pack(PUBCOMP, 2, packet_id)


def _head(first: int, length: int) -> bytes:
    """The first byte and the Remaining Length of a packet (2.1)."""
    head = bytearray((first,))
    while length > 0x7F:  # noqa: PLR2004  seven bits a byte
        head.append(length & 0x7F | MORE)
        length >>= 7
    head.append(length)
    return bytes(head)
