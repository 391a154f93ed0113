"""The format of the journal: records in frames, readable also after a crash in mid-write.

    file     frame frame frame ...            journal.<number>; only ever appended to
    frame    length, CRC-32, records          valid as a whole, or not at all
    record   kind, fields                     as follows

    HEADER   first in a file: serial before it, and fingerprints of the windows it is about
    INPUT    a message that entered windows
    RETAINED a retained message that is held for its signals; its fields are those of INPUT
    ACKED    every input up to this serial has been acknowledged to the broker
    STATE    the windows of one asset at this point of the file
    WHOLE    the states of all assets have been written: older files are not needed

An example of three frames: one asset at the start, two messages, and their acknowledgement:

    [HEADER 7, STATE l1/p1, WHOLE, ACKED 7] [INPUT 8, INPUT 9, ACKED 7] [ACKED 9]

Nothing here opens a file, reads a clock or blocks.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple
from zlib import crc32

import orjson

from agent.streams.state import State
from serving.mqtt.packets import Received

FORMAT: Final = 1
_HEADER, _INPUT, _ACKED, _STATE, _WHOLE, _RETAINED = range(6)
_FRAME: Final = struct.Struct("<II")  # length, CRC-32
# Kind, serial, time of arrival, packet id, length of the topic (16 bits, MQTT 5, 1.5.4), length of
# the payload. Packed and not JSON, because there is one for every message.
_FIELDS: Final = struct.Struct("<BQqHHI")
_SERIAL: Final = struct.Struct("<BQ")
_JSON: Final = struct.Struct("<BI")


class Header(NamedTuple):
    """Which windows a file is about.

    Attributes:
        serial: serial of the last input before this file.
        windows: fingerprint of the windows (`Pipeline.fingerprint`) by name of the stream. States
            and inputs in the file do not fit windows with another fingerprint.
    """

    serial: int
    windows: dict[str, str]


class Noted(NamedTuple):
    """A message that entered windows.

    Attributes:
        serial: number of the message in the journal, from 1 on; goes on across restarts.
        message: the message as it arrived.
    """

    serial: int
    message: Received


class Acked(NamedTuple):
    """All inputs up to a serial have been acknowledged to the broker.

    Attributes:
        serial: serial of the last input that has been acknowledged.
    """

    serial: int


class Whole(NamedTuple):
    """The states of all assets have been written."""


Record = Header | Noted | Acked | State | Whole


def noted(serial: int, message: Received) -> tuple[bytes, bytes, bytes]:
    """The bytes of an INPUT or RETAINED record, in parts, so that the payload is not copied."""
    kind = _RETAINED if message.retained else _INPUT
    topic = message.topic.encode()
    payload = message.payload
    fields = _FIELDS.pack(kind, serial, message.at_ns, message.packet_id, len(topic), len(payload))
    return fields, topic, payload


def encoded(record: Header | Acked | State | Whole) -> bytes:
    """The bytes of any record but INPUT and RETAINED."""
    if isinstance(record, Acked):
        return _SERIAL.pack(_ACKED, record.serial)
    if isinstance(record, Header):
        return _json(_HEADER, {"format": FORMAT, **record._asdict()})
    # orjson does not encode named tuples.
    return _json(_WHOLE if isinstance(record, Whole) else _STATE, tuple(record))


def frame(parts: Sequence[bytes]) -> bytes:
    """The bytes of a frame that holds records."""
    body = b"".join(parts)
    return _FRAME.pack(len(body), crc32(body)) + body


def records(content: bytes) -> Iterator[Record]:
    """The records of a file, up to where it is cut off or damaged.

    Such a file is the normal case after a crash, so its end is not an error: what follows the last
    valid frame was never relied on, because inputs are acknowledged only once they are on disk.

    Raises:
        ValueError: a valid frame has a record that this release does not know, or one that is not
            JSON where it should be.
        struct.error: a valid frame ends within a record; no release writes that.
    """
    for body in _bodies(memoryview(content)):
        at = 0
        while at < len(body):
            record, at = _record(body, at)
            yield record


def _bodies(content: memoryview) -> Iterator[memoryview]:
    at = 0
    while at + _FRAME.size <= len(content):
        length, checksum = _FRAME.unpack_from(content, at)
        body = content[at + _FRAME.size : at + _FRAME.size + length]
        if len(body) < length or crc32(body) != checksum:
            return
        yield body
        at += _FRAME.size + length


def _record(body: memoryview, at: int) -> tuple[Record, int]:
    """The record at an offset, and the offset of the next."""
    kind = body[at]
    if kind in (_INPUT, _RETAINED):
        return _noted(body, at)
    if kind == _ACKED:
        return Acked(_SERIAL.unpack_from(body, at)[1]), at + _SERIAL.size
    _, length = _JSON.unpack_from(body, at)
    start = at + _JSON.size
    fields = orjson.loads(body[start : start + length])
    return _from_json(kind, fields), start + length


def _noted(body: memoryview, at: int) -> tuple[Noted, int]:
    kind, serial, at_ns, packet_id, topic_bytes, payload_bytes = _FIELDS.unpack_from(body, at)
    at += _FIELDS.size
    topic = str(body[at : at + topic_bytes], "utf-8")
    at += topic_bytes
    payload = bytes(body[at : at + payload_bytes])
    message = Received(topic, payload, packet_id, kind == _RETAINED, repeated=False, at_ns=at_ns)
    return Noted(serial, message), at + payload_bytes


def _from_json(kind: int, fields: Any) -> Record:  # noqa: ANN401  any JSON value
    if kind == _HEADER and fields["format"] == FORMAT:
        return Header(fields["serial"], fields["windows"])
    if kind == _STATE:
        return State(*fields)
    if kind == _WHOLE:
        return Whole()
    raise ValueError(f"a record of kind {kind} that this release does not know")


def _json(kind: int, fields: object) -> bytes:
    content = orjson.dumps(fields)
    return _JSON.pack(kind, len(content)) + content
