"""A late label is read from a message or from a row of a table, or refused as malformed."""

import json

import pytest

from models.input.label import Label, LabelError, label_of, read_label
from models.input.label_topic import LabelTopic
from models.input.pipeline import Pipeline

RIGHT = {"from": 1_000, "to": 2_000, "value": 1.5}


@pytest.mark.parametrize(
    ("fields", "label"),
    [
        (RIGHT, Label("p1", 1_000, 2_000, 1.5)),
        ({**RIGHT, "asset": "p2"}, Label("p2", 1_000, 2_000, 1.5)),
        ({**RIGHT, "from": "1970-01-01T01:00:01+01:00"}, Label("p1", 1_000, 2_000, 1.5)),
        ({**RIGHT, "to": "1970-01-01T00:00:02Z"}, Label("p1", 1_000, 2_000, 1.5)),
        ({**RIGHT, "to": "2000"}, Label("p1", 1_000, 2_000, 1.5)),
        ({**RIGHT, "value": True}, Label("p1", 1_000, 2_000, 1.0)),
        ({**RIGHT, "value": " 12 "}, Label("p1", 1_000, 2_000, 12.0)),
        ({"from": 1_000, "to": 2_000, "label": "worn"}, Label("p1", 1_000, 2_000, "worn")),
    ],
    ids=["plain", "asset", "offset", "UTC", "digits", "boolean", "number as text", "class"],
)
def test_a_label_is_read(fields: dict[str, object], label: Label) -> None:
    assert read_label(json.dumps(fields).encode(), "p1") == label
    assert label_of({"asset": "p1", **fields}) == label


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"14",
        b'{"from": 1, "to": 2}',
        b'{"from": 2, "to": 2, "value": 1}',
        b'{"from": "yesterday", "to": 2, "value": 1}',
        b'{"from": 1, "to": 1e300, "value": 1}',
        b'{"from": 1, "to": 2, "value": null}',
        b'{"from": 1, "to": 2, "value": NaN}',
        b'{"from": 1, "to": 2, "value": "nan"}',
        b'{"from": 1, "to": 2, "value": [1]}',
        b'{"from": 1, "to": 2, "value": "a\\nb"}',
        b'{"from": 1, "to": 2, "value": 1, "asset": ""}',
        b'{"from": 1, "to": 2, "value": 1, "asset": 7}',
        b'{"from": 1, "to": 2, "value": "' + b"x" * 300 + b'"}',
        b'{"from": 1, "to": 2, "value": 1, "note": "' + b"x" * 5000 + b'"}',
    ],
    ids=[
        "empty",
        "a number",
        "without value",
        "ends as it begins",
        "no time",
        "beyond all times",
        "null",
        "NaN",
        "NaN as text",
        "a list",
        "two lines",
        "no asset",
        "asset is a number",
        "long class",
        "long payload",
    ],
)
def test_what_is_no_label_is_malformed(payload: bytes) -> None:
    with pytest.raises(LabelError) as refused:
        read_label(payload, "p1")
    assert refused.value.reason == "malformed"


@pytest.mark.parametrize(
    ("source", "labels", "topic", "asset"),
    [
        ({"topic": "plant/{line}/{asset}/telemetry"}, {}, "plant/l1/p1/_label/rul", "l1/p1"),
        ({"topic": "plant/{asset}/{signal}", "dialect": "umh"}, {}, "plant/p1/_label/rul", "p1"),
        ({"topic": "plant/{path...}"}, {}, "_label/rul/plant/a/b", "a/b"),
        ({"topic": "plant/all", "asset": "id"}, {}, "plant/p1/_label/rul", "p1"),
        ({"topic": "plant"}, {}, "plant/_label/rul", "rul"),
        (
            {"topic": "plant/{line}/{asset}/telemetry"},
            {"topic": "mes/{asset}/at/{line}"},
            "mes/p1/at/l1",
            "l1/p1",
        ),
        ({"topic": "plant/{asset}/telemetry"}, {"topic": "mes/labels"}, "mes/labels", ""),
        ({"topic": "plant/{asset}/telemetry"}, {}, "plant/p1/_label/other", None),
    ],
    ids=[
        "telemetry",
        "signals",
        "any depth",
        "asset in the payload",
        "no levels",
        "levels in another order",
        "topic without the asset",
        "another stream",
    ],
)
def test_the_topic_names_the_asset_as_readings_do(
    source: dict[str, object], labels: dict[str, object], topic: str, asset: str | None
) -> None:
    settings = {"stream": "rul", "inputs": [source], "labels": labels}
    assert LabelTopic(Pipeline.model_validate(settings)).asset(topic) == asset
