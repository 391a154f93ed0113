"""A payload in gzip, CBOR or MessagePack is read as the same document in JSON text, or refused."""

import gzip
import json
import math
import os
import struct
import subprocess
import sys
import tracemalloc
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cbor2
import msgpack
import numpy as np
import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from models.errors import DecodeError, ReadingError
from models.inflation import MAX_MEMBERS
from models.input.codecs.block import Block
from models.input.codecs.document import MAX_DEPTH
from models.input.codecs.reading import Reading
from models.input.pipeline import Pipeline
from models.input.reasons import REASONS
from models.input.routes import Routes
from models.input.source import Input
from serving.errors import EXIT_CONFIG
from tests.kit.wording import names

T0_MS = 1_760_000_000_000
MS = 1_000_000
Write = Callable[[Any], bytes]


def text(document: object) -> bytes:
    return json.dumps(document).encode()


def packed(document: object) -> bytes:
    return gzip.compress(text(document))


WRITERS: dict[str, Write] = {"gzip": packed, "cbor": cbor2.dumps, "msgpack": msgpack.packb}
BINARY = ("cbor", "msgpack")


def source(encoding: str, **fields: object) -> Input:
    return Input.model_validate(
        {"topic": "plant/{unit}/telemetry", "encoding": encoding, "signals": {"a": "a", "b": "b"}}
        | fields
    )


def decode(one: Input, payload: bytes, topic: str = "plant/p1/telemetry") -> Sequence[Any]:
    """The readings or blocks of a payload, with the asset before them."""
    pipeline = Pipeline(stream="s", inputs=(one,))
    route = Routes(pipeline, list(one.signals)).route(topic)
    assert route is not None
    if one.dialect == "block":
        return [(route.asset, *_comparable(found)) for found in route.decode(payload)]
    return [(taken.asset, *_comparable(found)) for taken, found in route.readings(payload)]


def _comparable(found: Reading | Block) -> tuple[Any, ...]:
    """A reading with its values as text, because NaN equals nothing."""
    return (found.time_ns, str(np.asarray(found.values, float).tolist()), *found[2:])


def reason(one: Input, payload: bytes) -> str:
    with pytest.raises(DecodeError) as caught:
        decode(one, payload)
    return caught.value.reason


def unread(one: Input, payload: bytes) -> dict[int, str]:
    """The reasons of the signals that could not be read, by their place."""
    ((_, _, _, _, _, found),) = decode(one, payload)
    return {place: why for place, why, _ in found}


SAME_AS_JSON: dict[str, tuple[dict[str, Any], Any]] = {
    "row": ({"timestamp": "ts"}, {"ts": T0_MS, "a": 1.5, "b": 2}),
    "booleans and null": ({"timestamp": "ts"}, {"ts": T0_MS, "a": True, "b": None}),
    "nested, with quality and sequence": (
        {
            "timestamp": "meta.t",
            "timestamp_unit": "iso8601",
            "quality": "meta.q",
            "sequence": "n",
            "signals": {"a": "x[1].v", "b": "list[?id=FT1].v"},
        },
        {
            "meta": {"t": "2025-10-09T08:53:20.5Z", "q": "uncertain"},
            "n": 7,
            "x": [{}, {"v": -3}],
            "list": [{"id": "PT1", "v": 1}, {"id": "FT1", "v": 4.25}],
        },
    ),
    "signal that is text": ({"numbers": "lenient"}, {"a": "23,5 bar", "b": "x"}),
    "asset in the payload": ({"asset": "device"}, {"device": "press", "a": 1, "b": 2.5}),
    "signal in the payload": (
        {"dialect": "scalar", "signal": "tag", "value": "v"},
        {"tag": "b", "v": 2.5},
    ),
    "scalar with paths": (
        {"dialect": "scalar", "signals": {"a": "a"}, "value": "v", "timestamp": "t"},
        {"v": 4.5, "t": T0_MS},
    ),
    "umh": (
        {"dialect": "umh", "signals": {"a": "a"}},
        {"timestamp_ms": T0_MS, "value": 4.5},
    ),
    "thingsboard": (
        {"dialect": "thingsboard"},
        [{"a": 1.5}, {"ts": T0_MS, "values": {"a": 2.5, "b": 1}}],
    ),
}


