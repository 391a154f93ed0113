"""Payloads that were exchanged with `sparkplug-payload` 1.0.3 of npm, by which many hosts read.

`captures.json` has messages of an edge node of ours, of which `read` is what npm's library made of
them, and messages that it has written. To read the values of our data it needs their data types,
which the edge node writes with `typed_data`.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from models.sparkplug.datatype import DataType, typed
from models.sparkplug.decoder import decode
from models.sparkplug.payload import Metric

CAPTURES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "captures.json").read_text())


@pytest.mark.parametrize(
    "capture",
    CAPTURES,
    ids=[
        f"{number} {one['message']} by {one['written_by']}" for number, one in enumerate(CAPTURES)
    ],
)
def test_both_read_the_same(capture: dict[str, Any]) -> None:
    payload, read = decode(bytes.fromhex(capture["hex"])), capture["read"]
    assert (payload.timestamp_ms, payload.seq) == (read["timestamp"], read.get("seq"))
    assert [as_npm_says(metric) for metric in payload.metrics] == read["metrics"]


def as_npm_says(metric: Metric) -> dict[str, Any]:
    said: dict[str, Any] = {
        "value": typed(metric.value, metric.datatype),
        "type": type_name(metric.datatype),
    }
    if metric.name is not None:
        said["name"] = metric.name
    said["timestamp"] = metric.timestamp_ms
    if metric.alias is not None:
        said["alias"] = metric.alias
    if metric.is_transient:
        said["isTransient"] = True
    if metric.properties:
        said["properties"] = {
            name: {"value": typed(one.value, one.datatype), "type": type_name(one.datatype)}
            for name, one in metric.properties.items()
        }
    return said


def type_name(datatype: int) -> str:
    name = DataType(datatype).name
    return name.title().replace("Ui", "UI")
