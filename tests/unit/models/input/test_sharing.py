"""Topics that several inputs of one pipeline have: each takes what is meant for it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from models.errors import DecodeError, ReadingError
from models.input.pipeline import Pipeline
from models.input.routes import Routes
from models.sparkplug.datatype import DataType
from models.sparkplug.encoder import encode
from models.sparkplug.payload import BD_SEQ, Metric, Payload

AT = 1_760_000_000_000
NAMES = ("pressure", "flow")
NODE = "spBv1.0/{group}/{type}/{node}"
SIEMENS = "ie/d/j/simatic/v1/{app}/dp/r/press"


def routes(dialect: str, *bound: tuple[str, Mapping[str, str]]) -> Routes:
    """The routes of a pipeline with an input for each topic and its signals."""
    inputs: list[dict[str, Any]] = [
        {"topic": topic, "dialect": dialect, "signals": signals} for topic, signals in bound
    ]
    return Routes(Pipeline.model_validate({"stream": "s", "inputs": inputs}), NAMES)


def read(made: Routes, topic: str, payload: bytes) -> list[tuple[str, dict[str, float]]]:
    """Asset and values of each reading."""
    route = made.route(topic)
    assert route is not None
    return [
        (part.asset, dict(zip([NAMES[one] for one in part.channels], found.values, strict=True)))
        for part, found in route.readings(payload)
    ]


def of_node(topic: str, *metrics: Metric, seq: int | None) -> tuple[str, bytes]:
    kind = topic.split("/", maxsplit=1)[0]
    payload = encode(Payload(AT, metrics, seq), is_birth=kind.endswith("BIRTH"))
    return f"spBv1.0/works/{topic}", payload


def test_two_devices_of_a_node_are_read_by_an_input_each() -> None:
    made = routes(
        "sparkplug", (f"{NODE}/pump", {"pressure": "P"}), (f"{NODE}/meter", {"flow": "F"})
    )
    birth = of_node("NBIRTH/n1", Metric(BD_SEQ, None, AT, DataType.UINT64, 0), seq=0)
    pump = Metric("P", 1, AT, DataType.DOUBLE, 4.0)
    meter = Metric("F", 2, AT, DataType.DOUBLE, 30.0)
    with pytest.raises(DecodeError, match="birth_missing"):
        read(made, *of_node("DDATA/n1/pump", Metric(None, 1, AT, DataType.DOUBLE, 4.1), seq=7))
    assert read(made, *birth) == []
    assert read(made, *of_node("DBIRTH/n1/pump", pump, seq=1)) == [("works/n1", {"pressure": 4.0})]
    assert read(made, *of_node("DBIRTH/n1/meter", meter, seq=2)) == [("works/n1", {"flow": 30.0})]
    data = Metric(None, 2, AT + 1, DataType.DOUBLE, 31.0)
    assert read(made, *of_node("DDATA/n1/meter", data, seq=3)) == [("works/n1", {"flow": 31.0})]
    with pytest.raises(DecodeError, match="alias_unknown"):
        read(made, *of_node("DDATA/n1/pump", Metric(None, 9, AT, DataType.DOUBLE, 1.0), seq=4))


def test_metadata_of_a_connector_name_the_tags_of_every_input() -> None:
    made = routes(
        "siemens",
        (f"{SIEMENS}/fast", {"pressure": "PT101"}),
        (f"{SIEMENS}/slow", {"flow": "FT102"}),
    )
    values = SIEMENS.replace("{app}", "s7c1")
    points = [
        {"topic": f"{values}/fast", "dataPointDefinitions": [{"name": "PT101", "id": "101"}]},
        {"topic": f"{values}/slow", "dataPointDefinitions": [{"name": "FT102", "id": "102"}]},
    ]
    metadata = {"connections": [{"name": "press", "dataPoints": points}]}
    assert read(made, "ie/m/j/simatic/v1/s7c1/dp", json.dumps(metadata).encode()) == []
    assert read(made, f"{values}/fast", b'{"vals": [{"id": "101", "val": 4.25}]}') == [
        ("s7c1", {"pressure": 4.25})
    ]
    assert read(made, f"{values}/slow", b'{"vals": [{"id": "102", "val": 31}]}') == [
        ("s7c1", {"flow": 31.0})
    ]


def listed(**values: object) -> bytes:
    tags = [{"id": name, "v": value, "q": True, "t": AT} for name, value in values.items()]
    return json.dumps({"values": tags}).encode()


def test_tags_of_one_message_may_be_bound_by_two_inputs() -> None:
    made = routes("kepware", ("kep/{line}", {"pressure": "P"}), ("kep/{line}", {"flow": "F"}))
    assert read(made, "kep/l1", listed(P=4.25, F=31)) == [
        ("l1", {"pressure": 4.25}),
        ("l1", {"flow": 31.0}),
    ]
    assert read(made, "kep/l1", listed(F=32)) == [("l1", {"flow": 32.0})]
    with pytest.raises(DecodeError, match="no_signal"):
        read(made, "kep/l1", listed(Q=1))
    payload = listed(P=4.25, F=31).replace(b'"F", "v": 31, "q": true', b'"F", "v": 31, "q": "?"')
    route = made.route("kep/l1")
    assert route is not None
    found: list[Sequence[float]] = []
    with pytest.raises(ReadingError, match="quality_unknown") as caught:
        found.extend(one.values for _, one in route.readings(payload))
    assert not isinstance(caught.value, DecodeError), "the rest of the message counts"
    assert [list(one) for one in found] == [[4.25]]