@pytest.mark.parametrize("encoding", WRITERS)
@pytest.mark.parametrize("name", SAME_AS_JSON)
def test_document_is_read_as_in_json(name: str, encoding: str) -> None:
    fields, document = SAME_AS_JSON[name]
    wanted = decode(source("", **fields), text(document))
    assert decode(source(encoding, **fields), WRITERS[encoding](document)) == wanted


@pytest.mark.parametrize("encoding", WRITERS)
@pytest.mark.parametrize(
    ("value", "wanted"),
    [(4.25, 4.25), (-3, -3.0), (True, 1.0), (None, math.nan)],
    ids=["float", "whole", "true", "null"],
)
def test_scalar_without_paths_is_the_value_alone(
    value: object, wanted: float, encoding: str
) -> None:
    one = source(encoding, dialect="scalar", signals={"a": "a"})
    ((_, time_ns, values, *_),) = decode(one, WRITERS[encoding](value))
    assert (time_ns, values) == (None, str([wanted]))


@pytest.mark.parametrize("encoding", WRITERS)
def test_samples_of_a_block_are_read_as_in_json(encoding: str) -> None:
    document = {"ts": T0_MS, "v": [[1.5, 2], [3, None]]}
    fields = {"dialect": "block", "value": "v", "timestamp": "ts"}
    wanted = decode(source("json", **fields), text(document))
    assert decode(source(encoding, **fields), WRITERS[encoding](document)) == wanted


@pytest.mark.parametrize("encoding", BINARY)
def test_samples_of_a_block_may_be_a_byte_string(encoding: str) -> None:
    floats = struct.pack("<4f", 1.5, 2, 3, math.nan)
    one = source(encoding, dialect="block", value="v")
    ((_, _, values, *_),) = decode(one, WRITERS[encoding]({"v": floats}))
    assert values == "[[1.5, 2.0], [3.0, nan]]"
    assert reason(one, WRITERS[encoding]({"v": floats[:-1]})) == "block_length"
    bare = source(encoding, dialect="block", signals={"a": "a"}, topic="t/{asset}/{signal}")
    ((_, _, values, *_),) = decode(bare, WRITERS[encoding](floats), "t/p/a")
    assert values == "[[1.5], [2.0], [3.0], [nan]]"


def test_typed_array_of_cbor_is_a_byte_string() -> None:
    tagged = cbor2.dumps({"v": cbor2.CBORTag(85, struct.pack("<2f", 1.5, 2))})
    ((_, _, values, *_),) = decode(source("cbor", dialect="block", value="v"), tagged)
    assert values == "[[1.5, 2.0]]"
    other = cbor2.dumps({"v": cbor2.CBORTag(86, struct.pack("<2d", 1.5, 2))})
    assert reason(source("cbor", dialect="block", value="v"), other) == "not_a_number"


ROW = {"a": 1.0, "b": 2.0}

