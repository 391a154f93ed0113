"""The journal on disk: what of a stream of records is whole, also after a crash in packet_id-write.

    file     frame frame frame ...            journal.<number>, appended to, never changed
    frame    length, CRC-32, records          all of it counts, or nothing
    record   kind, fields                     as below

    HEADER   which windows the file is about
    INPUT    a message that entered windows
    ACKED    every input up to this serial has been acknowledged
    STATE    one asset's windows, as they were at this point
    WHOLE    the states of all assets stand above: older files are not needed

Pure: no file is opened here.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple
from zlib import crc32

import orjson

from agent.mqtt.packets import Received
from agent.streams.state import State

FORMAT: Final = 1
_HEADER, _INPUT, _ACKED, _STATE, _WHOLE = range(5)
_FRAME: Final = struct.Struct("<II")
_FIELDS: Final = struct.Struct("<BQqHHI")
_SERIAL: Final = struct.Struct("<BQ")
_JSON: Final = struct.Struct("<BI")


class Header(NamedTuple):
    """What a file is about.

    Attributes:
        serial: of the last input before.
        windows: by stream, the fingerprint of what makes its windows; to windows of another one
            the states and inputs below mean nothing.
    """

    serial: int
    windows: dict[str, str]


class Noted(NamedTuple):
    """A message that entered windows; `serial` counts them from 1."""

    serial: int
    message: Received


class Acked(NamedTuple):
    """All inputs up to `serial` have been acknowledged."""

    serial: int


class Whole(NamedTuple):
    """The states of all assets have been written."""


Record = Header | Noted | Acked | State | Whole


def noted(serial: int, message: Received) -> tuple[bytes, bytes, bytes]:
    """The bytes of an INPUT record, in parts, so that the payload is not copied here."""
    topic = message.topic.encode()
    payload = message.payload
    fields = _FIELDS.pack(
        _INPUT, serial, message.at_ns, message.packet_id, len(topic), len(payload)
    )
    return fields, topic, payload


def encoded(record: Header | Acked | State | Whole) -> bytes:
    """The bytes of any other record."""
    if isinstance(record, Acked):
        return _SERIAL.pack(_ACKED, record.serial)
    if isinstance(record, Header):
        return _json(_HEADER, {"format": FORMAT, **record._asdict()})
    # orjson leaves named tuples alone.
    return _json(_WHOLE if isinstance(record, Whole) else _STATE, tuple(record))


def frame(parts: Sequence[bytes]) -> bytes:
    """One frame around the bytes of some records."""
    body = b"".join(parts)
    return _FRAME.pack(len(body), crc32(body)) + body


def records(content: bytes) -> Iterator[Record]:
    """Every record of a file up to where it is cut off or damaged.

    Raises:
        ValueError: a whole frame that says what this release does not understand.
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
    """The record at `at`, and where the next one begins."""
    kind = body[at]
    if kind == _INPUT:
        return _noted(body, at)
    if kind == _ACKED:
        return Acked(_SERIAL.unpack_from(body, at)[1]), at + _SERIAL.size
    _, length = _JSON.unpack_from(body, at)
    start = at + _JSON.size
    fields = orjson.loads(body[start : start + length])
    return _from_json(kind, fields), start + length


def _noted(body: memoryview, at: int) -> tuple[Noted, int]:
    _, serial, at_ns, packet_id, topic_bytes, payload_bytes = _FIELDS.unpack_from(body, at)
    at += _FIELDS.size
    topic = str(body[at : at + topic_bytes], "utf-8")
    at += topic_bytes
    payload = bytes(body[at : at + payload_bytes])
    message = Received(topic, payload, packet_id, retained=False, repeated=False, at_ns=at_ns)
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
