"""Reads the payloads of Sparkplug B of which plants have the most, in less time than any other.

Their metrics have an alias, a time and a number or a boolean, in the order of the field numbers, as
writers of Protocol Buffers put them. A regular expression reads these at the speed of C, where the
general way takes five times as long in Python. What it does not match is left to that (ADR 44).
"""

import re
import struct
from typing import Final

from models.sparkplug.payload import NO_PROPERTIES, Metric, Payload
from models.sparkplug.wire import read_varint

_INT, _FLOAT, _DOUBLE, _BOOLEAN = 0x50, 0x65, 0x69, 0x70  # keys of the values
_VARINT: Final = rb"[\x80-\xff]{0,9}[\0-\x7f]"
_float, _double = struct.Struct("<xf").unpack, struct.Struct("<xd").unpack
_made = tuple.__new__  # takes half the time of calling `Metric`


def _metric(opening: bytes) -> bytes:
    """The pattern of one metric.

    Args:
        opening: how its groups begin: the length; alias, time and data type with their keys; the
            value with its key.
    """
    value = rb"\x69.{8}|\x65.{4}|\x70[\0\1]|[\x50\x58]" + _VARINT
    groups = rb".", rb"\x10" + _VARINT, rb"\x18" + _VARINT, rb"(?:\x20[\0-\x7f])?", value
    return rb"\x12" + b"".join(opening + group + b")" for group in groups)


_metrics = re.compile(_metric(b"("), re.DOTALL).findall
_payload = re.compile(
    rb"(\x08%b)?((?:%b)++)(\x18%b)?" % (_VARINT, _metric(b"(?:"), _VARINT), re.DOTALL
).fullmatch


def decode_plain(content: bytes) -> Payload | None:
    """The content of a payload of such metrics; None if it is another."""
    found = _payload(content)
    if found is None:
        return None
    sent_at, _, seq = found.groups()
    metrics: list[Metric] = []
    times: dict[bytes, int] = {}  # most metrics of a message have the same time
    for size, alias, at, datatype, value in _metrics(content, *found.span(2)):
        if size[0] != len(alias) + len(at) + len(datatype) + len(value):
            return None
        at_ms = times.get(at)
        if at_ms is None:
            at_ms = times[at] = _number(at)
        fields = (
            None,
            alias[1] if len(alias) == 2 else _number(alias),  # noqa: PLR2004  its key and one byte
            at_ms,
            datatype[1] if datatype else 0,
            _double(value)[0] if value[0] == _DOUBLE else _other(value),
            False,
            False,
            NO_PROPERTIES,
        )
        metrics.append(_made(Metric, fields))
    return Payload(
        None if sent_at is None else _number(sent_at),
        metrics,
        None if seq is None else _number(seq),
    )


def _number(field: bytes) -> int:
    """The number of a field, which begins with its key."""
    return read_varint(field, 1)[0]


def _other(field: bytes) -> float | int | bool:
    """The value of a field that is no double."""
    if field[0] == _FLOAT:
        return _float(field)[0]  # type: ignore[no-any-return]  # struct knows no types
    number = _number(field)
    if field[0] == _BOOLEAN:
        return number > 0
    return number & 0xFFFF_FFFF if field[0] == _INT else number
