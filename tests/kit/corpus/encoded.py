"""The corpus in other encodings than JSON text, and every number that such bytes may mean."""

import gzip
import json
import re
import struct
from collections.abc import Callable, Iterator
from typing import Any, Final

import cbor2
import msgpack

from tests.kit.corpus.cases import Case

WRITERS: Final[dict[str, Callable[[Any], bytes]]] = {
    "gzip": lambda document: gzip.compress(json.dumps(document).encode(), mtime=0),
    "cbor": cbor2.dumps,
    "msgpack": msgpack.packb,
}
"""Writes a JSON document in an encoding, by its name."""
# First byte and format of struct, big-endian: RFC 8949, 3 and the specification of MessagePack.
_CBOR: Final = {
    0x18: "B",
    0x19: "H",
    0x1A: "I",
    0x1B: "Q",
    0xF9: "e",
    0xFA: "f",
    0xFB: "d",
}
_CBOR_NEGATIVE: Final = {0x38: "B", 0x39: "H", 0x3A: "I", 0x3B: "Q"}
_MESSAGE_PACK: Final = {
    0xCC: "B",
    0xCD: "H",
    0xCE: "I",
    0xCF: "Q",
    0xCA: "f",
    0xCB: "d",
    0xD0: "b",
    0xD1: "h",
    0xD2: "i",
    0xD3: "q",
}
_TIME_32, _TIME_64, _TIME_96 = 6, 10, 15  # bytes of its timestamps
_TEXT: Final = re.compile(rb"(?=(-?[0-9]+(?:[.,][0-9]+)?(?:[eE][-+]?[0-9]+)?))")


def encoded(case: Case, encoding: str) -> Case | None:
    """A case whose payloads are written in an encoding; None where they are no JSON documents."""
    write = WRITERS[encoding]
    try:
        payload = write(json.loads(case.payload))
        before = [(topic, write(json.loads(one))) for topic, one in case.before]
    except (ValueError, OverflowError):
        return None
    return case._replace(
        source={**case.source, "encoding": encoding}, payload=payload, before=before
    )


def numbers_in(payload: bytes) -> set[float]:
    """Every number that may begin at any byte of CBOR or MessagePack, and those in its texts."""
    found = {float(one.replace(b",", b".")) for one in _TEXT.findall(payload)}
    for at, first in enumerate(payload):
        found |= {float(first & 0x1F), -1.0 - (first & 0x1F), float(first), float(first - 256)}
        found.update(_wide(payload[at + 1 : at + 9], first))
        found.update(_time(payload[at : at + 15]))
    return found


def _time(content: bytes) -> Iterator[float]:
    """The nanoseconds of a timestamp of MessagePack that may begin with these bytes."""
    if content[:2] == b"\xd6\xff" and len(content) >= _TIME_32:
        yield float(int.from_bytes(content[2:_TIME_32]) * 10**9)
    elif content[:2] == b"\xd7\xff" and len(content) >= _TIME_64:
        both = int.from_bytes(content[2:_TIME_64])
        yield float((both & (1 << 34) - 1) * 10**9 + (both >> 34))
    elif content[:3] == b"\xc7\x0c\xff" and len(content) == _TIME_96:
        nanoseconds, seconds = struct.unpack(">Iq", content[3:])
        yield float(seconds * 10**9 + nanoseconds)


def _wide(content: bytes, first: int) -> Iterator[float]:
    """The numbers of several bytes that a first byte announces."""
    for formats in (_CBOR, _CBOR_NEGATIVE, _MESSAGE_PACK):
        code = formats.get(first)
        if code is None or len(content) < struct.calcsize(code):
            continue
        (number,) = struct.unpack_from(f">{code}", content)
        yield float(-1 - number if formats is _CBOR_NEGATIVE else number)
