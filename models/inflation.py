"""Inflating what was compressed, but never to more bytes than are allowed."""

import zlib
from typing import Final

# zlib.h, inflateInit2: 15 for the format of zlib (RFC 1950), 16 more for that of gzip (RFC 1952).
ZLIB: Final = 15
GZIP: Final = 31
MAX_MEMBERS: Final = 100
"""Most members of a gzip file (RFC 1952, 2.2). Each costs a copy of what stands behind it."""
_GZIP_MAGIC: Final = b"\x1f\x8b"


class InflationError(ValueError):
    """Bytes that cannot be inflated; the message continues a sentence that names them."""


class InflatedTooLargeError(InflationError):
    """Bytes that would inflate to more than is allowed."""


def inflated(content: bytes, window_bits: int, max_bytes: int) -> bytes:
    """Inflate bytes; no more than `max_bytes` and one byte are ever in memory, however few came.

    Args:
        content: the compressed bytes; in the format of gzip also several members in a row.
        window_bits: the format, `ZLIB` or `GZIP`.
        max_bytes: bytes that are allowed once they are inflated.

    Raises:
        InflatedTooLargeError: there would be more.
        InflationError: they are cut off, damaged, have something behind their end, or have more
            than `MAX_MEMBERS` members.
    """
    parts: list[bytes] = []
    room = max_bytes
    for _ in range(MAX_MEMBERS):
        inflater = zlib.decompressobj(window_bits)
        try:
            part = inflater.decompress(content, room + 1)
        except zlib.error as exc:
            raise InflationError(f"cannot be inflated: {exc}") from exc
        if len(part) > room:
            raise InflatedTooLargeError(f"has more than {max_bytes} bytes once it is inflated")
        if not inflater.eof:
            raise InflationError("is cut off")
        parts.append(part)
        room -= len(part)
        content = inflater.unused_data
        if not content:
            return b"".join(parts)
        if window_bits != GZIP or not content.startswith(_GZIP_MAGIC):
            raise InflationError("has something behind its end")
    raise InflationError(f"has more than {MAX_MEMBERS} members")
