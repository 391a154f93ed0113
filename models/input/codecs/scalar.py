"""Payload formats `scalar` and `umh`: one topic for each signal, one value in each message.

23.5                                             scalar: plain text
{"value": 23.5, "timestamp": 1760000000}         scalar: with paths of value and timestamp
{"timestamp_ms": 1760000000000, "value": 23.5}   umh: exactly these keys
"""

import math
from collections.abc import Sequence

from models.errors import DecodeError
from models.input.codecs.document import Parse, parse_message
from models.input.codecs.json_row import JsonRowDecoder
from models.input.codecs.reading import Fields, Reading
from models.input.codecs.values import ValueReader, read_single, to_number
from models.states import States

MAX_PLAIN_BYTES = 64
"""Longest plain value. The longest float64 that a program prints has 24 characters."""
_UMH_KEYS = {"timestamp_ms", "value"}
_TRUTH = {"true": True, "false": False}


class PlainDecoder:
    """Decoder of a payload that is one value as text, as PLC gateways and Telegraf write it.

    Args:
        read: what reads the value of the signal where it is no number.
    """

    def __init__(self, read: ValueReader = to_number) -> None:
        self._read = read
        self._is_of_states = isinstance(read, States)

    def __call__(self, payload: bytes) -> Sequence[Reading]:
        """The one reading of a payload.

        Raises:
            DecodeError: `empty`, `not_a_number` or `not_finite`.
        """
        if not payload:
            raise DecodeError("empty")
        if len(payload) > MAX_PLAIN_BYTES:
            raise DecodeError("not_a_number")
        if self._is_of_states or (value := _number(payload)) is None:
            return (self._of_text(payload),)
        if not math.isfinite(value):
            raise DecodeError("not_finite")
        return (Reading(None, (value,)),)

    def _of_text(self, payload: bytes) -> Reading:
        try:
            text = payload.decode()
        except UnicodeDecodeError as exc:
            raise DecodeError("not_a_number") from exc
        values, unread = read_single(self._read, _TRUTH.get(text.strip(), text))
        return Reading(None, values, unread=unread)


def _number(payload: bytes) -> float | None:
    """The number that a payload is, None if it is none.

    float() also takes "1_000" and the digits of other scripts, which are no numbers here.
    """
    if b"_" in payload or not payload.isascii():
        return None
    try:
        return float(payload)
    except ValueError:
        return None


class BareDecoder:
    """Decoder of a document that is one value, such as a number in CBOR.

    Args:
        read: what reads the value of the signal.
        parse: turns a payload into its document.
    """

    def __init__(self, read: ValueReader, parse: Parse) -> None:
        self._read = read
        self._parse = parse

    def __call__(self, payload: bytes) -> Sequence[Reading]:
        """The one reading of a payload.

        Raises:
            DecodeError: see the parser and `read_single`.
        """
        values, unread = read_single(self._read, self._parse(payload))
        return (Reading(None, values, unread=unread),)


def scalar_decoder(
    value_path: str,
    fields: Fields,
    read: ValueReader = to_number,
    parse: Parse = parse_message,
) -> JsonRowDecoder:
    """Decoder of objects with one value.

    Args:
        value_path: path of the value; empty: the key `value`.
        fields: where the payload has its time, quality and sequence number.
        read: what reads the value of the signal.
        parse: turns a payload into its document; if omitted, the payload is JSON text.
    """
    return JsonRowDecoder([value_path or "value"], fields, [read], parse)


class UmhDecoder:
    """Decoder of the United Manufacturing Hub's `_historian` or `_raw` schema.

    Args:
        read: what reads the value of the signal.
        parse: turns a payload into its document; if omitted, the payload is JSON text.
    """

    def __init__(self, read: ValueReader = to_number, parse: Parse = parse_message) -> None:
        self._read = read
        self._parse = parse

    def __call__(self, payload: bytes) -> Sequence[Reading]:
        """The one reading of a payload.

        Raises:
            DecodeError: `not_an_object`; `unknown_layout` if the object has other keys than
                `timestamp_ms` and `value`, or a time that is not a whole number; see `read_single`.
        """
        document = self._parse(payload)
        if not isinstance(document, dict):
            raise DecodeError("not_an_object")
        time_ms = document.get("timestamp_ms")
        if type(time_ms) is float and time_ms.is_integer():
            time_ms = int(time_ms)  # umh-core documents 1760000000000.0 as allowed
        if document.keys() != _UMH_KEYS or type(time_ms) is not int:
            raise DecodeError("unknown_layout")
        values, unread = read_single(self._read, document["value"])
        return (Reading(time_ms * 1_000_000, values, unread=unread),)
