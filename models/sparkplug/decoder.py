"""Reads payloads of Sparkplug B 3.0.0.

Data sets, templates, bytes and properties of properties are recognised and not read, so nothing is
nested deeper than the properties of a metric.
"""

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final

from models.errors import DecodeError
from models.inflation import GZIP, ZLIB, InflatedTooLargeError, InflationError, inflated
from models.sparkplug import schema
from models.sparkplug.payload import NO_PROPERTIES, Metric, Payload, Property, Unsupported, Value
from models.sparkplug.plain import decode_plain
from models.sparkplug.wire import fields

MAX_METRICS: Final = 100_000
"""Metrics that one payload may have, which bounds how long it is decoded."""
_COMPRESSED: Final = b"SPBV1.0_COMPRESSED"
_FORMATS: Final = {"DEFLATE": ZLIB, "GZIP": GZIP}
_Readers = Mapping[int, Callable[[Any], Value]]
_float, _double = struct.Struct("<f").unpack, struct.Struct("<d").unpack


def decode(content: bytes, max_bytes: int = 1 << 20) -> Payload:
    """The content of a payload, also of one that is compressed.

    Args:
        content: the payload.
        max_bytes: bytes that it may have once it is inflated.

    Raises:
        DecodeError: `not_sparkplug`: it is cut off, a field has another type than in the schema, a
            metric has two values, text is not UTF-8, or it cannot be inflated;
            `inflated_too_large`; `too_many_entries`: it has more than `MAX_METRICS` metrics.
    """
    payload = decode_plain(content) or decode_any(content, max_bytes)
    if len(payload.metrics) > MAX_METRICS:
        raise DecodeError("too_many_entries")
    return payload


def decode_any(content: bytes, max_bytes: int = 0) -> Payload:
    """The content of a payload that may have anything; see `decode`.

    Compressed ones are not part of Sparkplug 3.0.0. Eclipse Tahu and the modules and libraries of
    Cirrus Link write them: a payload whose body is another one.
    """
    found: dict[int, Any] = {}
    metrics: list[Metric] = []
    for key, raw in fields(content):
        found[key] = raw
        if key == schema.METRIC:
            if len(metrics) == MAX_METRICS:
                raise DecodeError("too_many_entries")
            metrics.append(_metric(raw))
    _check(found.keys(), schema.PAYLOAD_KEYS)
    if found.get(schema.UUID) == _COMPRESSED:
        if not max_bytes:
            raise DecodeError("not_sparkplug")  # it is compressed twice
        body = _inflated(found.get(schema.BODY, b""), metrics, max_bytes)
        return decode_plain(body) or decode_any(body)
    return Payload(found.get(schema.SENT_AT), metrics, found.get(schema.SEQ))


def _inflated(body: bytes, metrics: Sequence[Metric], max_bytes: int) -> bytes:
    named = [one.value for one in metrics if one.name == "algorithm"]
    algorithm = str(named[0]).upper() if named else "DEFLATE"
    if algorithm not in _FORMATS:
        raise DecodeError("not_sparkplug")
    try:
        return inflated(body, _FORMATS[algorithm], max_bytes)
    except InflatedTooLargeError as exc:
        raise DecodeError("inflated_too_large") from exc
    except InflationError as exc:
        raise DecodeError("not_sparkplug") from exc


def _metric(content: bytes) -> Metric:
    found = dict(fields(content))
    _check(found.keys(), _METRIC_KEYS)
    name, properties = found.get(schema.NAME), found.get(schema.PROPERTIES)
    value = _value(found, _METRIC_VALUES)
    return Metric(
        None if name is None else _text(name),
        found.get(schema.ALIAS),
        found.get(schema.AT),
        found.get(schema.DATATYPE, 0),
        None if found.get(schema.IS_NULL) else value,
        bool(found.get(schema.IS_HISTORICAL)),
        bool(found.get(schema.IS_TRANSIENT)),
        NO_PROPERTIES if properties is None else _properties(properties),
    )


def _properties(content: bytes) -> Mapping[str, Property]:
    """The set of properties of a metric: their names and they themselves are two lists."""
    lists: dict[int, list[Any]] = {schema.SET_NAME: [], schema.SET_VALUE: []}
    others = set()
    for key, raw in fields(content):
        if key in lists:
            lists[key].append(raw)
        else:
            others.add(key)
    _check(others, schema.SET_KEYS)
    names, properties = lists.values()
    if len(names) != len(properties):
        raise DecodeError("not_sparkplug")
    return dict(zip(map(_text, names), map(_property, properties), strict=True))


def _property(content: bytes) -> Property:
    found = dict(fields(content))
    _check(found.keys(), _PROPERTY_KEYS)
    value = _value(found, _PROPERTY_VALUES)
    is_null = found.get(schema.PROPERTY_IS_NULL)
    return Property(found.get(schema.PROPERTY_TYPE, 0), None if is_null else value)


def _check(found: AbstractSet[int], known: AbstractSet[int]) -> None:
    """Refuse a field that has another wire type than in the schema, and one of number 0.

    Fields with other numbers are extensions, which are passed over.
    """
    if found <= known:
        return
    numbers = {0, *(key >> 3 for key in known)}
    if any(key >> 3 in numbers for key in found - known):
        raise DecodeError("not_sparkplug")


def _value(found: Mapping[int, Any], readers: _Readers) -> Value:
    """The value among the fields of a metric or of a property; at most one may be there."""
    values: Sequence[Value] = [readers[key](raw) for key, raw in found.items() if key in readers]
    if len(values) > 1:
        raise DecodeError("not_sparkplug")
    return values[0] if values else None


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as exc:
        raise DecodeError("not_sparkplug") from exc


def _readers(first: int, unsupported: Iterable[str]) -> dict[int, Callable[[Any], Value]]:
    """What reads a value, by the key of its field.

    Args:
        first: number of the field for whole numbers of up to 32 bits.
        unsupported: what the fields behind those that are read are for.
    """
    key = first << 3
    readers: dict[int, Callable[[Any], Value]] = {
        key + schema.INT: lambda raw: raw & 0xFFFF_FFFF,  # as in Protocol Buffers
        key + schema.LONG: int,
        key + schema.FLOAT: lambda raw: _float(raw)[0],
        key + schema.DOUBLE: lambda raw: _double(raw)[0],
        key + schema.BOOLEAN: bool,
        key + schema.STRING: _text,
    }
    for number, kind in enumerate(unsupported, first + 6):
        readers[number << 3 | 2] = _stand_in(kind)
    return readers


def _stand_in(kind: str) -> Callable[[Any], Value]:
    value = Unsupported(kind)
    return lambda _raw: value


_METRIC_VALUES = _readers(schema.METRIC_VALUE, schema.METRIC_UNSUPPORTED)
_METRIC_KEYS = schema.METRIC_KEYS | _METRIC_VALUES.keys()
_PROPERTY_VALUES = _readers(schema.PROPERTY_VALUE, schema.PROPERTY_UNSUPPORTED)
_PROPERTY_KEYS = schema.PROPERTY_KEYS | _PROPERTY_VALUES.keys()
