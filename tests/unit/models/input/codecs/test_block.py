"""Blocks of samples: what is read, and under which reason anything else is dropped."""

import base64
import json
import math
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import DecodeError, ReadingError
from models.input.codecs.block import Block, BlockDecoder, BlockDocumentDecoder, RawBlockDecoder
from models.input.codecs.reading import Fields
from models.input.quality import Quality
from models.input.reasons import REASONS

FIELDS = Fields(timestamp="ts", quality="q", sequence="n")
FLOATS = RawBlockDecoder("float32", 3)
LIST = RawBlockDecoder("json", 2)
TEXT = RawBlockDecoder("base64", 2)
AT_VALUE = BlockDocumentDecoder("json", ["m.v"], 2, Fields())
AXES = BlockDocumentDecoder("json", ["x", "y"], 2, FIELDS)
AXES_TEXT = BlockDocumentDecoder("base64", ["x", "y"], 2, Fields())
DECODERS: dict[str, BlockDecoder] = {
    "float32": FLOATS,
    "json": LIST,
    "base64": TEXT,
    "document": AT_VALUE,
    "axes": AXES,
    "axes in base64": AXES_TEXT,
}


def floats(*values: float) -> bytes:
    return struct.pack(f"<{len(values)}f", *values)


def text(*values: float) -> str:
    return base64.b64encode(floats(*values)).decode()


def rows(decode: BlockDecoder, payload: bytes | dict[str, Any]) -> list[list[float | None]]:
    """Values with None for NaN, which equals nothing."""
    if isinstance(payload, dict):
        payload = json.dumps(payload).encode()
    (block,) = decode(payload)
    return [[None if math.isnan(v) else v for v in row] for row in block.values.tolist()]


def reason(decode: BlockDecoder, payload: bytes | dict[str, Any]) -> str:
    if isinstance(payload, dict):
        payload = json.dumps(payload).encode()
    with pytest.raises(DecodeError) as caught:
        decode(payload)
    return caught.value.reason


def outcome(decode: BlockDecoder, payload: bytes) -> str:
    try:
        (block,) = decode(payload)
    except ReadingError as exc:
        return exc.reason
    return "a block" if isinstance(block, Block) and block.values.size else "nothing"


def test_floats_are_little_endian_and_interleaved() -> None:
    payload = b"\x00\x00\x80\x3f" + floats(2.0, 3.0, 4.0, math.nan, -math.inf)
    assert rows(FLOATS, payload) == [[1.0, 2.0, 3.0], [4.0, None, -math.inf]]
    assert FLOATS(payload)[0].values.dtype == np.float32


@given(st.lists(st.floats(width=32), min_size=2, max_size=50).filter(lambda v: len(v) % 2 == 0))
def test_base64_gives_the_floats_that_raw_gives(values: list[float]) -> None:
    (raw,) = RawBlockDecoder("float32", 2)(floats(*values))
    (read,) = TEXT(text(*values).encode())
    np.testing.assert_array_equal(read.values, raw.values)


@pytest.mark.parametrize("payload", [b"[1, 2.5, null, 4]", b"[[1, 2.5], [null, 4]]"])
def test_array_is_flat_or_has_one_a_sample(payload: bytes) -> None:
    assert rows(LIST, payload) == [[1.0, 2.5], [None, 4.0]]


def test_samples_stand_at_their_path() -> None:
    assert rows(AT_VALUE, {"m": {"v": [1, 2], "u": "g"}}) == [[1.0, 2.0]]


def test_channels_have_arrays_of_their_own() -> None:
    (block,) = AXES(b'{"ts": 5, "q": "bad", "n": 7, "x": [1, 2], "y": [3, null]}')
    assert block[:1] + block[2:] == (5_000_000, Quality.BAD, "7")
    assert rows(AXES_TEXT, {"x": text(1, 2), "y": text(3, 4)}) == [[1.0, 3.0], [2.0, 4.0]]


def test_number_is_as_exact_as_it_is_written() -> None:
    assert rows(LIST, b"[0.1, 1e300]") == [[0.1, 1e300]]


