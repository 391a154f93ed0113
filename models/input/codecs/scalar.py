"""Payload formats `scalar` and `umh`: one topic for each signal, one value in each message.

23.5                                             scalar: plain text
{"value": 23.5, "timestamp": 1760000000}         scalar: with paths of value and timestamp
{"timestamp_ms": 1760000000000, "value": 23.5}   umh: exactly these keys
"""

import math
from collections.abc import Sequence

from models.errors import DecodeError
from models.input.codecs.document import parse
from models.input.codecs.json_row import JsonRowDecoder
from models.input.codecs.reading import Fields, Reading, to_number

MAX_PLAIN_BYTES = 64
"""Longest plain number. The longest float64 that a program prints has 24 characters."""
_UMH_KEYS = {"timestamp_ms", "value"}


def decode_plain(payload: bytes) -> Sequence[Reading]:
    """The one reading of a payload that is a number as text, as PLC gateways and Telegraf write it.

    Raises:
        DecodeError: `empty`, `not_a_number` or `not_finite`.
    """
    if not payload:
        raise DecodeError("empty")
    try:
        # float() also takes "1_000", "nan" and the digits of other scripts; none of them is a
        # number here. One byte more than allowed is read, so that a longer payload is noticed.
        value = float(payload[: MAX_PLAIN_BYTES + 1].decode("ascii"))
    except ValueError as exc:
        raise DecodeError("not_a_number") from exc
    if b"_" in payload or len(payload) > MAX_PLAIN_BYTES:
        raise DecodeError("not_a_number")
    if not math.isfinite(value):
        raise DecodeError("not_finite")
    return (Reading(None, (value,)),)


def scalar_decoder(value_path: str, fields: Fields) -> JsonRowDecoder:
    """Decoder of JSON objects with one value.

    Args:
        value_path: path of the value; empty: the key `value`.
        fields: where the payload has its time, quality and sequence number.
    """
    return JsonRowDecoder([value_path or "value"], fields)


def decode_umh(payload: bytes) -> Sequence[Reading]:
    """The one reading of a payload of the United Manufacturing Hub's `_historian` or `_raw` schema.

    Raises:
        DecodeError: `not_an_object`; `unknown_layout` if the object has other keys than
            `timestamp_ms` and `value`, or a time that is not an integer; see `to_number`.
    """
    document = parse(payload)
    if not isinstance(document, dict):
        raise DecodeError("not_an_object")
    if document.keys() != _UMH_KEYS or type(document["timestamp_ms"]) is not int:
        raise DecodeError("unknown_layout")
    value = to_number(document["value"])
    return (Reading(document["timestamp_ms"] * 1_000_000, (value,)),)
