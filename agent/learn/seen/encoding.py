"""How the payload of a message is written: as JSON text, or in one of the encodings of an input.

CBOR and MessagePack do not say that they are, and a value alone may be anything in them. So a
payload is taken for one of them only where all of it is an object, or an array of objects, with
text for keys.
"""

from collections.abc import Iterable
from functools import cache
from typing import Any, Final

from models.errors import DecodeError
from models.input.codecs.document import Parse, parse_message
from models.input.codecs.encodings import Encoding, check_installed, parser

NOT_JSON: Final = object()
MAX_BYTES: Final = 1 << 20
"""Bytes that a payload may have once it is inflated: the default of limits.max_payload_bytes."""
_GZIP: Final = b"\x1f\x8b"  # RFC 1952, 2.3.1
_BINARY: Final[tuple[Encoding, ...]] = ("cbor", "msgpack")
# First bytes of arrays and maps: RFC 8949, 3.1 (with the tag 55799) and those of MessagePack.
_CONTAINERS: Final = frozenset((*range(0x80, 0xC0), 0xD9, 0xDC, 0xDD, 0xDE, 0xDF))


def document_of(payload: bytes) -> tuple[str, Any]:
    """The encoding of a payload, empty for JSON text, and its document; `NOT_JSON` without one."""
    try:
        return "", parse_message(payload)
    except DecodeError:
        pass
    if payload.startswith(_GZIP):
        document = _parsed(parser("gzip", parse_message, MAX_BYTES), payload)
        return ("gzip", document) if _is_of_objects(document) else ("", NOT_JSON)
    if payload[:1] and payload[0] in _CONTAINERS:
        for encoding in _installed():
            document = _parsed(parser(encoding, parse_message, MAX_BYTES), payload)
            if _is_of_objects(document) and _has_text_keys(document):
                return encoding, document
    return "", NOT_JSON


def missing_for(payload: bytes) -> tuple[str, ...]:
    """The encodings that a payload may have, and whose package is not installed."""
    is_binary = payload[:1] and payload[0] in _CONTAINERS
    return tuple(one for one in _BINARY if one not in _installed()) if is_binary else ()


@cache
def _installed() -> tuple[Encoding, ...]:
    found: list[Encoding] = []
    for encoding in _BINARY:
        try:
            check_installed(encoding)
        except ValueError:
            continue
        found.append(encoding)
    return tuple(found)


def _parsed(parse: Parse, payload: bytes) -> Any:  # noqa: ANN401  any JSON value
    try:
        return parse(payload)
    except DecodeError:
        return NOT_JSON


def _is_of_objects(document: object) -> bool:
    """Whether a document is an object, or an array of objects."""
    listed = document if isinstance(document, list) else [document]
    return bool(listed) and all(isinstance(one, dict) and one for one in listed)


def _has_text_keys(document: Any) -> bool:  # noqa: ANN401  any part of a document
    if isinstance(document, dict):
        return all(isinstance(key, str) for key in document) and _all(document.values())
    return _all(document) if isinstance(document, list) else True


def _all(parts: Iterable[Any]) -> bool:
    return all(map(_has_text_keys, parts))
