"""What Home Assistant is told of a stream, by the keys and templates that it documents."""

import json
from typing import Any

import pytest
from jinja2 import Environment, StrictUndefined
from pydantic import ValidationError

from agent.config.home_assistant import MAX_ASSETS, prediction_topic
from agent.config.settings import Settings
from agent.home_assistant.components import components, model_expiry_s
from models.bundle.manifest import Channel, Manifest, Output, WindowSpec
from models.input.pipeline import Pipeline
from tests.kit.bundles.factories import make_manifest
from tests.kit.wording import naming

# Of www.home-assistant.io/integrations/mqtt, sensor.mqtt and binary_sensor.mqtt, as of 2026.
ENTITY = {
    *("p", "platform", "name", "unique_id", "state_topic", "value_template", "device_class"),
    *("json_attributes_topic", "json_attributes_template", "expire_after", "qos", "icon"),
}
DOCUMENTED = {
    "sensor": ENTITY | {"options", "state_class", "unit_of_measurement", "force_update"},
    "binary_sensor": ENTITY | {"payload_on", "payload_off", "off_delay", "force_update"},
}
PIPELINE = Pipeline.model_validate(
    {
        "stream": "pump-health",
        "inputs": [{"topic": "plant/{line}/{asset}/telemetry"}],
        "assets": ["l1/p1", "l2/p7"],
    }
)
ANOMALY = make_manifest(
    task="anomaly",
    outputs=(
        Output(name="value", dtype="int64", meaning="abnormal", classes=("normal", "abnormal")),
        Output(name="score", dtype="float32", meaning="how abnormal"),
    ),
)
STATES = make_manifest(
    task="classification",
    outputs=(Output(name="value", dtype="int64", meaning="state", classes=("idle", "busy")),),
)
PREDICTION = {"value": 1, "quality": "GOOD", "score": 0.75, "label": "busy", "version": "1.0.0"}


def told(manifest: Manifest, expire_after_s: float | None = None) -> dict[str, dict[str, Any]]:
    return {key: dict(one) for key, one in components("gw1", PIPELINE, manifest, expire_after_s)}


def rendered(component: dict[str, Any], key: str, prediction: dict[str, Any]) -> str:
    template = Environment(undefined=StrictUndefined, autoescape=True).from_string(component[key])
    return template.render(value_json=prediction)


@pytest.mark.parametrize(
    "manifest", [make_manifest(), ANOMALY, STATES], ids=["regression", "anomaly", "classification"]
)
def test_components_have_documented_keys_and_names_of_their_own(manifest: Manifest) -> None:
    found = told(manifest)
    for one in found.values():
        assert one.keys() <= DOCUMENTED[one["p"]]
        assert one["state_topic"] == one["json_attributes_topic"]
        # A sensor with options has neither a unit nor a state class (sensor.mqtt).
        assert "options" not in one or not {"state_class", "unit_of_measurement"} & one.keys()
        attributes = json.loads(rendered(one, "json_attributes_template", PREDICTION))
        assert attributes["quality"] == "GOOD"
        assert attributes["reason"] is None
    assert len({one["unique_id"] for one in found.values()}) == len(found)
    assert len({one["name"] for one in found.values()}) == len(found)


def test_regression_is_a_sensor_with_the_unit_of_the_model() -> None:
    found = told(make_manifest())
    assert list(found) == ["pump-health/l1/p1", "pump-health/l2/p7"]
    one = found["pump-health/l2/p7"]
    assert one["state_topic"] == "plant/l2/p7/_inference/pump-health"
    assert (one["p"], one["unit_of_measurement"], one["state_class"]) == (
        "sensor",
        "h",
        "measurement",
    )
    assert rendered(one, "value_template", {"value": 314.25}) == "314.25"
    assert rendered(one, "value_template", {"value": None}) == "None", "unknown (sensor.mqtt)"


def test_anomaly_is_a_problem_that_is_on_or_off_and_a_score() -> None:
    found = told(ANOMALY)
    alarm, score = found["pump-health/l1/p1"], found["pump-health/l1/p1/score"]
    assert (alarm["p"], alarm["device_class"]) == ("binary_sensor", "problem")
    shown = [rendered(alarm, "value_template", {"value": value}) for value in (1, 0, None)]
    assert shown == ["ON", "OFF", "None"]
    assert rendered(score, "value_template", PREDICTION) == "0.75"


