"""The data types of Sparkplug B 3.0.0, chapter 6.4.16, and how numbers of them are carried."""

from enum import IntEnum
from typing import Final

from models.errors import DecodeError
from models.sparkplug.payload import Unsupported, Value


class DataType(IntEnum):
    """Number of each data type that a metric or a property may have."""

    UNKNOWN = 0
    INT8 = 1
    INT16 = 2
    INT32 = 3
    INT64 = 4
    UINT8 = 5
    UINT16 = 6
    UINT32 = 7
    UINT64 = 8
    FLOAT = 9
    DOUBLE = 10
    BOOLEAN = 11
    STRING = 12
    DATETIME = 13
    TEXT = 14
    UUID = 15
    DATASET = 16
    BYTES = 17
    FILE = 18
    TEMPLATE = 19
    PROPERTY_SET = 20
    PROPERTY_SET_LIST = 21


_SIGNED: Final = {DataType.INT8: 8, DataType.INT16: 16, DataType.INT32: 32, DataType.INT64: 64}
_UNSIGNED: Final = {
    DataType.UINT8: 8,
    DataType.UINT16: 16,
    DataType.UINT32: 32,
    DataType.UINT64: 64,
    DataType.DATETIME: 64,
}
"""Bits of the whole numbers."""
_TYPES: Final[dict[int, type]] = {
    **dict.fromkeys((*_SIGNED, *_UNSIGNED), int),
    **dict.fromkeys((DataType.FLOAT, DataType.DOUBLE), float),
    DataType.BOOLEAN: bool,
    **dict.fromkeys((DataType.STRING, DataType.TEXT, DataType.UUID), str),
}


def typed(value: Value, datatype: int) -> float | int | bool | str | None:
    """A value as its data type means it, which data do not name themselves.

    Args:
        value: as `models.sparkplug.decoder` returns it.
        datatype: number of the data type, from the metric or from its birth.

    Raises:
        DecodeError: `unsupported` for a data set, a template, bytes and every type that is not
            read; `not_a_number` for a value of another type; `not_finite` for a whole number that
            is too large for its type.
    """
    if value is None:
        return None
    if isinstance(value, Unsupported) or datatype not in _TYPES:
        raise DecodeError("unsupported")
    if type(value) is not _TYPES[datatype]:
        raise DecodeError("not_a_number")
    if type(value) is int:
        return _whole(value, datatype)
    return value


def _whole(carried: int, datatype: int) -> int:
    """A whole number as its type means it; negative ones are carried in two's complement.

    Those of 8 and of 16 bits come in 32 bits, and from some senders in as many as they have.
    """
    if datatype in _UNSIGNED:
        number, bits = carried, _UNSIGNED[DataType(datatype)]
        if number >> bits:
            raise DecodeError("not_finite")
        return number
    bits = _SIGNED[DataType(datatype)]
    width = 64 if bits == 64 else 32  # noqa: PLR2004  in long_value or in int_value
    number = carried - (1 << width) if carried >> (width - 1) else carried
    if 1 << (bits - 1) <= number < 1 << bits:
        number -= 1 << bits
    if not -(1 << (bits - 1)) <= number < 1 << (bits - 1):
        raise DecodeError("not_finite")
    return number
