"""What the OpenAPI document says of streams, and of everything that it can describe."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from models.bundle.manifest import Channel, Output
from server.http.refusals import RefusedError
from server.openapi.document import described, document
from server.openapi.refusals import MEANINGS
from server.openapi.stream import MAX_SIGNALS, DescribedStream
from tests.kit.bundles.factories import make_channels, make_manifest

PREDICT = "/v1/streams/{stream}/predict"


def described_stream(**fields: object) -> DescribedStream:
    return DescribedStream(make_manifest(2, 1, **fields), None)


def made(*streams: DescribedStream) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(json.dumps(document(described(), streams)))
    return found


def reading(document: Mapping[str, Any], stream: str) -> Mapping[str, Any]:
    """The schema of one reading of a stream."""
    operation = document["paths"][PREDICT.replace("{stream}", stream)]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    found: Mapping[str, Any] = schema["properties"]["readings"]["items"]
    return found


def operation_ids(document: Mapping[str, Any]) -> list[str]:
    return [one["operationId"] for path in document["paths"].values() for one in path.values()]


def refusals(kind: type[RefusedError] = RefusedError) -> set[int]:
    """The statuses of all refusals that there are."""
    return {kind.status}.union(*map(refusals, kind.__subclasses__()))


def test_everything_that_can_be_described_is_valid() -> None:
    assert list(OpenAPIV31SpecValidator(made(described_stream())).iter_errors()) == []


def test_only_what_is_answered_is_described() -> None:
    found = document([("GET", "/v2")])
    assert list(found["paths"]) == ["/v2"]
    assert "PredictRequest" not in found["components"]["schemas"]


def test_each_status_of_a_refusal_is_described() -> None:
    assert refusals() <= set(MEANINGS)


def test_signal_has_its_unit_range_and_what_a_missing_value_does() -> None:
    flow = Channel(name="flow", unit="m3/h", valid_range=(0.0, 32.5), missing="require")
    level = Channel(name="level")
    signals = reading(made(described_stream(channels=(flow, level))), "pump-health")["properties"]
    assert signals["flow"]["type"] == ["number", "boolean", "null"]
    assert "m3/h" in signals["flow"]["description"]
    assert "0 to 32.5" in signals["flow"]["description"]
    assert "BAD" in signals["flow"]["description"]
    assert "all numbers" in signals["level"]["description"]
    assert "UNCERTAIN" in signals["level"]["description"]
    assert "minimum" not in signals["flow"], "a value outside of the range is missing, not refused"


def test_answer_has_its_unit_classes_and_threshold() -> None:
    value = Output(name="value", dtype="int64", meaning="state", classes=("well", "worn"))
    score = Output(name="score", dtype="float32", meaning="wear", unit="mm", threshold=0.25)
    found = made(described_stream(task="anomaly", outputs=(value, score)))
    said = found["paths"]["/v2/models/pump-health/infer"]["post"]["description"]
    assert "`value`: state (well, worn); `score`: wear, in mm, threshold 0.25" in said


def test_streams_whose_names_differ_by_a_sign_have_operations_that_differ() -> None:
    names = ["pump-health", "pump_health", "Pump.Health", "pump-health-2"]
    ids = operation_ids(made(*(described_stream(stream=name) for name in names)))
    assert len({one.lower() for one in ids}) == len(ids)
    assert all(one.isidentifier() for one in ids)


@pytest.mark.parametrize("name", ["MLflow", "Streams"])
def test_stream_may_have_the_name_of_a_group(name: str) -> None:
    groups = [one["name"] for one in made(described_stream(stream=name))["tags"]]
    assert sorted(groups) == sorted(set(groups))


def test_more_signals_than_the_limit_are_described_as_one() -> None:
    channels = make_channels(MAX_SIGNALS + 1)
    found = reading(made(described_stream(channels=channels)), "pump-health")
    assert "properties" not in found
    assert found["additionalProperties"]["type"] == ["number", "string", "boolean", "null"]
