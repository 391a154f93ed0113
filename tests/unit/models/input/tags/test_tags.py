"""Lists of tags: which readings come of which payload, and what is refused."""

import json
from typing import Any

import pytest

from models.errors import DecodeError, ReadingError
from models.input.pipeline import Pipeline
from models.input.quality import Quality
from models.input.routes import Routes
from models.input.source import Input

SIGNALS = {"pressure": "Pump.P", "flow": "Pump.F", "valve": "Pump.V"}
AT = 1_760_000_000_000
GOOD, UNCERTAIN, BAD = Quality


def readings(document: object, *, topic: str = "plant/a", **given: Any) -> list[Any]:  # noqa: ANN401  any setting
    """The readings of a payload: asset, time in ms, quality, and the value of each signal."""
    given.setdefault("dialect", "kepware")
    given.setdefault("signals", SIGNALS)
    source = {"topic": "plant/{line}", **given}
    routes = Routes(Pipeline.model_validate({"stream": "s", "inputs": [source]}), list(SIGNALS))
    route = routes.route(topic)
    assert route is not None
    payload = document if isinstance(document, bytes) else json.dumps(document).encode()
    names = list(SIGNALS)
    return [
        (
            part.asset,
            None if one.time_ns is None else one.time_ns // 1_000_000,
            one.quality,
            dict(zip([names[index] for index in part.channels], one.values, strict=True)),
        )
        for part, one in route.readings(payload)
    ]


def tag(name: str, value: object, **given: Any) -> dict[str, Any]:  # noqa: ANN401  any JSON value
    return {"id": name, "v": value, "q": True, "t": AT, **given}


def test_tags_of_one_time_are_one_reading_in_the_order_of_the_signals() -> None:
    values = [
        tag("Pump.F", 31),
        tag("Other", "text"),
        tag("Pump.V", value=True),
        tag("Pump.P", 4.2),
    ]
    found = readings({"timestamp": AT, "values": values})
    assert found == [("a", AT, GOOD, {"pressure": 4.2, "flow": 31, "valve": 1})]


def test_tag_that_its_source_calls_bad_is_bad_and_costs_no_other() -> None:
    values = [tag("Pump.P", 4.2), tag("Pump.F", 31, q=False)]
    assert readings({"timestamp": AT, "values": values}) == [
        ("a", AT, BAD, {"flow": 31}),
        ("a", AT, GOOD, {"pressure": 4.2}),
    ]


def test_tags_of_several_times_are_readings_in_their_order() -> None:
    values = [tag("Pump.P", 4.3, t=AT + 20), tag("Pump.F", 31), tag("Pump.P", 4.2)]
    assert readings({"timestamp": AT, "values": values}) == [
        ("a", AT, GOOD, {"pressure": 4.2, "flow": 31}),
        ("a", AT + 20, GOOD, {"pressure": 4.3}),
    ]


def test_tag_without_a_time_has_that_of_the_message() -> None:
    values = [{"id": "Pump.P", "v": 4.2, "q": True}]
    assert readings({"timestamp": AT, "values": values}) == [("a", AT, GOOD, {"pressure": 4.2})]


def test_tag_that_is_there_twice_is_two_readings() -> None:
    found = readings({"values": [tag("Pump.P", 4.2), tag("Pump.P", 4.3)]})
    assert [values for *_, values in found] == [{"pressure": 4.2}, {"pressure": 4.3}]


NEURON = {
    "values": {"timestamp": AT, "values": {"Pump.P": 4.2}, "errors": {"Pump.F": 2014}},
    "tags": {
        "timestamp": AT,
        "tags": [{"name": "Pump.P", "value": 4.2}, {"name": "Pump.F", "error": 2014}],
    },
}


@pytest.mark.parametrize("form", NEURON)
def test_tag_that_failed_is_bad(form: str) -> None:
    found = readings(NEURON[form], dialect="neuron")
    assert [(quality, list(values)) for _, _, quality, values in found] == [
        (BAD, ["flow"]),
        (GOOD, ["pressure"]),
    ]


@pytest.mark.parametrize("wrong", ["text", None, [1], {}], ids=["text", "null", "list", "object"])
def test_value_that_cannot_be_read_is_missing(wrong: object) -> None:
    ((_, _, _, values),) = readings({"values": [tag("Pump.P", wrong), tag("Pump.F", 31)]})
    assert values["flow"] == 31
    assert values["pressure"] != values["pressure"], "it is NaN"


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_number_that_is_not_finite_is_missing(number: str) -> None:
    payload = json.dumps({"values": [tag("Pump.P", "?"), tag("Pump.F", 31)]}).replace('"?"', number)
    ((_, _, _, values),) = readings(payload.encode())
    assert values["flow"] == 31
    assert values["pressure"] != values["pressure"], "it is NaN"


