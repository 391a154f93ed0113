"""MQTT packets: generators of examples, and paho's own encoder and decoder to compare with."""

import struct
from itertools import pairwise
from typing import Any, NamedTuple

from hypothesis import strategies as st
from paho.mqtt import MQTTException
from paho.mqtt import _packet as paho_packet
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

VERSIONS = [MQTTProtocolVersion.MQTTv311, MQTTProtocolVersion.MQTTv5]
OTHER_PACKETS = (b"\xd0\x00", b"\x20\x03\x00\x00\x00", b"\x90\x03\x00\x01\x00")
"""PINGRESP, CONNACK and SUBACK, which the codec leaves to paho."""

_PUBLISH, _PUBACK, _PUBREL = 0x30, 0x40, 0x60
_PAHO_ERRORS = (struct.error, LookupError, ValueError, AssertionError, MQTTException)
"""The exceptions of paho's decoder for malformed packets; it also returns error codes."""


class Message(NamedTuple):
    """One PUBLISH; its packet id matters at QoS 1 and 2 only."""

    topic: str
    payload: bytes
    qos: int
    packet_id: int
    retain: bool = False
    repeated: bool = False


class Read(NamedTuple):
    """What paho reads from a stream.

    Attributes:
        received: every PUBLISH, those at QoS 2 included.
        confirmations: packet id and reason code of every PUBACK.
        released: packet id of every PUBREL.
        refused: whether paho calls a packet malformed, after which it reads no further.
    """

    received: list[Message]
    confirmations: list[tuple[int, int]]
    released: list[int]
    refused: bool


versions = st.sampled_from(VERSIONS)
topics = st.text(st.characters(exclude_characters="+#\0", exclude_categories=["Cs"]), min_size=1)
payloads = st.binary(max_size=300)
packet_ids = st.integers(1, 0xFFFF)
_levels = st.sampled_from([0, 1])
_all_levels = st.sampled_from([0, 1, 2])
_never = st.sampled_from([False])
publishes = st.builds(Message, topics, payloads, _levels, packet_ids, _never, _never)
flagged = st.builds(Message, topics, payloads, _levels, packet_ids, st.booleans(), st.booleans())
inbound = st.builds(
    Message, topics, payloads, _all_levels, packet_ids, st.booleans(), st.booleans()
)
cuts = st.lists(st.integers(0, 9999))
pubacks = st.builds(
    lambda packet_id, rest: bytes([_PUBACK, 2 + len(rest)]) + packet_id.to_bytes(2) + rest,
    packet_ids,
    st.sampled_from([b"", b"\x00", b"\x10", b"\x87", b"\x97\x00"]),
)
pubrels = st.builds(
    lambda packet_id, rest: bytes([_PUBREL | 2, 2 + len(rest)]) + packet_id.to_bytes(2) + rest,
    packet_ids,
    st.sampled_from([b"", b"\x00", b"\x92", b"\x92\x00"]),
)
damages = st.lists(
    st.tuples(
        st.sampled_from(["overwrite", "insert", "delete", "repeat"]),
        st.integers(0, 9999),
        st.binary(min_size=1, max_size=6),
    ),
    min_size=1,
    max_size=4,
)


def paho_publish(version: int, message: Message, properties: Properties | None = None) -> bytes:
    """The bytes of a PUBLISH as paho writes it."""
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion(version))
    sent: list[bytes] = []
    client._packet_queue = lambda _command, packet, *_: sent.append(bytes(packet)) or 0  # type: ignore[method-assign,assignment,func-returns-value] # noqa: SLF001 - paho has no public function for it
    client._sock = object()  # type: ignore[assignment] # noqa: SLF001 - as if connected
    client._send_publish(  # noqa: SLF001 - paho has no public function for it
        message.packet_id,
        message.topic.encode(),
        message.payload,
        message.qos,
        message.retain,
        message.repeated,
        properties=properties,
    )
    client._sock = None  # noqa: SLF001 - nothing to close
    return sent[0]


def user_properties(pairs: list[tuple[str, str]]) -> Properties:
    """User properties of a PUBLISH, which the codec must skip."""
    made = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho
    for pair in pairs:
        made.UserProperty = pair
    return made


class _PahoReader(Client):
    """paho's own decoder on a stream of bytes, without what paho does with a packet."""

    def __init__(self, version: int, stream: bytes) -> None:
        super().__init__(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion(version))
        self.read = Read([], [], [], refused=False)
        self._stream = stream
        self._at = 0
        self._sock = object()  # type: ignore[assignment]  # as if connected

    def run(self) -> Read:
        """Read to the end of the stream, or to a malformed packet."""
        rc = MQTTErrorCode.MQTT_ERR_SUCCESS
        try:
            while rc == MQTTErrorCode.MQTT_ERR_SUCCESS:
                rc = self._packet_read()
        except _PAHO_ERRORS:
            rc = MQTTErrorCode.MQTT_ERR_PROTOCOL
        self._sock = None
        return self.read._replace(refused=rc == MQTTErrorCode.MQTT_ERR_PROTOCOL)

    def _sock_recv(self, bufsize: int) -> bytes:
        if self._at >= len(self._stream):
            raise BlockingIOError
        chunk = self._stream[self._at : self._at + bufsize]
        self._at += len(chunk)
        return chunk

    def _packet_handle(self) -> MQTTErrorCode:
        command, packet = self._in_packet["command"], self._in_packet["packet"]
        kind = command & 0xF0
        if kind == _PUBLISH:
            found = paho_packet.decode_publish(command, packet, self._protocol)
            if found.qos > 2:
                return MQTTErrorCode.MQTT_ERR_PROTOCOL
            topic = _text(found.topic)
            self.read.received.append(
                Message(topic, bytes(found.payload), found.qos, found.mid, found.retain, found.dup)
            )
        elif kind == _PUBACK:
            decoded: Any = paho_packet.decode_puback(command, packet, self._protocol)
            reason = getattr(decoded.reason, "value", 0)
            self.read.confirmations.append((decoded.mid, reason))
        elif kind == _PUBREL:
            released: Any = paho_packet.decode_pubrel(command, packet, self._protocol)
            self.read.released.append(released.mid)
        return MQTTErrorCode.MQTT_ERR_SUCCESS


def paho_read(version: int, stream: bytes) -> Read:
    """What paho reads from a stream of bytes of a broker."""
    return _PahoReader(version, stream).run()


def split(content: bytes, cuts: list[int]) -> list[bytes]:
    """Split a stream into pieces at these places."""
    edges = sorted({0, len(content), *(cut % (len(content) + 1) for cut in cuts)})
    return [content[a:b] for a, b in pairwise(edges)]


def damaged(stream: bytes, damages: list[tuple[str, int, bytes]]) -> bytes:
    """A stream with bytes that were overwritten, inserted, deleted or repeated."""
    for kind, place, content in damages:
        at = place % (len(stream) + 1)
        beyond = at + len(content)
        middle, rest = {
            "overwrite": (content, stream[beyond:]),
            "insert": (content, stream[at:]),
            "delete": (b"", stream[beyond:]),
            "repeat": (stream[at : at + 16 * len(content)], stream[at:]),
        }[kind]
        stream = stream[:at] + middle + rest
    return stream


def _text(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError:
        return ""
