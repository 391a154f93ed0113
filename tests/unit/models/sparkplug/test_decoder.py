"""Payloads that the runtime of Protocol Buffers has written, and hostile bytes."""

import gzip
import math
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from google.protobuf import message as protobuf
from hypothesis import given
from hypothesis import strategies as st

from models.errors import DecodeError
from models.sparkplug import decoder
from models.sparkplug.decoder import decode
from models.sparkplug.payload import Metric, Payload, Property, Unsupported
from tests.kit.sparkplug.protobuf_schema import payload_class

Foreign = payload_class()
AT_MS = 1_764_000_000_123


def written(*metrics: dict[str, Any], **fields: Any) -> bytes:  # noqa: ANN401  fields of the schema
    content: bytes = Foreign(metrics=metrics, **fields).SerializeToString()
    return content


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        pytest.param("int_value", 4_294_967_295, 4_294_967_295, id="int"),
        pytest.param("long_value", 2**64 - 1, 2**64 - 1, id="long"),
        pytest.param("float_value", 1.5, 1.5, id="float"),
        pytest.param("double_value", -1e300, -1e300, id="double"),
        pytest.param("boolean_value", True, True, id="true"),
        pytest.param("boolean_value", False, False, id="false"),
        pytest.param("string_value", "läuft", "läuft", id="string"),
        pytest.param("bytes_value", b"\0\1", Unsupported("bytes"), id="bytes"),
        pytest.param("dataset_value", {"columns": ["a"]}, Unsupported("data set"), id="data set"),
        pytest.param("template_value", {"version": "1"}, Unsupported("template"), id="template"),
    ],
)
def test_value_of_data_by_alias_is_read(field: str, value: object, expected: object) -> None:
    content = written(
        {"alias": 300, "timestamp": AT_MS, field: value}, timestamp=AT_MS + 1, seq=200
    )
    metric = Metric(None, 300, AT_MS, 0, expected)  # type: ignore[arg-type]  # any of the kinds
    decoded = decode(content)
    assert decoded == Payload(AT_MS + 1, [metric], 200)
    assert type(decoded.metrics[0].value) is type(expected)


def compressed(body: bytes, algorithm: str | None) -> bytes:
    """A payload as `sparkplug-client` of npm compresses it."""
    named = [{"name": "algorithm", "datatype": 12, "string_value": algorithm}] if algorithm else []
    return written(*named, uuid="SPBV1.0_COMPRESSED", body=body)


PLAIN = written({"alias": 1, "timestamp": AT_MS, "double_value": 4.2}, timestamp=AT_MS, seq=7)


@pytest.mark.parametrize(
    ("algorithm", "compress"),
    [(None, zlib.compress), ("DEFLATE", zlib.compress), ("GZIP", gzip.compress)],
    ids=["of no name", "DEFLATE", "GZIP"],
)
def test_compressed_payload_is_read_as_that_in_its_body(
    algorithm: str | None, compress: Callable[[bytes], bytes]
) -> None:
    assert decode(compressed(compress(PLAIN), algorithm)) == decode(PLAIN)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(compressed(zlib.compress(PLAIN)[:-1], None), "not_sparkplug", id="cut off"),
        pytest.param(compressed(gzip.compress(PLAIN), None), "not_sparkplug", id="the other"),
        pytest.param(compressed(PLAIN, "LZ4"), "not_sparkplug", id="unknown algorithm"),
        pytest.param(written(uuid="SPBV1.0_COMPRESSED"), "not_sparkplug", id="no body"),
        pytest.param(
            compressed(zlib.compress(compressed(zlib.compress(PLAIN), None)), None),
            "not_sparkplug",
            id="twice",
        ),
        pytest.param(
            compressed(zlib.compress(bytes(2_000)), None), "inflated_too_large", id="too large"
        ),
    ],
)
def test_compressed_payload_that_cannot_be_inflated_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(DecodeError, match=reason):
        decode(content, max_bytes=1_000)


def test_birth_is_read_with_names_types_and_properties() -> None:
    quality = {"type": 3, "int_value": 500}
    unit = {"type": 12, "string_value": "bar"}
    nothing = {"type": 10, "is_null": True}
    nested = {"type": 20, "propertyset_value": {"keys": ["a"], "values": [unit]}}
    content = written(
        {"name": "bdSeq", "timestamp": AT_MS, "datatype": 4, "long_value": 7},
        {
            "name": "press/value",
            "alias": 1,
            "datatype": 10,
            "is_null": True,
            "is_historical": True,
            "is_transient": True,
            "properties": {
                "keys": ["Quality", "engUnit", "engHigh", "more"],
                "values": [quality, unit, nothing, nested],
            },
        },
        seq=0,
    )
    properties = {
        "Quality": Property(3, 500),
        "engUnit": Property(12, "bar"),
        "engHigh": Property(10, None),
        "more": Property(20, Unsupported("property set")),
    }
    birth = decode(content)
    assert birth.metrics == [
        Metric("bdSeq", None, AT_MS, 4, 7),
        Metric(
            "press/value",
            1,
            datatype=10,
            is_historical=True,
            is_transient=True,
            properties=properties,
        ),
    ]
    assert (birth.timestamp_ms, birth.seq, birth.bd_seq) == (None, 0, 7)


def test_death_has_no_sequence_number() -> None:
    death = decode(written({"name": "bdSeq", "datatype": 4, "long_value": 255}, timestamp=AT_MS))
    assert (death.seq, death.bd_seq) == (None, 255)


def test_payload_without_metrics_is_empty() -> None:
    assert decode(b"") == Payload(None, [], None)


def test_null_is_null_even_beside_a_value() -> None:
    (metric,) = decode(written({"alias": 1, "is_null": True, "double_value": 1.0})).metrics
    assert metric.value is None


