"""Payload format `block`: one message carries thousands of samples of one asset (ADR 11).

raw float32                                       nothing else, little-endian, samples interleaved
{"ts": 1760000000000, "value": [0.1, 0.2, ...]}   or [[x, y, z], ...], or base64 text of float32
{"ts": 1760000000000, "x": [...], "y": [...]}     an array, or base64 text, for each signal
[0.1, 0.2, ...]                                   JSON array or base64 text alone

In the encodings cbor and msgpack, a byte string of float32 may stand for an array.

The time is that of the first sample. Interleaved means x, y and z of the first sample, then x, y
and z of the second, and so on.
"""

import binascii
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.errors import DecodeError
from models.input.codecs.document import Parse, parse
from models.input.codecs.paths import finder, single
from models.input.codecs.reading import Fields, FieldsReader
from models.input.quality import Quality

Encoding = Literal["json", "base64", "float32", "gzip", "cbor", "msgpack"]
Samples = NDArray[np.floating[Any]]
_NUMBERS = {float, int, type(None)}


class Block(NamedTuple):
    """Samples of one asset at a fixed rate.

    Attributes:
        time_ns: source time of the first sample, nanoseconds since 1970; None without one.
        values: the samples, float32 or float64 of shape `[samples, channels]`, NaN where there is
            no value.
        quality: the quality that the source states for all samples, GOOD where it states none.
        position: the source's sequence number as text, empty where it has none; it tells blocks of
            the same time apart.
    """

    time_ns: int | None
    values: Samples
    quality: Quality = Quality.GOOD
    position: str = ""


BlockDecoder = Callable[[bytes], Sequence[Block]]
"""Turns a payload into blocks; the same contract as `Decoder`."""


def from_floats(content: bytes, width: int) -> Samples:
    """Samples of `width` values each, from little-endian float32; a view, nothing is copied.

    Raises:
        DecodeError: `block_length` if there is no sample, or the last one is cut off.
    """
    if not content or len(content) % (4 * width):
        raise DecodeError("block_length")
    return np.frombuffer(content, "<f4").reshape(-1, width)


def from_base64(text: object, width: int) -> Samples:
    """Samples of `width` values each, from float32 in base64 (RFC 4648, section 4).

    The padding is required, and line breaks are not allowed: both would hide that text is missing.

    Raises:
        DecodeError: `not_base64`; see `from_floats`.
    """
    if not isinstance(text, str | bytes):
        raise DecodeError("not_base64")
    try:
        content = binascii.a2b_base64(text, strict_mode=True)
    except ValueError as exc:
        raise DecodeError("not_base64") from exc
    return from_floats(content, width)


def from_list(found: object, width: int) -> Samples:
    """Samples of `width` values each, from an array: flat, or with an array for each sample.

    A null is a missing value. Bytes, which JSON does not have, are float32.

    Raises:
        DecodeError: `not_a_number` if it is not an array, or has anything but numbers and null;
            `block_length` if it is empty, its samples differ in length, or the last is cut off.
    """
    if isinstance(found, bytes):
        return from_floats(found, width)
    if not isinstance(found, list):
        raise DecodeError("not_a_number")
    kinds = set(map(type, found))
    if list in kinds:
        if kinds != {list} or set(map(len, found)) != {width}:
            raise DecodeError("block_length")
        found = list(chain.from_iterable(found))
        kinds = set(map(type, found))
    if not kinds <= _NUMBERS:
        raise DecodeError("not_a_number")
    if not found or len(found) % width:
        raise DecodeError("block_length")
    return np.array(found, np.float64).reshape(-1, width)


class RawBlockDecoder:
    """Decoder of payloads that are nothing but samples.

    Args:
        encoding: how the samples are written.
        width: number of values in a sample.
        parse: turns a payload into its document; if omitted, the payload is JSON text.
    """

    def __init__(self, encoding: Encoding, width: int, parse: Parse = parse) -> None:
        self._encoding = encoding
        self._width = width
        self._parse = parse

    def __call__(self, payload: bytes) -> Sequence[Block]:
        """The one block of a payload.

        Raises:
            DecodeError: `empty`; see the parser, `from_list`, `from_base64` and `from_floats`.
        """
        if not payload:
            raise DecodeError("empty")
        if self._encoding == "base64":
            return (Block(None, from_base64(payload, self._width)),)
        if self._encoding == "float32":
            return (Block(None, from_floats(payload, self._width)),)
        return (Block(None, from_list(self._parse(payload), self._width)),)


class BlockDocumentDecoder:
    """Decoder of objects that contain samples.

    Args:
        encoding: how the payload and its samples are written, anything but `float32`.
        paths: paths of the samples: one path where all signals are interleaved, else one
            for each channel.
        width: number of values in a sample, over all paths.
        fields: where the payload has its time, quality and sequence number.
        parse: turns a payload into its document; if omitted, the payload is JSON text.
    """

    def __init__(
        self,
        encoding: Encoding,
        paths: Sequence[str],
        width: int,
        fields: Fields,
        parse: Parse = parse,
    ) -> None:
        self._parse = parse
        self._read = from_base64 if encoding == "base64" else from_list
        self._finders = [finder(single(path)) for path in paths]
        self._width = width // len(paths)
        self._fields = FieldsReader(fields)

    def __call__(self, payload: bytes) -> Sequence[Block]:
        """The one block of a payload.

        Raises:
            DecodeError: `not_an_object`; `no_signal` if a path is missing or null;
                `block_length` if signals differ in their number of samples; see the parser,
                `from_list`, `from_base64` and `FieldsReader`.
        """
        document = self._parse(payload)
        if not isinstance(document, dict):
            raise DecodeError("not_an_object")
        values = self._values(document)
        time_ns, quality, position = self._fields(document)
        return (Block(time_ns, values, quality, position),)

    def _values(self, document: dict[str, Any]) -> Samples:
        found = [find(document) for find in self._finders]
        if any(part is None for part in found):
            raise DecodeError("no_signal")
        parts = [self._read(part, self._width) for part in found]
        if len(parts) == 1:
            return parts[0]
        if len({len(part) for part in parts}) != 1:
            raise DecodeError("block_length")
        return np.concatenate(parts, axis=1)