def test_tag_that_has_a_key_twice_costs_no_other() -> None:
    payload = json.dumps({"values": [tag("Pump.P", 4.2), tag("Pump.F", 31)]})
    ((_, _, _, values),) = readings(payload.replace('"v": 4.2', '"v": 4.2, "v": 5').encode())
    assert values["flow"] == 31
    assert values["pressure"] != values["pressure"], "it is NaN"
    with pytest.raises(ReadingError, match="duplicate_key"):
        readings(payload.replace('"id": "Pump.P"', '"id": "Pump.P", "id": "Pump.V"').encode())
    neuron = b'{"timestamp": 1, "values": {"Pump.P": 4.2, "Pump.F": 31, "Pump.P": 5}}'
    ((_, _, _, values),) = readings(neuron, dialect="neuron")
    assert values["flow"] == 31
    assert values["pressure"] != values["pressure"], "it is NaN"


def test_message_without_a_bound_tag_is_refused() -> None:
    with pytest.raises(DecodeError, match="no_signal"):
        readings({"timestamp": AT, "values": [tag("Other", 1)]})


def test_tag_whose_time_cannot_be_read_is_told_after_the_others_are_taken() -> None:
    values = [tag("Pump.P", 4.2, t="soon"), tag("Pump.F", 31)]
    with pytest.raises(ReadingError, match="time_malformed") as told:
        readings({"values": values})
    assert not isinstance(told.value, DecodeError), "something was taken"
    with pytest.raises(DecodeError, match="time_malformed"):
        readings({"values": values[:1]})


def test_name_before_the_last_separator_is_the_asset() -> None:
    values = [
        tag("Line.Press.P", 4.2),
        tag("Line.Drill.P", 5.2),
        tag("P", 1),
        tag("Line.Press.F", 31),
    ]
    given: dict[str, Any] = {"signals": {"pressure": "P", "flow": "F"}, "name_separator": "."}
    with pytest.raises(ReadingError, match="asset_missing"):
        readings({"values": values}, **given)
    del values[2]
    assert readings({"values": values}, **given) == [
        ("a/Line.Press", AT, GOOD, {"pressure": 4.2, "flow": 31}),
        ("a/Line.Drill", AT, GOOD, {"pressure": 5.2}),
    ]


def test_slashes_before_the_last_one_are_colons_of_the_asset() -> None:
    values = [tag("/acme/press/P", 4.2), tag("/acme/press/F", 31), tag("drill/P", 5.2)]
    given: dict[str, Any] = {"signals": {"pressure": "P", "flow": "F"}, "name_separator": "/"}
    assert readings({"values": values}, **given) == [
        ("a/acme:press", AT, GOOD, {"pressure": 4.2, "flow": 31}),
        ("a/drill", AT, GOOD, {"pressure": 5.2}),
    ]
    with pytest.raises(DecodeError, match="asset_missing"):
        readings({"values": [tag("/P", 1)]}, **given)


def test_list_of_many_assets_is_read_as_its_tags_would_be_one_by_one() -> None:
    given: dict[str, Any] = {"signals": {"pressure": "P", "flow": "F"}, "name_separator": "."}
    values = [tag("A.F", 31), tag("B.P", 5), tag("A.P", 4.2), tag("C.X", "text"), tag("A.B.P", 6)]
    at_once = readings({"values": values}, **given)
    assert at_once == [
        ("a/A", AT, GOOD, {"pressure": 4.2, "flow": 31}),
        ("a/B", AT, GOOD, {"pressure": 5}),
        ("a/A.B", AT, GOOD, {"pressure": 6}),
    ]
    # A tag without a time makes that the list cannot be read at once.
    single = {"id": "D.X", "v": 1}
    assert readings({"timestamp": AT, "values": [*values, single]}, **given) == at_once