REFUSED: dict[str, tuple[str, bytes, str]] = {
    "gzip, empty": ("gzip", b"", "empty"),
    "gzip, JSON text": ("gzip", text(ROW), "not_gzip"),
    "gzip, cut off": ("gzip", packed(ROW)[:-1], "not_gzip"),
    "gzip, a head alone": ("gzip", packed(ROW)[:10], "not_gzip"),
    "gzip, another checksum": ("gzip", packed(ROW)[:-8] + bytes(8), "not_gzip"),
    "gzip, zeros behind it": ("gzip", packed(ROW) + b"\0", "not_gzip"),
    "gzip, text behind it": ("gzip", packed(ROW) + b"{}", "not_gzip"),
    "gzip, half a member behind it": ("gzip", packed(ROW) + packed(ROW)[:9], "not_gzip"),
    "gzip, many members": ("gzip", gzip.compress(b"") * (MAX_MEMBERS + 1), "not_gzip"),
    "gzip, zlib": ("gzip", zlib.compress(text(ROW)), "not_gzip"),
    "gzip of nothing": ("gzip", gzip.compress(b""), "empty"),
    "gzip of CBOR": ("gzip", gzip.compress(cbor2.dumps(ROW)), "not_json"),
    "gzip of a list": ("gzip", packed([1]), "not_an_object"),
    "cbor, empty": ("cbor", b"", "empty"),
    "cbor, JSON text": ("cbor", text(ROW), "not_cbor"),
    "cbor, cut off": ("cbor", cbor2.dumps(ROW)[:-1], "not_cbor"),
    "cbor, a zero behind it": ("cbor", cbor2.dumps(ROW) + b"\0", "not_cbor"),
    "cbor, a break behind it": ("cbor", cbor2.dumps(ROW) + b"\xff", "not_cbor"),
    "cbor, a row behind it": ("cbor", 2 * cbor2.dumps(ROW), "not_cbor"),
    "cbor, a break": ("cbor", b"\xff", "not_cbor"),
    "cbor, a reserved byte": ("cbor", b"\xa1\x61a\x1c", "not_cbor"),
    "cbor, text that is not UTF-8": ("cbor", b"\xa1\x61\xff\x01", "not_cbor"),
    "cbor, a lone surrogate": ("cbor", b"\xa1\x63\xed\xa0\x80\x01", "not_cbor"),
    "cbor, an array without its elements": ("cbor", b"\x9b" + b"\x7f" * 8, "not_cbor"),
    "cbor, a map without its pairs": ("cbor", b"\xbb" + b"\x7f" * 8, "not_cbor"),
    "cbor, a text without its bytes": ("cbor", b"\x7b" + b"\x7f" * 8, "not_cbor"),
    "cbor, bytes without its bytes": ("cbor", b"\x5a" + b"\x7f" * 4, "not_cbor"),
    "cbor, a whole number for a key": ("cbor", b"\xa1\x01\x02", "not_cbor"),
    "cbor, an array for a key": ("cbor", b"\xa1\x81\x01\x02", "not_cbor"),
    "cbor, a tag for a key": ("cbor", b"\xa1\xc2\x41\x01\x02", "not_cbor"),
    "cbor, a key twice": ("cbor", b"\xa2\x61a\x01\x61a\x02", "duplicate_key"),
    "cbor, a key twice below": ("cbor", b"\xa1\x61a\xa2\x61a\x01\x61a\x01", "duplicate_key"),
    "cbor, arrays": ("cbor", b"\x81" * (1 << 20), "too_deep"),
    "cbor, arrays without end": ("cbor", b"\x9f" * (1 << 20), "too_deep"),
    "cbor, tags": ("cbor", b"\xc6" * (1 << 20), "too_deep"),
    "cbor, a level too many": ("cbor", b"\x81" * (MAX_DEPTH + 1) + b"\x01", "too_deep"),
    "cbor, all levels": ("cbor", b"\x81" * MAX_DEPTH + b"\x01", "not_an_object"),
    "cbor, a shared value": ("cbor", b"\xa1\x61a\xd8\x1c\x81\xd8\x1d\x00", "not_a_number"),
    "cbor, a number of any length": ("cbor", b"\xa1\x61a" + cbor2.dumps(10**40), "not_a_number"),
    "cbor, a number": ("cbor", b"\x01", "not_an_object"),
    "cbor, undefined": ("cbor", b"\xf7", "not_an_object"),
    "msgpack, empty": ("msgpack", b"", "empty"),
    "msgpack, JSON text": ("msgpack", text(ROW), "not_msgpack"),
    "msgpack, cut off": ("msgpack", msgpack.packb(ROW)[:-1], "not_msgpack"),
    "msgpack, a zero behind it": ("msgpack", msgpack.packb(ROW) + b"\0", "not_msgpack"),
    "msgpack, a row behind it": ("msgpack", 2 * msgpack.packb(ROW), "not_msgpack"),
    "msgpack, a reserved byte": ("msgpack", b"\x81\xa1a\xc1", "not_msgpack"),
    "msgpack, text that is not UTF-8": ("msgpack", b"\x81\xa1\xff\x01", "not_msgpack"),
    "msgpack, an array without its elements": ("msgpack", b"\xdd" + b"\x7f" * 4, "not_msgpack"),
    "msgpack, a map without its pairs": ("msgpack", b"\xdf" + b"\x7f" * 4, "not_msgpack"),
    "msgpack, a text without its bytes": ("msgpack", b"\xdb" + b"\x7f" * 4, "not_msgpack"),
    "msgpack, a whole number for a key": ("msgpack", b"\x81\x01\x02", "not_msgpack"),
    "msgpack, an array for a key": ("msgpack", b"\x81\x91\x01\x02", "not_msgpack"),
    "msgpack, a key twice": ("msgpack", b"\x82\xa1a\x01\xa1a\x02", "duplicate_key"),
    "msgpack, a timestamp of no length": ("msgpack", b"\x81\xa1a\xd4\xff\x00", "not_msgpack"),
    "msgpack, arrays": ("msgpack", b"\x91" * (1 << 20), "too_deep"),
    "msgpack, closed arrays": ("msgpack", b"\x91" * 500 + b"\x01", "too_deep"),
    "msgpack, a level too many": ("msgpack", b"\x91" * (MAX_DEPTH + 2) + b"\x01", "too_deep"),
    "msgpack, maps": ("msgpack", b"\x81\xa1a" * 500 + b"\x01", "too_deep"),
    "msgpack, all levels": ("msgpack", b"\x91" * MAX_DEPTH + b"\x01", "not_an_object"),
    "msgpack, an extension": ("msgpack", b"\x81\xa1a\xd4\x05\x00", "not_a_number"),
    "msgpack, a number": ("msgpack", b"\x01", "not_an_object"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_payload_that_cannot_be_read_has_its_reason(name: str) -> None:
    encoding, payload, wanted = REFUSED[name]
    assert reason(source(encoding), payload) == wanted


FOREIGN: dict[str, tuple[str, bytes]] = {
    "cbor, a byte string": ("cbor", b"\x41x"),
    "cbor, bytes in pieces": ("cbor", b"\x5f\x41x\x41y\xff"),
    "cbor, undefined": ("cbor", b"\xf7"),
    "cbor, a simple value": ("cbor", b"\xf0"),
    "cbor, a decimal fraction": ("cbor", b"\xc4\x82\x21\x19\x6a\xb3"),
    "cbor, a huge decimal fraction": ("cbor", b"\xc4\x82\x1a\x7f\xff\xff\xff\x01"),
    "cbor, a number of any length": ("cbor", cbor2.dumps(2**70)),
    "cbor, a reference to itself": ("cbor", b"\xd8\x1c\x81\xd8\x1d\x00"),
    "cbor, a regular expression": ("cbor", b"\xd8\x23\x61("),
    "cbor, a mail": ("cbor", b"\xd8\x24\x61a"),
    "cbor, a tag of nobody": ("cbor", b"\xda\x00\x0f\xff\xff\x01"),
    "msgpack, a byte string": ("msgpack", b"\xc4\x01x"),
    "msgpack, an extension": ("msgpack", b"\xd4\x05\x00"),
}


def with_value(encoding: str, key: bytes, value: bytes) -> bytes:
    """A row of a = 1.5 and, at a key of one letter, a value that is written already."""
    if encoding == "cbor":
        return b"\xa2\x61a\xf9\x3e\x00\x61" + key + value
    return b"\x82\xa1a\xca\x3f\xc0\x00\x00\xa1" + key + value


@pytest.mark.parametrize("name", FOREIGN)
def test_what_json_does_not_have_costs_the_signal_that_is_bound_to_it(name: str) -> None:
    encoding, value = FOREIGN[name]
    one = source(encoding)
    assert unread(one, with_value(encoding, b"b", value)) == {1: "not_a_number"}
    assert unread(one, with_value(encoding, b"c", value)) == {}
    for field, why in (("timestamp", "time"), ("quality", "quality"), ("sequence", "sequence")):
        found = reason(source(encoding, **{field: "b"}), with_value(encoding, b"b", value))
        assert found.startswith(why), field


@pytest.mark.parametrize("encoding", BINARY)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf], ids=str)
def test_number_that_is_not_finite_costs_its_signal(value: float, encoding: str) -> None:
    for document in ({"a": 1.5, "b": value}, {"a": 1.5, "b": value, "c": {}}):
        assert unread(source(encoding), WRITERS[encoding](document)) == {1: "not_finite"}
    assert reason(source(encoding), WRITERS[encoding]({"a": value, "b": value})) == "not_finite"


