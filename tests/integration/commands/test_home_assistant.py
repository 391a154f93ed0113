"""What Home Assistant is told by an agent that runs, and what is taken back."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.kit.broker.brokers import Mosquitto, mosquitto
from tests.kit.bundles.graphs import detector_bundle, linear_bundle
from tests.kit.gateway.agent import Gateway, telemetry_pipeline
from tests.kit.gateway.mqtt_client import PlantClient
from tests.kit.gateway.plant import FILTERS, OFTEN, Plant

TOPIC = "homeassistant/device/gw1/config"
BIRTH = "homeassistant/status"
ASSETS = ["l1/p1", "l1/p2"]
DEVICE = {"ids", "name", "mf", "mdl", "sw"}
ROOT = {"dev", "o", "availability", "cmps"}


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with mosquitto(tmp_path_factory.mktemp("broker")) as running:
        yield running


@contextmanager
def made(folder: Path, broker: Mosquitto, gateway: str) -> Iterator[Plant]:
    """A gateway that has not been started, and a client that hears what Home Assistant does."""
    pipelines = [
        telemetry_pipeline("mass") | {"assets": ASSETS},
        telemetry_pipeline("alarm") | {"assets": ASSETS[:1]},
    ]
    sections: dict[str, dict[str, object]] = {"home_assistant": {"enabled": True}, "limits": OFTEN}
    made = Gateway(folder, broker.port, pipelines, id=gateway, sections=sections)
    made.keep(linear_bundle("mass", 1, [1.0, 10.0]))
    made.keep(detector_bundle("alarm", 1, [1.0, 10.0], threshold=5.0))
    with PlantClient(broker.port, (*FILTERS, "homeassistant/#")) as client, made:
        yield Plant(made, client)
        client.publish(topic_of(gateway), b"", retain=True)
        client.flush()


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory, broker: Mosquitto) -> Iterator[Plant]:
    """A gateway that serves, until the last of the tests that use it ends it."""
    with made(tmp_path_factory.mktemp("gateway"), broker, "gw1") as plant:
        plant.gateway.start_serving()
        plant.client.wait_for(TOPIC)
        yield plant


@pytest.fixture
def changed(tmp_path: Path, broker: Mosquitto) -> Iterator[Plant]:
    """A gateway of another id, whose configuration the test changes."""
    with made(tmp_path, broker, "gw2") as plant:
        plant.gateway.start_serving()
        plant.client.wait_for(topic_of("gw2"))
        yield plant


def topic_of(gateway: str) -> str:
    return f"homeassistant/device/{gateway}/config"


def payloads(plant: Plant) -> list[bytes]:
    ours = topic_of(plant.gateway.id)
    return [payload for topic, payload in list(plant.client.messages) if topic == ours]


def retained(plant: Plant) -> Mapping[str, Any]:
    """The announcement that a Home Assistant which subscribes now is given."""
    topic = topic_of(plant.gateway.id)
    with PlantClient(plant.gateway.port, [topic]) as late:
        (document,) = late.wait_for(topic)
    return document


def restart(plant: Plant, **fields: object) -> int:
    """Start the agent with pipelines or sections in place of others; how much was told before."""
    plant.gateway.stop()
    for name, value in fields.items():
        setattr(plant.gateway, name, value)
    before = len(payloads(plant))
    plant.gateway.start_serving()
    return before


def test_announcement_names_every_listed_asset_and_where_it_is_answered(plant: Plant) -> None:
    document = retained(plant)
    assert document.keys() == ROOT
    assert document["dev"].keys() == DEVICE
    assert document["dev"]["ids"] == ["millhand/gw1"]
    assert document["o"]["name"] == "millhand"
    components = document["cmps"]
    assert list(components) == [
        *("mass/l1/p1", "mass/l1/p2"),
        *("alarm/l1/p1", "alarm/l1/p1/score"),
    ]
    assert components["alarm/l1/p1"]["p"] == "binary_sensor"
    plant.send()
    (answer,) = [
        one
        for one in plant.client.wait_for("_inference", 2)
        if one["stream"] == components["mass/l1/p1"]["state_topic"].rpartition("/")[2]
    ]
    topics = {topic for topic, _ in plant.client.messages}
    assert {components[key]["state_topic"] for key in ("mass/l1/p1", "alarm/l1/p1")} <= topics
    assert answer["unit"] == components["mass/l1/p1"]["unit_of_measurement"]


def test_announcement_is_repeated_when_home_assistant_starts(plant: Plant) -> None:
    before, answers = len(payloads(plant)), plant.client.count("_inference")
    plant.client.publish(BIRTH, "offline")
    for _ in range(50):
        plant.client.publish(BIRTH, "online")
    plant.wait(lambda: len(payloads(plant)) > before, "the announcement once more")
    plant.send()
    plant.client.wait_for("_inference", answers + 2)
    metrics = plant.wait_for_metrics(received=plant.sent)
    assert metrics["dropped"] == {}, "the status of Home Assistant is no reading"
    assert len(payloads(plant)) < before + 50, "it is told once a second at most"


def test_agent_is_unavailable_once_it_is_gone(plant: Plant) -> None:
    (available,) = retained(plant)["availability"]
    assert available["value_template"] == "{{ value_json.state }}"
    plant.wait_until_online()
    status = plant.client.latest(available["topic"])
    assert status is not None
    assert status["state"] == available["payload_available"]
    plant.gateway.kill()
    plant.wait(
        lambda: (
            (plant.client.latest(available["topic"]) or {}).get("state")
            == available["payload_not_available"]
        ),
        "the will",
    )


def test_stream_that_is_no_longer_configured_is_taken_back(changed: Plant) -> None:
    before = restart(changed, pipelines=changed.gateway.pipelines[:1])
    changed.wait(lambda: len(payloads(changed)) >= before + 2, "two announcements")
    first, last = map(json.loads, payloads(changed)[before : before + 2])
    assert first["cmps"]["alarm/l1/p1"] == {"p": "binary_sensor"}
    assert first["cmps"]["alarm/l1/p1/score"] == {"p": "sensor"}
    assert list(last["cmps"]) == ["mass/l1/p1", "mass/l1/p2"]
    assert retained(changed) == last
    before = restart(changed)
    changed.wait(lambda: len(payloads(changed)) > before, "the announcement")
    assert json.loads(payloads(changed)[before]) == last


def test_announcement_is_removed_when_it_is_turned_off(changed: Plant) -> None:
    moved: dict[str, dict[str, object]] = {"home_assistant": {"enabled": True, "object_id": "hall"}}
    before = restart(changed, sections=moved)
    changed.client.wait_for("homeassistant/device/hall/config")
    changed.wait(lambda: len(payloads(changed)) > before, "the empty message")
    assert payloads(changed)[before] == b""
    restart(changed, sections={})
    hall = ("homeassistant/device/hall/config", b"")
    changed.wait(lambda: hall in changed.client.messages, "the empty message")