def test_classes_are_the_options_of_a_sensor() -> None:
    one = told(STATES)["pump-health/l1/p1"]
    assert (one["device_class"], one["options"]) == ("enum", ["idle", "busy"])
    assert rendered(one, "value_template", PREDICTION) == "busy"
    assert rendered(one, "value_template", {"value": None}) == "None"


@pytest.mark.parametrize(
    ("window", "ages_ms", "expiry_s"),
    [
        (WindowSpec(length=1), (None, None), None),
        (WindowSpec(length=8, hop=4, sample_period_ms=5000), (None, None), 60.0),
        (WindowSpec(length=1, sample_period_ms=100), (None, None), 10.0),
        (WindowSpec(length=1, sample_period_ms=5000), (None, 3_600_000), 3600.0),
    ],
    ids=["nothing is known", "three hops", "ten seconds at least", "the longest age"],
)
def test_prediction_is_outdated_as_the_model_says(
    window: WindowSpec, ages_ms: tuple[int | None, ...], expiry_s: float | None
) -> None:
    signals = tuple(Channel(name=f"c{n}", max_age_ms=age) for n, age in enumerate(ages_ms))
    manifest = make_manifest(channels=signals, window=window)
    assert model_expiry_s(manifest) == expiry_s
    assert told(manifest)["pump-health/l1/p1"].get("expire_after") == expiry_s
    assert told(manifest, 7.5)["pump-health/l1/p1"]["expire_after"] == 8


@pytest.mark.parametrize(
    ("fields", "asset", "topic"),
    [
        ({"topic": "plant/{line}/{asset}/t"}, "l1/p1", "plant/l1/p1/_inference/s"),
        ({"topic": "plant/{line}/{asset}/t"}, "p1", None),
        ({"topic": "a/{asset}/{signal}", "dialect": "scalar"}, "p1", "a/p1/_inference/s"),
        ({"topic": "hub/{site}", "asset": "device"}, "s1/p1", "hub/s1/p1/_inference/s"),
        ({"topic": "plant/{line}/{path...}"}, "l1/a/b", "_inference/s/plant/l1/a/b"),
        ({"topic": "plant/row"}, "s", "plant/_inference/s"),
        ({"topic": "plant/row"}, "p1", None),
    ],
    ids=["levels", "a level too few", "a signal", "by payload", "open", "lone", "lone and other"],
)
def test_topic_of_the_predictions_follows_from_the_asset(
    fields: dict[str, object], asset: str, topic: str | None
) -> None:
    pipeline = Pipeline.model_validate({"stream": "s", "inputs": [fields], "assets": [asset]})
    assert prediction_topic(pipeline, asset) == topic


def settings(gateway: str = "gw1", assets: object = ("l1/p1",), **chosen: object) -> Settings:
    pipeline = PIPELINE.model_dump() | {"assets": assets}
    return Settings.model_validate(
        {
            "gateway": {"id": gateway},
            "broker": {"host": "localhost"},
            "registry": {"url": "file:///registry", "root": "root.json"},
            "pipelines": [pipeline],
            "home_assistant": {"enabled": True} | chosen,
        }
    )


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"assets": ()}, "found 0"),
        ({"assets": [f"l1/p{n}" for n in range(MAX_ASSETS + 1)]}, f"found {MAX_ASSETS + 1}"),
        ({"assets": ["p1"]}, "'p1'"),
        ({"gateway": "gw.1"}, "gw.1"),
        ({"object_id": "gw 1"}, "'gw 1'"),
        ({"prefix": "home/+"}, "'home/+'"),
        ({"prefix": ""}, "prefix"),
    ],
    ids=["no assets", "too many", "other levels", "gateway id", "object id", "prefix", "no prefix"],
)
def test_announcement_that_cannot_be_meant_is_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=naming(said)):
        settings(**fields)
    assert settings().home_assistant.topic("gw1") == "homeassistant/device/gw1/config"
    named = settings("gw.1", object_id="gw_1", prefix="ha/x").home_assistant
    assert (named.topic("gw.1"), named.birth_topic) == ("ha/x/device/gw_1/config", "ha/x/status")
