"""Dialects `scalar` and `umh`: one topic a signal, one value a message.

23.5                                       scalar, plain text
{"value": 23.5, "timestamp": 1760000000}   scalar, with paths to value and timestamp
{"timestamp_ms": 1760000000000, "value": 23.5}   umh: exactly these keys, one tag a topic
"""

from collections.abc import Sequence

from models.errors import DecodeError
from models.input.codecs.document import parse
from models.input.codecs.json_row import JsonRow
from models.input.codecs.reading import Fields, Reading, to_number

MAX_PLAIN_BYTES = 64
_UMH_KEYS = {"timestamp_ms", "value"}


def decode_plain(payload: bytes) -> Sequence[Reading]:
    """A number as text, the way PLC gateways and Telegraf write it.

    Raises:
        DecodeError: `empty`, `not_a_number` or `not_finite`.
    """
    if not payload:
        raise DecodeError("empty")
    try:
        # float() takes more than a number on the wire may be: underscores, "nan", other digits.
        value = float(payload[: MAX_PLAIN_BYTES + 1].decode("ascii"))
    except ValueError as exc:
        raise DecodeError("not_a_number") from exc
    if b"_" in payload or len(payload) > MAX_PLAIN_BYTES:
        raise DecodeError("not_a_number")
    if value - value != 0:
        raise DecodeError("not_finite")
    return (Reading(None, (value,)),)


def scalar(value_path: str, fields: Fields) -> JsonRow:
    """Decoder of one value in a JSON object."""
    return JsonRow([value_path or "value"], fields)


def decode_umh(payload: bytes) -> Sequence[Reading]:
    """United Manufacturing Hub's `_historian` and `_raw` payload.

    Raises:
        DecodeError: `not_an_object`, `unknown_layout` if the keys are not exactly the two, and
            those of `to_number`.
    """
    document = parse(payload)
    if not isinstance(document, dict):
        raise DecodeError("not_an_object")
    if document.keys() != _UMH_KEYS or type(document["timestamp_ms"]) is not int:
        raise DecodeError("unknown_layout")
    value = to_number(document["value"])
    return (Reading(document["timestamp_ms"] * 1_000_000, (value,)),)
