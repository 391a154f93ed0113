"""What the encoder writes, read by the runtime of Protocol Buffers."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.sparkplug.datatype import DataType, typed
from models.sparkplug.decoder import decode
from models.sparkplug.encoder import encode
from models.sparkplug.payload import Metric, Payload, Property, Value
from tests.kit.sparkplug.protobuf_schema import payload_class

Foreign = payload_class()
AT_MS = 1_764_000_000_123


def read(payload: Payload, *, is_birth: bool) -> Any:  # noqa: ANN401  the runtime makes the class
    return Foreign.FromString(encode(payload, is_birth=is_birth))


@pytest.mark.parametrize(
    ("datatype", "value", "field", "carried"),
    [
        pytest.param(DataType.INT8, -1, "int_value", 0xFFFF_FFFF, id="int8"),
        pytest.param(DataType.INT32, -2, "int_value", 0xFFFF_FFFE, id="int32"),
        pytest.param(DataType.UINT32, 2**32 - 1, "int_value", 2**32 - 1, id="uint32"),
        pytest.param(DataType.INT64, -1, "long_value", 2**64 - 1, id="int64"),
        pytest.param(DataType.UINT64, 300, "long_value", 300, id="uint64"),
        pytest.param(DataType.DATETIME, AT_MS, "long_value", AT_MS, id="datetime"),
        pytest.param(DataType.FLOAT, 1.5, "float_value", 1.5, id="float"),
        pytest.param(DataType.DOUBLE, 0.1, "double_value", 0.1, id="double"),
        pytest.param(DataType.BOOLEAN, False, "boolean_value", False, id="boolean"),
        pytest.param(DataType.STRING, "läuft", "string_value", "läuft", id="string"),
        pytest.param(DataType.STRING, "", "string_value", "", id="empty string"),
    ],
)
def test_value_is_written_in_the_field_of_its_type(
    datatype: DataType, value: Value, field: str, carried: object
) -> None:
    payload = Payload(AT_MS, [Metric("a", None, AT_MS, datatype, value)], 0)
    (metric,) = read(payload, is_birth=True).metrics
    assert metric.WhichOneof("value") == field
    assert getattr(metric, field) == carried
    assert typed(decode(encode(payload, is_birth=True)).metrics[0].value, datatype) == value


def test_birth_has_names_and_types_and_data_have_aliases_alone() -> None:
    metrics = [
        Metric("Node Control/Rebirth", None, AT_MS, DataType.BOOLEAN, value=False),
        Metric("a/value", 300, AT_MS, DataType.DOUBLE, 1.0),
    ]
    birth = read(Payload(AT_MS, metrics, 0), is_birth=True)
    assert [(one.name, one.alias, one.datatype) for one in birth.metrics] == [
        ("Node Control/Rebirth", 0, 11),
        ("a/value", 300, 10),
    ]
    assert not birth.metrics[0].HasField("alias")
    data = read(Payload(AT_MS, metrics, 0), is_birth=False)
    assert [(one.name, one.alias, one.datatype) for one in data.metrics] == [
        ("Node Control/Rebirth", 0, 0),
        ("", 300, 0),
    ]


def test_data_have_their_types_where_hosts_need_them() -> None:
    payload = Payload(AT_MS, [Metric("a/value", 300, AT_MS, DataType.DOUBLE, 1.0)], 0)
    (metric,) = Foreign.FromString(encode(payload, is_birth=False, has_types=True)).metrics
    assert (metric.name, metric.alias, metric.datatype) == ("", 300, 10)


def test_null_flags_and_properties_are_written() -> None:
    properties = {
        "Quality": Property(DataType.INT32, 0),
        "engUnit": Property(DataType.STRING, "bar"),
        "engLow": Property(DataType.DOUBLE, None),
    }
    metric = Metric(
        "a", 1, AT_MS, DataType.DOUBLE, is_historical=True, is_transient=True, properties=properties
    )
    payload = Payload(AT_MS, [metric], 255)
    foreign = read(payload, is_birth=True)
    (one,) = foreign.metrics
    assert (one.is_null, one.is_historical, one.is_transient) == (True, True, True)
    assert one.WhichOneof("value") is None
    assert list(one.properties.keys) == ["Quality", "engUnit", "engLow"]
    quality, unit, low = one.properties.values
    assert (quality.type, quality.int_value, unit.string_value, low.is_null) == (3, 0, "bar", True)
    assert (foreign.timestamp, foreign.seq) == (AT_MS, 255)
    assert decode(encode(payload, is_birth=True)) == payload


def test_death_of_a_node_has_no_sequence_number() -> None:
    death = read(Payload(AT_MS, [Metric("bdSeq", None, AT_MS, 4, 3)]), is_birth=True)
    assert not death.HasField("seq")


VALUES = st.one_of(
    st.tuples(st.just(DataType.DOUBLE), st.floats(allow_nan=False)),
    st.tuples(st.just(DataType.BOOLEAN), st.booleans()),
    st.tuples(st.just(DataType.UINT64), st.integers(0, 2**64 - 1)),
    st.tuples(st.just(DataType.UINT32), st.integers(0, 2**32 - 1)),
    st.tuples(st.just(DataType.STRING), st.text(max_size=300)),
    st.tuples(st.just(DataType.DOUBLE), st.none()),
)


@given(
    st.lists(
        st.builds(
            lambda name, alias, at_ms, value, flags: Metric(name, alias, at_ms, *value, *flags),
            st.text(max_size=200),
            st.none() | st.integers(0, 2**64 - 1),
            st.none() | st.integers(0, 2**64 - 1),
            VALUES,
            st.tuples(st.booleans(), st.booleans()),
        )
    ),
    st.integers(0, 255),
)
def test_birth_is_decoded_to_what_was_encoded(metrics: list[Metric], seq: int) -> None:
    payload = Payload(AT_MS, metrics, seq)
    assert decode(encode(payload, is_birth=True)) == payload
