"""Fields of a Protocol Buffers message, and varints (protobuf.dev, "Encoding").

A field begins with its key, a varint: the number of the field times 8, and its wire type. These are
0 a varint, 1 eight bytes, 2 a length and so many bytes, 5 four bytes. The wire types 3 and 4 are
groups, which no schema of Sparkplug uses; they are refused.
"""

from collections.abc import Iterator
from typing import Any, Final

from models.errors import DecodeError

_VARINT, _LENGTH = 0, 2
_SIZES: Final = {1: 8, 5: 4}
_KEY_BITS: Final = 32
_MORE: Final = 0x80  # the bit of a byte by which another byte of the varint follows
_SHIFTS: Final = range(7, 64, 7)  # of the bytes of a varint but the first; 64 bits take 10 bytes
_SHORT: Final = tuple(bytes((number,)) for number in range(_MORE))


def fields(content: bytes) -> Iterator[tuple[int, Any]]:
    """The fields of a message in order: the key of each, and its number or its bytes.

    Raises:
        DecodeError: `not_sparkplug`: a field is cut off, or its wire type is none of these.
    """
    position, end = 0, len(content)
    while position < end:
        key, position = read_varint(content, position)
        wire_type = key & 7
        if key >> _KEY_BITS:
            raise DecodeError("not_sparkplug")
        if wire_type == _VARINT:
            number, position = read_varint(content, position)
            yield key, number
            continue
        if wire_type == _LENGTH:
            size, position = read_varint(content, position)
        else:
            size = _SIZES.get(wire_type, end)
        if size > end - position:
            raise DecodeError("not_sparkplug")
        yield key, content[position : position + size]
        position += size


def read_varint(content: bytes, position: int = 0) -> tuple[int, int]:
    """The number that begins at a position, and the position behind it.

    Raises:
        DecodeError: `not_sparkplug`: the number is cut off, or longer than 64 bits allow.
    """
    try:
        byte = content[position]
        if byte < _MORE:
            return byte, position + 1
        number = byte & 0x7F
        for shift in _SHIFTS:
            position += 1
            byte = content[position]
            number |= (byte & 0x7F) << shift
            if byte < _MORE:
                return number & 0xFFFF_FFFF_FFFF_FFFF, position + 1
    except IndexError as exc:
        raise DecodeError("not_sparkplug") from exc
    raise DecodeError("not_sparkplug")


def varint(number: int) -> bytes:
    """Encode a number from 0 to 2**64 - 1."""
    if number < _MORE:
        return _SHORT[number]
    content = bytearray()
    while number >= _MORE:
        content.append(number & 0x7F | _MORE)
        number >>= 7
    content.append(number)
    return bytes(content)