def test_fields_of_later_versions_are_passed_over() -> None:
    later = b"\xa0\x06\x05" + b"\xa2\x06\x02ab" + b"\xa1\x06" + bytes(8) + b"\xa5\x06" + bytes(4)
    metric = b"\x10\x07" + later + b"\x69" + struct.pack("<d", 2.5)
    content = later + b"\x12" + bytes((len(metric),)) + metric + later
    assert decode(content) == Payload(None, [Metric(None, 7, value=2.5)], None)


def test_plain_data_are_read_as_the_general_way_reads_them() -> None:
    draw = random.Random(20)  # noqa: S311  payloads that are the same in every run
    kinds = ("int_value", 32), ("long_value", 64), ("boolean_value", 1)
    for _ in range(300):
        metrics = []
        for _ in range(draw.randint(1, 20)):
            kind, bits = draw.choice(kinds)
            value: object = draw.getrandbits(draw.randint(1, bits))
            if draw.random() < 0.5:
                kind, value = draw.choice(("float_value", "double_value")), draw.gauss()
            metric = {"alias": draw.getrandbits(draw.randint(1, 64)), kind: value}
            metrics.append(metric | {"timestamp": AT_MS + draw.randint(0, 3)})
        content = written(*metrics, timestamp=AT_MS, seq=draw.getrandbits(8))
        assert decode(content) == decoder.decode_any(content)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"\x12", id="no length"),
        pytest.param(b"\x12\x05\x10", id="cut off in a metric"),
        pytest.param(b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\x7f", id="huge length"),
        pytest.param(b"\x12\x02\x69\x00", id="cut off in a double"),
        pytest.param(b"\x08", id="no number"),
        pytest.param(b"\x08" + b"\xff" * 10, id="number of more than 64 bits"),
        pytest.param(b"\x0b", id="group"),
        pytest.param(b"\x00\x01", id="field 0"),
        pytest.param(b"\x0a\x01a", id="text for the time"),
        pytest.param(b"\x12\x03\x0a\x01\xff", id="name not in UTF-8"),
        pytest.param(b"\x12\x04\x50\x01\x58\x01", id="two values"),
        pytest.param(b"\x12\x02\x08\x01", id="number for a name"),
        pytest.param(b"\x12\x05\x4a\x03\x0a\x01a", id="more names of properties than properties"),
        pytest.param(b'{"value": 1}', id="JSON"),
    ],
)
def test_bytes_that_are_no_payload_are_refused(content: bytes) -> None:
    with pytest.raises(DecodeError) as refused:
        decode(content)
    assert refused.value.reason == "not_sparkplug"


def test_payload_of_too_many_metrics_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder, "MAX_METRICS", 3)
    for metric in ({"alias": 1}, {"alias": 1, "timestamp": 1, "double_value": 1.0}):
        decode(written(*[metric] * 3))
        with pytest.raises(DecodeError) as refused:
            decode(written(*[metric] * 4))
        assert refused.value.reason == "too_many_entries"


EXAMPLE = written(
    {"name": "bdSeq", "timestamp": AT_MS, "datatype": 4, "long_value": 7},
    {"alias": 9, "properties": {"keys": ["a"], "values": [{"type": 3, "int_value": 1}]}},
    {"alias": 300, "timestamp": AT_MS, "string_value": "ok"},
    {"alias": 1, "timestamp": AT_MS, "template_value": {"metrics": [{"name": "a"}]}},
    timestamp=AT_MS,
    seq=1,
)
PLAIN = written(
    *({"alias": alias, "timestamp": AT_MS, "double_value": alias / 3} for alias in range(120, 140)),
    timestamp=AT_MS,
    seq=1,
)


@given(
    st.sampled_from((EXAMPLE, PLAIN)),
    st.lists(st.tuples(st.integers(0, 500), st.integers(0, 255)), max_size=4),
    st.integers(0, 500),
)
def test_mutated_payload_is_refused_or_read_as_protobuf_reads_it(
    content: bytes, changes: list[tuple[int, int]], end: int
) -> None:
    mutated = bytearray(content)
    for position, byte in changes:
        mutated[position % len(mutated)] = byte
    mutated = mutated[: len(content) - end % len(content)] if end % 2 else mutated
    assert_alike(bytes(mutated))


@given(st.binary(max_size=60))
def test_any_bytes_are_refused_or_read_as_protobuf_reads_them(content: bytes) -> None:
    assert_alike(content)


def assert_alike(content: bytes) -> None:
    try:
        decoded = decode(content)
    except DecodeError:
        return
    stand_ins = [one.value for one in values_in(decoded) if isinstance(one.value, Unsupported)]
    try:
        foreign = Foreign.FromString(content)
    except protobuf.DecodeError:
        assert stand_ins, "what stands for no other value was read to its end"
        return
    assert decoded.timestamp_ms == (foreign.timestamp if foreign.HasField("timestamp") else None)
    assert decoded.seq == (foreign.seq if foreign.HasField("seq") else None)
    assert len(decoded.metrics) == len(foreign.metrics)
    for ours, theirs in zip(decoded.metrics, foreign.metrics, strict=True):
        assert (ours.name or "", ours.alias or 0, ours.timestamp_ms or 0, ours.datatype) == (
            theirs.name,
            theirs.alias,
            theirs.timestamp,
            theirs.datatype,
        )
        kind = theirs.WhichOneof("value")
        if ours.value is not None and not isinstance(ours.value, Unsupported):
            expected = getattr(theirs, kind)
            assert ours.value == expected or math.isnan(expected)


def values_in(payload: Payload) -> Iterator[Metric | Property]:
    for metric in payload.metrics:
        yield metric
        yield from metric.properties.values()
