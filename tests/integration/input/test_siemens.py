"""The agent reads values of Siemens Industrial Edge by the names in the retained metadata."""

from pathlib import Path
from typing import Any

from tests.kit.broker.brokers import mosquitto
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.gateway.agent import Gateway
from tests.kit.gateway.mqtt_client import PlantClient
from tests.kit.gateway.plant import CONTROL, OFTEN, Plant

METADATA = "ie/m/j/simatic/v1/s7c1/dp"
VALUES = "ie/d/j/simatic/v1/s7c1/dp/r/press/default"
PREDICTIONS = "ie/d/j/simatic/v1/s7c1/dp/r/press/default/_inference/mass"
PIPELINE: dict[str, object] = {
    "stream": "mass",
    "inputs": [
        {
            "topic": "ie/d/j/simatic/v1/{app}/dp/r/{connection}/{collection}",
            "dialect": "siemens",
            "signals": {"c0": "PT101", "c1": "FT102"},
        }
    ],
}
FILTERS = ("ie/d/j/simatic/v1/+/dp/r/+/+/_inference/#", f"{CONTROL.base}/#")


def metadata(**ids: str) -> dict[str, Any]:
    definitions = [{"name": name, "id": key, "dataType": "Real"} for name, key in ids.items()]
    collection = {"name": "default", "topic": VALUES, "dataPointDefinitions": definitions}
    return {"seq": 1, "connections": [{"name": "press", "dataPoints": [collection]}]}


def values(number: int, **by_id: float) -> dict[str, Any]:
    at = f"2025-10-09T08:53:{20 + number}.1234567Z"
    listed = [{"id": key[2:], "val": one, "ts": at, "qc": 3} for key, one in by_id.items()]
    return {"seq": number, "vals": listed}


def test_values_are_read_by_the_names_in_the_metadata(tmp_path: Path) -> None:
    with mosquitto(tmp_path / "broker") as broker:
        gateway = Gateway(tmp_path / "gw", broker.port, [PIPELINE], sections={"limits": OFTEN})
        gateway.keep(linear_bundle("mass", 1, [1.0, 10.0]))
        with PlantClient(broker.port, FILTERS) as client, gateway:
            gateway.start_serving()
            plant = Plant(gateway, client)
            plant.wait_until_online()
            client.publish(VALUES, values(0, id101=1.0, id102=2.0))
            plant.wait_for_metrics(dropped={"names_missing": 1})

            client.publish(METADATA, metadata(PT101="101", FT102="102"), retain=True)
            client.publish(VALUES, values(1, id101=1.0, id102=2.0))
            client.wait_for(PREDICTIONS, 1)

            gateway.stop()
            client.publish(METADATA, metadata(PT101="102", FT102="101"), retain=True)
            client.publish(VALUES, values(2, id101=1.0, id102=2.0))
            gateway.start_serving()
            client.wait_for(PREDICTIONS, 2)
            assert [one["value"] for one in client.documents(PREDICTIONS)] == [21.0, 12.0]


def test_metadata_that_the_broker_has_retained_are_heard(tmp_path: Path) -> None:
    with mosquitto(tmp_path / "broker") as broker, PlantClient(broker.port, FILTERS) as client:
        client.publish(METADATA, metadata(PT101="7", FT102="8"), retain=True)
        client.flush()
        gateway = Gateway(tmp_path / "gw", broker.port, [PIPELINE], sections={"limits": OFTEN})
        gateway.keep(linear_bundle("mass", 1, [1.0, 10.0]))
        with gateway:
            gateway.start_serving()
            plant = Plant(gateway, client)
            plant.wait_until_online()
            plant.wait_for_metrics(received=1)
            client.publish(VALUES, values(1, id7=1.0, id8=2.0))
            assert client.wait_for(PREDICTIONS, 1)[0]["value"] == 21.0