@pytest.mark.parametrize("encoding", BINARY)
def test_largest_whole_numbers_are_read(encoding: str) -> None:
    ((_, _, values, *_),) = decode(
        source(encoding), WRITERS[encoding]({"a": 2**64 - 1, "b": -(2**63)})
    )
    assert values == str([float(2**64 - 1), float(-(2**63))])


@pytest.mark.parametrize(
    ("encoding", "unit", "moment", "wanted_ns"),
    [
        ("cbor", "iso8601", b"\xc0\x74" + b"2025-10-09T08:53:20Z", T0_MS * MS),
        ("cbor", "s", b"\xc1\x1a\x68\xe7\x78\x00", T0_MS * MS),
        ("cbor", "s", b"\xc1\xfb" + struct.pack(">d", T0_MS / 1000 + 0.25), (T0_MS + 250) * MS),
        ("msgpack", "ns", b"\xd6\xff\x68\xe7\x78\x00", T0_MS * MS),
        ("msgpack", "ns", b"\xc7\x0c\xff" + struct.pack(">Iq", 7, T0_MS // 1000), T0_MS * MS + 7),
    ],
    ids=["tag of a text", "tag of a number", "tag of a fraction", "extension", "long extension"],
)
def test_time_of_the_encoding_is_read(
    encoding: str, unit: str, moment: bytes, wanted_ns: int
) -> None:
    one = source(encoding, timestamp="t", timestamp_unit=unit)
    ((_, time_ns, *_),) = decode(one, with_value(encoding, b"t", moment))
    assert time_ns == wanted_ns


def test_cbor_that_says_so_of_itself_is_read() -> None:
    assert decode(source("cbor"), b"\xd9\xd9\xf7" + cbor2.dumps(ROW)) == decode(
        source("cbor"), cbor2.dumps(ROW)
    )


def test_cbor_without_lengths_and_in_half_precision_is_read() -> None:
    payload = b"\xbf\x7f\x61a\xff\xf9\x3e\x00\x61b\x20\xff"
    ((_, _, values, *_),) = decode(source("cbor"), payload)
    assert values == "[1.5, -1.0]"


def test_members_of_gzip_are_one_text() -> None:
    whole = text(ROW)
    parts = b"".join(gzip.compress(whole[at : at + 5]) for at in range(0, len(whole), 5))
    assert decode(source("gzip"), parts) == decode(source(""), whole)


@pytest.mark.parametrize("room", [0, -1], ids=["as long as allowed", "a byte longer"])
def test_gzip_is_inflated_to_the_limit_and_no_further(room: int) -> None:
    whole = text(ROW)
    one = source("gzip")
    one.limit(len(whole) + room)
    if not room:
        assert decode(one, packed(ROW)) == decode(source(""), whole)
        return
    assert reason(one, packed(ROW)) == "inflated_too_large"
    halves = gzip.compress(whole[:9]) + gzip.compress(whole[9:])
    assert reason(one, halves) == "inflated_too_large"


def test_gzip_that_would_fill_the_memory_never_does() -> None:
    bomb = gzip.compress(bytes(64 << 20))
    one = source("gzip")
    tracemalloc.start()
    try:
        assert reason(one, bomb) == "inflated_too_large"
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 << 20


OLDER_CBOR2 = """
class CBORDecodeError(Exception): ...
def dumps(document): return b"a"
def loads(content): return content
"""


def test_check_refuses_a_package_that_is_too_old(tmp_path: Path) -> None:
    (tmp_path / "cbor2.py").write_text(OLDER_CBOR2)
    configuration = {
        "gateway": {"id": "gw1", "state_dir": str(tmp_path)},
        "broker": {"host": "localhost"},
        "registry": {"url": "file:///srv/registry", "root": "root.json"},
        "pipelines": [{"stream": "s", "inputs": [{"topic": "t/{asset}", "encoding": "cbor"}]}],
    }
    path = tmp_path / "agent.toml"
    path.write_text(tomli_w.dumps(configuration))
    paths = os.pathsep.join((str(tmp_path), *filter(None, (os.environ.get("PYTHONPATH"),))))
    done = subprocess.run(
        [sys.executable, "-m", "agent", "check", "--config", str(path)],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == EXIT_CONFIG
    told = "pipelines[0].inputs[0]: encoding cbor needs the package cbor2"
    assert names(done.stdout + done.stderr, told, "6.2", "pip install 'millhand[cbor]'")


def test_package_of_an_encoding_is_imported_only_where_it_is_configured() -> None:
    script = (
        "import sys, agent.__main__; from models.input.source import Input; loaded = lambda: "
        "sorted({'cbor2', 'msgpack'} & sys.modules.keys()); Input(topic='t/{a}'); print(loaded()); "
        "Input(topic='t/{a}', encoding='gzip'); Input(topic='t/{a}', encoding='cbor'); "
        "print(loaded())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["[]", "['cbor2']"]


documents = st.recursive(
    st.none()
    | st.booleans()
    | st.floats()
    | st.integers(-(2**63), 2**64 - 1)
    | st.text(max_size=8)
    | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abt"), inner),
    max_leaves=12,
)
SOURCES = [
    source(encoding, **fields)
    for encoding in WRITERS
    for fields, _ in (
        *SAME_AS_JSON.values(),
        ({"dialect": "block", "value": "a", "timestamp": "t"}, None),
    )
]


def outcome(one: Input, payload: bytes) -> str:
    """The reason for which a payload is refused; empty if it gives readings."""
    try:
        decode(one, payload)
    except ReadingError as exc:
        return exc.reason
    return ""


@given(payload=st.binary(max_size=60), one=st.sampled_from(SOURCES))
def test_any_bytes_are_readings_or_have_a_reason(payload: bytes, one: Input) -> None:
    assert outcome(one, payload) in {"", *REASONS}


@given(value=documents, encoding=st.sampled_from(BINARY), data=st.data())
def test_any_document_that_was_damaged_is_readings_or_has_a_reason(
    value: object, encoding: str, data: st.DataObject
) -> None:
    payload = bytearray(WRITERS[encoding]({"t": T0_MS, "a": value, "b": value}))
    for _ in range(data.draw(st.integers(0, 3))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    for one in SOURCES:
        if one.encoding == encoding:
            assert outcome(one, bytes(payload)) in {"", *REASONS}


@given(a=st.floats(allow_nan=False, allow_infinity=False), b=st.integers(-(2**63), 2**64 - 1))
def test_values_are_those_that_the_payload_has(a: float, b: int) -> None:
    for encoding in BINARY:
        ((_, _, values, *_),) = decode(source(encoding), WRITERS[encoding]({"a": a, "b": b}))
        assert values == str([a, float(b)])


@pytest.mark.parametrize("encoding", BINARY)
def test_list_of_tags_is_read_as_in_json(encoding: str) -> None:
    fields = {"dialect": "kepware"}
    tags = [{"id": name, "v": 1.5, "q": True, "t": T0_MS} for name in "ab"]
    wanted = decode(source("", **fields), text({"timestamp": T0_MS, "values": tags}))
    write = WRITERS[encoding]
    one = source(encoding, **fields)
    assert decode(one, write({"timestamp": T0_MS, "values": tags})) == wanted
    tags[1]["v"] = math.inf
    assert unread(one, write({"timestamp": T0_MS, "values": tags})) == {1: "not_finite"}