BAD_BLOCKS: dict[str, tuple[BlockDecoder, bytes | dict[str, Any], str]] = {
    "nothing": (FLOATS, b"", "empty"),
    "no text": (TEXT, b"", "empty"),
    "no document": (AXES, b"", "empty"),
    "part of a float": (FLOATS, floats(1, 2, 3) + b"\x00", "block_length"),
    "part of a sample": (FLOATS, floats(1, 2, 3, 4), "block_length"),
    "part of a sample in base64": (TEXT, text(1, 2, 3).encode(), "block_length"),
    "part of a sample in JSON": (LIST, b"[1, 2, 3]", "block_length"),
    "empty array": (LIST, b"[]", "block_length"),
    "empty samples": (LIST, b"[[], []]", "block_length"),
    "empty text": (AXES_TEXT, {"x": "", "y": ""}, "block_length"),
    "ragged": (LIST, b"[[1, 2], [3]]", "block_length"),
    "ragged but whole": (LIST, b"[[1, 2, 3], [4]]", "block_length"),
    "numbers among samples": (LIST, b"[[1, 2], 3, 4]", "block_length"),
    "samples too deep": (LIST, b"[[[1], [2]]]", "not_a_number"),
    "axes of unequal length": (AXES, {"ts": 1, "n": 1, "x": [1], "y": [1, 2]}, "block_length"),
    "text among numbers": (LIST, b'[1, "2"]', "not_a_number"),
    "truth among numbers": (LIST, b"[[1, true]]", "not_a_number"),
    "an object among numbers": (LIST, b"[1, {}]", "not_a_number"),
    "one number": (LIST, b"5", "not_a_number"),
    "text for an array": (AT_VALUE, {"m": {"v": "AAAA"}}, "not_a_number"),
    "NaN spelled out": (LIST, b"[1, NaN]", "not_finite"),
    "too large a number": (LIST, b"[1, 1e999]", "not_finite"),
    "cut off": (LIST, b"[1, 2", "not_json"),
    "an array for a document": (AXES, b"[1, 2]", "not_an_object"),
    "no samples": (AT_VALUE, {"m": {}}, "no_signal"),
    "samples null": (AT_VALUE, {"m": {"v": None}}, "no_signal"),
    "one axis missing": (AXES, {"ts": 1, "n": 1, "x": [1]}, "no_signal"),
    "no time": (AXES, {"n": 1, "x": [1], "y": [1]}, "time_missing"),
    "no sequence": (AXES, {"ts": 1, "x": [1], "y": [1]}, "sequence_missing"),
    "strange sequence": (AXES, {"ts": 1, "n": [], "x": [1], "y": [1]}, "sequence_malformed"),
    "strange quality": (AXES, {"ts": 1, "n": 1, "q": "so", "x": [1], "y": [1]}, "quality_unknown"),
    "a key twice": (AXES, b'{"ts": 1, "x": [1], "y": [1], "x": [2]}', "duplicate_key"),
    "no base64": (TEXT, b"!" * 16, "not_base64"),
    "bytes for text": (TEXT, floats(1, 2), "not_base64"),
    "base64 without padding": (TEXT, text(1, 2).rstrip("=").encode(), "not_base64"),
    "base64 with a line break": (TEXT, text(1, 2).encode() + b"\n", "not_base64"),
    "base64 for addresses": (TEXT, b"-_-_-_-_-_8=", "not_base64"),
    "letters of others": (AXES_TEXT, {"x": "ü", "y": ""}, "not_base64"),
    "a number for text": (AXES_TEXT, {"x": 5, "y": 5}, "not_base64"),
}


@pytest.mark.parametrize(("decode", "payload", "wanted"), BAD_BLOCKS.values(), ids=BAD_BLOCKS)
def test_bad_block_gets_its_reason(
    decode: BlockDecoder, payload: bytes | dict[str, Any], wanted: str
) -> None:
    assert reason(decode, payload) == wanted


@pytest.mark.parametrize("depth", [99, 5000])
def test_deep_nesting_is_refused(depth: int) -> None:
    assert reason(LIST, b"[" * depth + b"]" * depth) in ("too_deep", "not_a_number", "block_length")
    assert reason(AT_VALUE, b'{"a":' + b"[" * depth + b"]" * depth + b"}") in (
        "too_deep",
        "no_signal",
    )


def test_thousands_of_samples_with_a_key_twice_among_them_are_found_out() -> None:
    many = json.dumps([[1.0, 2.0]] * 500)
    assert reason(AT_VALUE, f'{{"m": {{"v": {many}, "v": [1, 2]}}}}'.encode()) == "duplicate_key"
    assert len(rows(AT_VALUE, f'{{"m": {{"v": {many}, "w": [[{{"a": 1}}]]}}}}'.encode())) == 500


@given(payload=st.binary(max_size=200), name=st.sampled_from(sorted(DECODERS)))
def test_any_bytes_are_a_block_or_have_a_reason(payload: bytes, name: str) -> None:
    assert outcome(DECODERS[name], payload) in {"a block", *REASONS}


@given(
    value=st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
        max_leaves=12,
    ),
    name=st.sampled_from(["json", "document", "axes", "axes in base64"]),
)
def test_any_json_is_a_block_or_has_a_reason(value: object, name: str) -> None:
    for payload in (value, {"m": {"v": value}}, {"ts": 1, "n": 1, "x": value, "y": value}):
        assert outcome(DECODERS[name], json.dumps(payload).encode()) in {"a block", *REASONS}
