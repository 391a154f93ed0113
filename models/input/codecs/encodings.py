"""Encodings: how the document of a payload is written, if it is not JSON text.

    gzip     JSON text that was compressed (RFC 1952)
    cbor     CBOR (RFC 8949), by the package cbor2
    msgpack  MessagePack, by the package msgpack

Both packages are extras of the distribution. They are imported when a configuration names their
encoding, and not before.
"""

from functools import partial
from typing import Any, Final, Literal, get_args

from models.errors import DecodeError
from models.inflation import GZIP, InflatedTooLargeError, InflationError, inflated
from models.input.codecs.document import Parse

Encoding = Literal["gzip", "cbor", "msgpack"]
ENCODINGS: Final = get_args(Encoding)
_NEEDED: Final = {"cbor": "cbor2, in release 6.2 or later", "msgpack": "msgpack"}
_PROBES: Final = {"cbor": b"\xa0", "msgpack": b"\x80"}


def parse_gzip(payload: bytes, parse_text: Parse, max_bytes: int) -> Any:  # noqa: ANN401  any JSON value
    """The document of a JSON text that was compressed by gzip.

    Args:
        payload: the compressed text.
        parse_text: parses the text.
        max_bytes: bytes that the text may have.

    Raises:
        DecodeError: `empty`, `inflated_too_large`, `not_gzip`; see `parse_text`.
    """
    if not payload:
        raise DecodeError("empty")
    try:
        text = inflated(payload, GZIP, max_bytes)
    except InflatedTooLargeError as exc:
        raise DecodeError("inflated_too_large") from exc
    except InflationError as exc:
        raise DecodeError("not_gzip") from exc
    return parse_text(text)


def parser(encoding: str, parse_text: Parse, max_bytes: int) -> Parse:
    """What reads the document of a payload.

    Args:
        encoding: how the document is written; anything but `ENCODINGS` is JSON text.
        parse_text: parses JSON text.
        max_bytes: bytes that a document may have once it is inflated.

    Raises:
        ImportError: the package that the encoding needs is not installed.
    """
    if encoding == "gzip":
        return partial(parse_gzip, parse_text=parse_text, max_bytes=max_bytes)
    if encoding == "cbor":
        from models.input.codecs.cbor import parse_cbor  # noqa: PLC0415  an extra

        return parse_cbor
    if encoding == "msgpack":
        from models.input.codecs.message_pack import parse_msgpack  # noqa: PLC0415  an extra

        return parse_msgpack
    return parse_text


def check_installed(encoding: str) -> None:
    """Check that an encoding can be read on this machine.

    Raises:
        ValueError: its package is missing or too old; the message says how to install it.
    """
    if encoding not in _NEEDED:
        return
    try:
        parser(encoding, bytes, 0)(_PROBES[encoding])
    except (ImportError, TypeError) as exc:  # TypeError: an argument that it does not know yet
        raise ValueError(
            f"encoding {encoding} needs the package {_NEEDED[encoding]}, which is not installed: "
            f"pip install 'millhand[{encoding}]', or choose another encoding"
        ) from exc
