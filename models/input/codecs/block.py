"""Dialect `block`: one message carries thousands of samples of one asset.

raw float32                                       nothing else, little-endian, samples interleaved
{"ts": 1760000000000, "value": [0.1, 0.2, ...]}   or [[x, y, z], ...], or base64 text of float32
{"ts": 1760000000000, "x": [...], "y": [...]}     an array, or base64 text, a channel
[0.1, 0.2, ...]                                   JSON array or base64 text alone

The time is that of the first sample. Interleaved is x, y, z of the first sample, then of the next.
"""

import binascii
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.errors import DecodeError
from models.input.codecs.document import parse
from models.input.codecs.reading import Fields, FieldsReader, at_path
from models.input.quality import Quality

Encoding = Literal["json", "base64", "float32"]
Samples = NDArray[np.floating[Any]]
_NUMBERS = {float, int, type(None)}


class Block(NamedTuple):
    """Samples of one asset at a fixed rate.

    Attributes:
        time_ns: source time of the first sample, nanoseconds since 1970; None without one.
        values: float32 or float64 `[n, channels]`, NaN where there is no value.
        quality: as the source states it, good where it states none.
        position: what tells this message apart from its neighbours where there is no source time.
    """

    time_ns: int | None
    values: Samples
    quality: Quality = Quality.GOOD
    position: str = ""


DecodeBlocks = Callable[[bytes], Sequence[Block]]
"""As `Decode`, for blocks."""


def from_floats(content: bytes, width: int) -> Samples:
    """Little-endian float32, `width` values a sample; a view, nothing is copied.

    Raises:
        DecodeError: `block_length` if that is no whole number of samples, or none at all.
    """
    if not content or len(content) % (4 * width):
        raise DecodeError("block_length")
    return np.frombuffer(content, "<f4").reshape(-1, width)


def from_base64(text: object, width: int) -> Samples:
    """The same in base64 (RFC 4648, section 4), with its padding and without line breaks.

    Raises:
        DecodeError: `not_base64`, and those of `from_floats`.
    """
    if not isinstance(text, str | bytes):
        raise DecodeError("not_base64")
    try:
        content = binascii.a2b_base64(text, strict_mode=True)
    except ValueError as exc:
        raise DecodeError("not_base64") from exc
    return from_floats(content, width)


def from_list(found: object, width: int) -> Samples:
    """A JSON array of numbers, flat or one array a sample; null is a missing value.

    Raises:
        DecodeError: `not_a_number` for anything else, also in it; `block_length` if it is empty,
            ragged, or no whole number of samples.
    """
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


class RawBlock:
    """Decoder of payloads that are nothing but samples.

    Args:
        encoding: of the samples.
        width: values a sample.
    """

    def __init__(self, encoding: Encoding, width: int) -> None:
        self._encoding = encoding
        self._width = width

    def __call__(self, payload: bytes) -> Sequence[Block]:
        """Decode one block.

        Raises:
            DecodeError: `empty`; see `parse`, `from_list`, `from_base64` and `from_floats`.
        """
        if not payload:
            raise DecodeError("empty")
        if self._encoding == "json":
            return (Block(None, from_list(parse(payload), self._width)),)
        if self._encoding == "base64":
            return (Block(None, from_base64(payload, self._width)),)
        return (Block(None, from_floats(payload, self._width)),)


class BlockDocument:
    """Decoder of JSON objects with samples in them.

    Args:
        encoding: of the samples, `json` or `base64`.
        paths: where they are: all interleaved at one path, or a path for each channel.
        width: values a sample, all paths together.
        fields: where time, quality and position are.
    """

    def __init__(
        self, encoding: Encoding, paths: Sequence[str], width: int, fields: Fields
    ) -> None:
        self._read = from_list if encoding == "json" else from_base64
        self._paths = [path.split(".") for path in paths]
        self._width = width // len(paths)
        self._fields = FieldsReader(fields)

    def __call__(self, payload: bytes) -> Sequence[Block]:
        """Decode one block.

        Raises:
            DecodeError: see `parse`, `from_list`, `from_base64`, `FieldsReader`;
                `not_an_object`; `no_signal` if a path is not there or null; `block_length` if
                channels have not equally many samples.
        """
        document = parse(payload)
        if not isinstance(document, dict):
            raise DecodeError("not_an_object")
        values = self._values(document)
        time_ns, quality, position = self._fields(document)
        return (Block(time_ns, values, quality, position),)

    def _values(self, document: dict[str, Any]) -> Samples:
        found = [at_path(document, path) for path in self._paths]
        if any(part is None for part in found):
            raise DecodeError("no_signal")
        parts = [self._read(part, self._width) for part in found]
        if len(parts) == 1:
            return parts[0]
        if len({len(part) for part in parts}) != 1:
            raise DecodeError("block_length")
        return np.concatenate(parts, axis=1)
