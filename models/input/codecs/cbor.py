"""CBOR (RFC 8949) to a document; imported only where an input has this encoding.

Of the tags, 0 and 1 (times), 85 (an array of little-endian float32, RFC 8746) and 55799 (this is
CBOR) stand for what they contain. Any other is a value that no signal can be read from: a number of
any length, a reference to another part of the document, or a regular expression is not needed for a
reading, and has been the way to attack a parser.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import cbor2

from models.errors import DecodeError
from models.input.codecs.document import MAX_DEPTH, Foreign

_TRANSPARENT: Final = frozenset({0, 1, 85, 55_799})
# cbor2 passes over what follows the document. So it is given an array of two: the document and this
# text, which comes out as the second element only where nothing stands between them.
_PAIR: Final = b"\x82"
_END: Final = cbor2.dumps("end of the payload")
_END_TEXT: Final = cbor2.loads(_END)


class _Tags(Mapping[int, Callable[[Any, bool], Any]]):
    """What is made of every tag that there is, also of those that cbor2 would interpret itself."""

    def __getitem__(self, tag: int) -> Callable[[Any, bool], Any]:
        if tag in _TRANSPARENT:
            return lambda content, _: content
        return lambda _, __: Foreign(f"CBOR tag {tag}")

    def __iter__(self) -> Iterator[int]:
        return iter(_TRANSPARENT)

    def __len__(self) -> int:
        return len(_TRANSPARENT)


_TAGS: Final = _Tags()


def parse_cbor(payload: bytes) -> Any:  # noqa: ANN401  any JSON value, bytes, or `Foreign`
    """The document that a CBOR payload holds.

    Floats may be NaN or infinite. `undefined`, simple values and byte strings stay what cbor2 makes
    of them: no signal can be read from these.

    Raises:
        DecodeError: `empty`, `too_deep`, `duplicate_key`, or `not_cbor`.
    """
    if not payload:
        raise DecodeError("empty")
    try:
        document, end = cbor2.loads(
            _PAIR + payload + _END,
            semantic_decoders=_TAGS,
            max_depth=MAX_DEPTH + 1,
            allow_duplicate_keys=False,
            strict_hashable_types=True,
        )
    except cbor2.CBORDecodeError as exc:
        raise _refusal(str(exc)) from exc
    if end != _END_TEXT:
        raise DecodeError("not_cbor")
    return document


def _refusal(message: str) -> DecodeError:
    """The reason to drop a payload that cbor2 refuses; its error class is the same for all."""
    if "nesting depth" in message:
        return DecodeError("too_deep")
    return DecodeError("duplicate_key" if "Duplicate map key" in message else "not_cbor")
