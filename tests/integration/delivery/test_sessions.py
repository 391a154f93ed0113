"""The broker's session is known over restarts: lost is told, and a foreign one is begun anew."""

import json
import shutil
from pathlib import Path

import pytest

from tests.kit.broker.brokers import mosquitto
from tests.kit.gateway.agent import Gateway, telemetry_pipeline
from tests.kit.gateway.mqtt_client import PlantClient
from tests.kit.gateway.plant import FILTERS, MASS, MASS_PIPELINE, OFTEN, STREAM, TOPIC, Plant

PROTOCOLS = ("5", "3.1.1")
LOST = "session lost"
ANEW = "session is begun anew"


@pytest.fixture(params=PROTOCOLS)
def protocol(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


def make_gateway(folder: Path, port: int, protocol: str) -> Gateway:
    sections: dict[str, dict[str, object]] = {
        "limits": OFTEN,
        "broker": {"reconnect_max_s": 0.2, "protocol": protocol},
    }
    gateway = Gateway(folder / "gw", port, [MASS_PIPELINE], sections=sections)
    gateway.keep(MASS)
    return gateway


def test_session_lost_while_the_agent_was_away_is_counted_and_told(
    tmp_path: Path, protocol: str
) -> None:
    with mosquitto(tmp_path / "broker") as broker:
        with make_gateway(tmp_path, broker.port, protocol) as gateway:
            gateway.start_serving()
            assert LOST not in gateway.log  # there was none before
            gateway.kill()
            gateway.start_serving()
            assert LOST not in gateway.log  # and now it is still there
            gateway.kill()
            broker.restart()  # forgets everything
            with PlantClient(broker.port, FILTERS) as client:
                gateway.start_serving()
                plant = Plant(gateway, client)
                plant.send(3)
                plant.wait_for_answers()
                plant.wait_for_metrics(connects=1, sessions_lost=1)
        assert gateway.log.count(f"WARNING {LOST}") == 1


def test_session_is_recorded_before_the_broker_stores_anything_in_it(
    tmp_path: Path, protocol: str
) -> None:
    with (
        mosquitto(tmp_path / "broker") as broker,
        make_gateway(tmp_path, broker.port, protocol) as gateway,
    ):
        gateway.start()
        gateway.wait_for_log("INFO connected")
        record = json.loads((gateway.state_dir / "session.json").read_bytes())
        (started,) = record.pop("starts")
        assert record == {
            "host": broker.host,
            "port": broker.port,
            "client_id": "millhand-gw1",
            "is_shared": False,
        }
        with PlantClient(broker.port, ["millhand/gw1/status"]) as client:
            assert client.wait_for("status", 1)[0]["since"] == started


def test_gateway_that_lost_its_state_folder_counts_no_reading_twice(
    tmp_path: Path, protocol: str
) -> None:
    with (
        mosquitto(tmp_path / "broker") as broker,
        PlantClient(broker.port, FILTERS) as client,
        make_gateway(tmp_path, broker.port, protocol) as gateway,
    ):
        gateway.pipelines = [telemetry_pipeline(STREAM, topic="plant/l1/{asset}/telemetry")]
        gateway.start_serving()
        gateway.stop()
        shutil.rmtree(gateway.state_dir)
        gateway.keep(MASS)
        gateway.pipelines = [MASS_PIPELINE]  # another filter for the same topics
        gateway.start_serving()
        plant = Plant(gateway, client)
        plant.send(20)
        plant.wait_for_answers()
        # Both filters match: with the old one left, each reading would be delivered twice.
        plant.wait_for_metrics(received=20, predicted=20, waiting=0, connects=1, sessions_lost=0)
        assert gateway.log.count(f"WARNING {ANEW}") == 1
        gateway.stop()
        client.publish(TOPIC, {"ts": 1, "c0": 1.0, "c1": 1.0})
        gateway.start_serving()  # the session that was begun anew is kept as any other
        assert gateway.log.count(f"WARNING {ANEW}") == 1
        plant.wait_for_metrics(received=1, dropped={"time_past": 1})


def test_gateway_of_an_earlier_release_keeps_its_session(tmp_path: Path, protocol: str) -> None:
    """Earlier releases recorded the topic filters only."""
    with (
        mosquitto(tmp_path / "broker") as broker,
        PlantClient(broker.port, FILTERS) as client,
        make_gateway(tmp_path, broker.port, protocol) as gateway,
    ):
        gateway.start_serving()
        gateway.stop()
        (gateway.state_dir / "session.json").unlink()
        plant = Plant(gateway, client)
        plant.send(20)
        gateway.start_serving()
        plant.wait_for_answers()
        assert ANEW not in gateway.log