def test_layout_of_ones_own_is_read() -> None:
    document = {
        "parts": [
            {"dev": "d1", "ts": AT, "points": {"P": {"x": [4.2]}, "F": {"x": [31], "bad": 7}}},
            {"dev": "d2", "ts": AT, "points": {"P": {"x": [5.2], "own": AT + 1}}},
        ],
    }
    layout = {
        "groups": "parts[*]",
        "items": "points",
        "value": "x[0]",
        "failed": "bad",
        "timestamp": "own",
    }
    given: dict[str, Any] = {
        "dialect": "tags",
        "tags": layout,
        "asset": "dev",
        "timestamp": "ts",
        "signals": {"pressure": "P", "flow": "F"},
    }
    assert readings(document, **given) == [
        ("a/d1", AT, BAD, {"flow": 31}),
        ("a/d1", AT, GOOD, {"pressure": 4.2}),
        ("a/d2", AT + 1, GOOD, {"pressure": 5.2}),
    ]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"dialect": "sitewise", "timestamp_unit": "ms"}, "timestamp_unit out"),
        ({"dialect": "thingsboard-gateway", "asset": "device"}, "no use for asset"),
        ({"dialect": "thingsboard-gateway", "topic": "v1/{asset}"}, "keys of the payload"),
        ({"dialect": "kepware", "timestamp": "t"}, "no use for timestamp"),
        ({"dialect": "influx", "asset": "tags.host", "name_separator": "."}, "both name the asset"),
    ],
    ids=["fixed unit", "asset of keys", "level of keys", "fixed path", "two ways"],
)
def test_setting_that_a_product_has_no_use_for_is_refused(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Input.model_validate({"topic": "plant/{line}", **given})


def test_sample_of_opc_ua_is_found_by_its_display_name_or_by_its_node_id() -> None:
    sample = {"NodeId": "ns=2;s=PT101", "DisplayName": "Pressure", "Value": {"Value": 4.2}}
    by_id = readings(sample, dialect="opcua", signals={"pressure": "ns=2;s=PT101"})
    by_name = readings(sample, dialect="opcua", signals={"pressure": "Pressure"})
    assert by_id == by_name == [("a", None, GOOD, {"pressure": 4.2})]


def opc_ua(**given: Any) -> dict[str, Any]:  # noqa: ANN401  any JSON value
    """A network message of five tags; what is given for one is in place of its DataValue."""
    at = "2025-10-09T08:53:20Z"
    names = ("Pump.P", "Pump.F", "Pump.V", "X", "Y")
    tags = {name: {"Value": 1.5, "SourceTimestamp": at} for name in names}
    return {"Messages": [{"Timestamp": at, "Payload": {**tags, **given}}]}


def test_tags_of_opc_ua_with_times_of_their_own_are_readings_of_these_times() -> None:
    later = {"Value": 2.5, "SourceTimestamp": "2025-10-09T08:53:20.02Z"}
    assert readings(opc_ua(**{"Pump.F": later}), dialect="opcua") == [
        ("a", AT, GOOD, {"pressure": 1.5, "valve": 1.5}),
        ("a", AT + 20, GOOD, {"flow": 2.5}),
    ]


@pytest.mark.parametrize(
    "odd",
    [
        {"Value": 2.5, "ServerTimestamp": "2025-10-09T08:53:20.02Z"},
        {"Value": {"Type": 11, "Body": 2.5}, "SourceTimestamp": "2025-10-09T08:53:20.02Z"},
        {"Value": 2.5, "SourceTimestamp": "2025-10-09T08:53:20.02Z", "Status": 0},
    ],
    ids=["another time", "a value with its type", "a status"],
)
def test_tag_with_other_keys_than_its_neighbours_is_read_by_its_own(odd: dict[str, Any]) -> None:
    assert readings(opc_ua(**{"Pump.F": odd}), dialect="opcua") == [
        ("a", AT, GOOD, {"pressure": 1.5, "valve": 1.5}),
        ("a", AT + 20, GOOD, {"flow": 2.5}),
    ]


def entry(name: str, value: dict[str, Any]) -> dict[str, Any]:
    """An entry of SiteWise's request, with one value."""
    at = {"timeInSeconds": AT // 1000, "offsetInNanos": 0}
    values = [{"value": value, "timestamp": at, "quality": "GOOD"}]
    return {"entryId": name, "propertyAlias": name, "propertyValues": values}


@pytest.mark.parametrize("kind", ["doubleValue", "integerValue"])
def test_entries_of_one_time_are_one_reading(kind: str) -> None:
    """A value that is an integer has another key than the others."""
    entries = [entry(name, {"doubleValue": 3}) for name in ("Pump.P", "X", "Pump.V", "Y")]
    entries.append(entry("Pump.F", {kind: 7}))
    assert readings({"entries": entries}, dialect="sitewise") == [
        ("a", AT, GOOD, {"pressure": 3, "flow": 7, "valve": 3})
    ]


def test_list_that_is_longer_than_allowed_is_refused() -> None:
    values = [tag(f"T{number}", 1) for number in range(10_001)]
    with pytest.raises(DecodeError, match="too_many_entries"):
        readings({"values": [*values, tag("Pump.P", 4.2)]})


def test_array_that_is_nested_too_deeply_is_refused_beside_many_objects() -> None:
    values = [tag(f"T{number}", {}) for number in range(60)] + [tag("Pump.P", 4.2)]
    document = json.dumps({"values": values, "x": None}, separators=(",", ":"))
    deep = document.replace("null", "[" * 99 + "]" * 99).encode()
    assert readings(deep)[0][3] == {"pressure": 4.2}
    with pytest.raises(DecodeError, match="too_deep"):
        readings(document.replace("null", "[" * 101 + "]" * 101).encode())
