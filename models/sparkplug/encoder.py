"""Writes payloads of Sparkplug B 3.0.0, with the fields of each message in order of their numbers.

A birth has the name, the alias and the data type of each metric. Data have the alias alone, since
the birth has told the rest (chapters 6.4.5 and 6.4.6).
"""

import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from models.sparkplug import schema
from models.sparkplug.datatype import DataType
from models.sparkplug.payload import Metric, Payload, Property
from models.sparkplug.wire import varint

_float, _double = struct.Struct("<f").pack, struct.Struct("<d").pack


def encode(payload: Payload, *, is_birth: bool, has_types: bool = False) -> bytes:
    """The bytes of a payload.

    Args:
        payload: its content. A value must be of the data type of its metric, and a whole number
            within its range.
        is_birth: whether metrics that have an alias are written with their names, and all with
            their data types.
        has_types: whether metrics of data have their data types all the same.
    """
    parts: list[bytes] = []
    if payload.timestamp_ms is not None:
        parts += b"\x08", varint(payload.timestamp_ms)
    for metric in payload.metrics:
        fields = _metric(metric, is_birth=is_birth, has_types=is_birth or has_types)
        content = b"".join(fields)
        parts += b"\x12", varint(len(content)), content
    if payload.seq is not None:
        parts += b"\x18", varint(payload.seq)
    return b"".join(parts)


def _metric(metric: Metric, *, is_birth: bool, has_types: bool) -> Iterator[bytes]:
    name, alias, timestamp_ms, datatype, value, is_historical, is_transient, properties = metric
    if name is not None and (is_birth or alias is None):
        yield _sized(schema.NAME, name.encode())
    if alias is not None:
        yield b"\x10" + varint(alias)
    if timestamp_ms is not None:
        yield b"\x18" + varint(timestamp_ms)
    if has_types:
        yield b"\x20" + varint(datatype)
    if is_historical:
        yield b"\x28\1"
    if is_transient:
        yield b"\x30\1"
    if value is None:
        yield b"\x38\1"
    if properties:
        yield _sized(schema.PROPERTIES, _property_set(properties))
    if value is not None:
        yield _METRIC_VALUES[datatype](value)


def _property_set(properties: Mapping[str, Property]) -> bytes:
    names = [_sized(schema.SET_NAME, name.encode()) for name in properties]
    values = [_sized(schema.SET_VALUE, _property(one)) for one in properties.values()]
    return b"".join(names + values)


def _property(one: Property) -> bytes:
    value = b"\x10\1" if one.value is None else _PROPERTY_VALUES[one.datatype](one.value)
    return b"\x08" + varint(one.datatype) + value


def _sized(key: int, content: bytes) -> bytes:
    return b"".join((varint(key), varint(len(content)), content))


def _writers(first: int) -> Mapping[int, Callable[[Any], bytes]]:
    """What writes a value with its key, by the data type.

    Args:
        first: number of the field for whole numbers of up to 32 bits.
    """
    integer, long, real, double, boolean = (
        varint((first << 3) + kind)
        for kind in (schema.INT, schema.LONG, schema.FLOAT, schema.DOUBLE, schema.BOOLEAN)
    )
    writers: dict[int, Callable[[Any], bytes]] = {
        DataType.FLOAT: lambda value: real + _float(value),
        DataType.DOUBLE: lambda value: double + _double(value),
        DataType.BOOLEAN: lambda value: boolean + (b"\1" if value else b"\0"),
    }
    for datatype in (DataType.INT64, DataType.UINT64, DataType.DATETIME):
        writers[datatype] = lambda value: long + varint(value & 0xFFFF_FFFF_FFFF_FFFF)
    for datatype in _UP_TO_32_BITS:
        writers[datatype] = lambda value: integer + varint(value & 0xFFFF_FFFF)
    for datatype in (DataType.STRING, DataType.TEXT, DataType.UUID):
        writers[datatype] = lambda value: _sized((first << 3) + schema.STRING, value.encode())
    return writers


_UP_TO_32_BITS: Final = (
    DataType.INT8,
    DataType.INT16,
    DataType.INT32,
    DataType.UINT8,
    DataType.UINT16,
    DataType.UINT32,
)
_METRIC_VALUES = _writers(schema.METRIC_VALUE)
_PROPERTY_VALUES = _writers(schema.PROPERTY_VALUE)
