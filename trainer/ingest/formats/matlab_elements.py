"""Checks that the data elements of a MATLAB file of version 5 to 7 are what each other says.

SciPy trusts the types, counts and sizes that stand in a file: one that is damaged would end the
process. The format is that of MathWorks, "MAT-File Format", chapter "Level 5 MAT-File Format".
"""

import math
import zlib
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

HEADER_BYTES: Final = 128
_TAG_BYTES: Final = 8
_INT8, _INT32, _UINT32, _ARRAY, _COMPRESSED = 1, 5, 6, 14, 15
_NUMBERS: Final = frozenset({*range(1, 8), 9, 12, 13})
_TEXTS: Final = frozenset({1, 2, 3, 4, 16, 17, 18})
_TYPES: Final = frozenset({*range(1, 8), 9, *range(12, 19)})
_CELL, _STRUCT, _CHAR, _SPARSE = 1, 2, 4, 5
_NUMERIC_CLASSES: Final = range(6, 16)
_CLASSES: Final = range(1, 18)
_COMPLEX: Final = 0x08
_MAX_DEPTH: Final = 32
_DIMENSIONS_BYTES: Final = range(2 * 4, 32 * 4 + 1, 4)
_FEW: Final = 1 << 16  # so many elements may be without a byte of their own


class BrokenFileError(ValueError):
    """A data element is of no known type, or does not have what belongs to it."""


class _Element(NamedTuple):
    kind: int
    content: memoryview


def check(content: bytes, max_bytes: int) -> None:
    """Check all elements of a file.

    Args:
        content: all bytes of the file.
        max_bytes: how many bytes the compressed elements may have unpacked, all together.

    Raises:
        BrokenFileError: a SciPy that reads this file would read beside its memory.
    """
    order = content[126:HEADER_BYTES]
    if order not in (b"IM", b"MI"):
        raise BrokenFileError("the header is none of MATLAB's version 5 to 7")
    walk = _Walk("little" if order == b"IM" else "big", max_bytes)
    walk.elements(memoryview(content)[HEADER_BYTES:], 0)


class _Walk:
    def __init__(self, order: Literal["little", "big"], room: int) -> None:
        self._order: Literal["little", "big"] = order
        self._room = room

    def elements(self, content: memoryview, depth: int) -> list[_Element]:
        """Walk over elements that follow each other to the end of `content`."""
        if depth > _MAX_DEPTH:
            raise BrokenFileError(f"structures lie in each other more than {_MAX_DEPTH} times")
        found, at = list[_Element](), 0
        while at < len(content):
            kind, size, begin = self._tag(content, at)
            inner = content[begin : begin + size]
            if kind not in _TYPES or len(inner) < size:
                raise BrokenFileError(f"an element of type {kind} and {size} bytes does not fit")
            if kind == _COMPRESSED:
                self.elements(memoryview(self._unpacked(inner)), depth + 1)
            elif kind == _ARRAY:
                self._check_array(self.elements(inner, depth + 1))
            found.append(_Element(kind, inner))
            if begin - at < _TAG_BYTES:  # a small element lies in its tag
                at += _TAG_BYTES
            else:
                at = begin + size + (0 if kind == _COMPRESSED else -size % _TAG_BYTES)
        return found

    def _check_array(self, parts: Sequence[_Element]) -> None:
        """Check that an array has the parts that its class, flags and dimensions ask for."""
        if not parts:
            return
        if parts[0].kind != _UINT32 or len(parts[0].content) != 2 * 4:
            raise BrokenFileError("an array has no flags")
        flags = self._number(parts[0].content[:4])
        kind, is_complex = flags & 0xFF, bool(flags >> 8 & _COMPLEX)
        if kind not in _CLASSES:
            raise BrokenFileError(f"an array is of class {kind}")
        if kind not in (_CELL, _STRUCT, _CHAR, _SPARSE, *_NUMERIC_CLASSES):
            return  # an object or a function, of which nothing is read
        kinds = [part.kind for part in parts]
        if kinds[1:3] != [_INT32, _INT8] or len(parts[1].content) not in _DIMENSIONS_BYTES:
            raise BrokenFileError("an array has no dimensions or no name")
        rest, count = kinds[3:], math.prod(self._numbers(parts[1]))
        if kind != _SPARSE and count > max(_FEW, sum(len(part.content) for part in parts)):
            raise BrokenFileError(f"an array of {count} elements has too few bytes")
        expected = self._expected(kind, parts, count)
        if kind in _NUMERIC_CLASSES or kind == _CHAR:
            allowed = _TEXTS if kind == _CHAR else _NUMBERS
            fits = len(rest) == 1 + is_complex and {*rest} <= allowed
        elif kind == _SPARSE:
            fits = rest[:2] == [_INT32] * 2 and len(rest) == 3 + is_complex and rest[2] in _NUMBERS
        else:
            fits = rest[-expected:] == [_ARRAY] * expected if expected else _ARRAY not in rest
            fits &= len(rest) == expected + (2 if kind == _STRUCT else 0)
        if not fits:
            raise BrokenFileError(f"an array of class {kind} does not have what belongs to it")

    def _expected(self, kind: int, parts: Sequence[_Element], count: int) -> int:
        """How many arrays a cell array or a structure holds."""
        if kind != _STRUCT:
            return count
        is_named = [part.kind for part in parts[3:5]] == [_INT32, _INT8]
        if not is_named or len(parts[3].content) != 4:  # noqa: PLR2004  one number
            raise BrokenFileError("a structure has no names")
        length = self._number(parts[3].content[:4])
        names = len(parts[4].content)
        if not length or names % length:
            raise BrokenFileError("the names of a structure are broken")
        return count * (names // length)

    def _tag(self, content: memoryview, at: int) -> tuple[int, int, int]:
        """Type and size of an element, and where its content begins."""
        tag = content[at : at + _TAG_BYTES]
        if len(tag) < _TAG_BYTES:
            raise BrokenFileError("the file ends within an element")
        first, second = self._number(tag[:4]), self._number(tag[4:])
        if first >> 16:  # a small element, with up to four bytes in its tag
            if first >> 16 > _TAG_BYTES // 2:
                raise BrokenFileError(f"a small element has {first >> 16} bytes")
            return first & 0xFFFF, first >> 16, at + 4
        return first, second, at + _TAG_BYTES

    def _number(self, four: memoryview) -> int:
        return int.from_bytes(four, self._order)

    def _numbers(self, part: _Element) -> list[int]:
        return [self._number(part.content[i : i + 4]) for i in range(0, len(part.content), 4)]

    def _unpacked(self, packed: memoryview) -> bytes:
        unpacking = zlib.decompressobj()
        content = unpacking.decompress(packed, self._room)
        self._room -= len(content)
        if not unpacking.eof or self._room <= 0:
            raise BrokenFileError("compressed elements are cut off, or too large unpacked")
        return content
