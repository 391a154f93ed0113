"""MessagePack to a document; imported only where an input has this encoding.

The format is https://github.com/msgpack/msgpack/blob/master/spec.md. A timestamp (extension -1)
becomes its nanoseconds since 1970.
"""

from collections.abc import Iterable
from typing import Any, Final

import msgpack

from models.errors import DecodeError
from models.input.codecs.document import MAX_DEPTH, Foreign

_NANOSECONDS: Final = 2  # msgpack, unpackb, argument timestamp
# First bytes of maps and arrays: fixmap, fixarray, array 16 and 32, map 16 and 32.
_CONTAINERS: Final = bytes((*range(0x80, 0xA0), *range(0xDC, 0xE0)))


def parse_msgpack(payload: bytes) -> Any:  # noqa: ANN401  any JSON value, bytes, or `Foreign`
    """The document that a MessagePack payload holds.

    Floats may be NaN or infinite. From extensions and byte strings no signal can be read.

    Raises:
        DecodeError: `empty`, `too_deep`, `duplicate_key`, or `not_msgpack`.
    """
    if not payload:
        raise DecodeError("empty")
    try:
        document = msgpack.unpackb(
            payload, object_pairs_hook=_object, ext_hook=_extension, timestamp=_NANOSECONDS
        )
    except msgpack.StackError as exc:
        raise DecodeError("too_deep") from exc
    except ValueError as exc:  # the root of msgpack's errors, and of that of UTF-8
        raise DecodeError("not_msgpack") from exc
    # As many levels need as many of these bytes, so nearly every payload ends here.
    if len(payload) - len(payload.translate(None, _CONTAINERS)) >= MAX_DEPTH:
        _check_depth(document)
    return document


def _object(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise DecodeError("duplicate_key")
    return found


def _extension(code: int, _: bytes) -> Foreign:
    return Foreign(f"MessagePack extension {code}")


def _check_depth(document: object) -> None:
    """Look at one level after the other, as the document may be deeper than Python can recurse.

    Raises:
        DecodeError: `too_deep` beyond `MAX_DEPTH`.
    """
    level = [document]
    for _ in range(MAX_DEPTH + 1):
        level = [below for one in level for below in _parts(one) if type(below) in (dict, list)]
        if not level:
            return
    raise DecodeError("too_deep")


def _parts(container: Any) -> Iterable[Any]:  # noqa: ANN401  any part of a document
    if type(container) is dict:
        return container.values()
    return container if type(container) is list else ()
