"""A broker that speaks MQTT 3.1.1 only: the agent falls back, says so, and serves."""

from pathlib import Path

from tests.kit.broker.brokers import amqtt, mosquitto
from tests.kit.gateway.agent import Gateway
from tests.kit.gateway.mqtt_client import PlantClient
from tests.kit.gateway.plant import FILTERS, MASS, MASS_PIPELINE, OFTEN, TOPIC, Plant

MQTT_3_1_1 = 4


def make_gateway(folder: Path, port: int, protocol: str) -> Gateway:
    gateway = Gateway(
        folder / "gw",
        port,
        [MASS_PIPELINE],
        # amqtt leaves the CONNECT of MQTT 5 without an answer.
        sections={"limits": OFTEN, "broker": {"protocol": protocol, "connect_timeout_s": 1.0}},
    )
    gateway.keep(MASS)
    return gateway


def test_agent_falls_back_says_so_and_serves(tmp_path: Path) -> None:
    with (
        amqtt(tmp_path / "broker") as broker,
        PlantClient(broker.port, FILTERS, version=MQTT_3_1_1) as client,
        make_gateway(tmp_path, broker.port, "auto") as gateway,
    ):
        gateway.start_serving()
        plant = Plant(gateway, client)
        plant.wait_until_online()
        plant.send(20)
        plant.wait_for_answers()
        plant.wait_for_metrics(received=20, predicted=20, waiting=0, connects=1)
        assert 'INFO connected mqtt="3.1.1"' in gateway.log


def test_agent_that_must_speak_5_waits(tmp_path: Path) -> None:
    with (
        amqtt(tmp_path / "broker") as broker,
        make_gateway(tmp_path, broker.port, "5") as gateway,
    ):
        gateway.start()
        gateway.wait_for_log("CONNECT")
        assert gateway.stop() == 0
    assert "INFO connected" not in gateway.log


def test_retained_reading_is_not_fed_as_live(tmp_path: Path) -> None:
    """3.1.1 has no way to ask for live messages only, so they are told apart on arrival."""
    with (
        mosquitto(tmp_path / "broker") as broker,
        PlantClient(broker.port, FILTERS) as client,
        make_gateway(tmp_path, broker.port, "3.1.1") as gateway,
    ):
        client.publish(TOPIC, {"ts": 1_600_000_000_000, "c0": 1.0, "c1": 2.0}, retain=True)
        client.flush()
        gateway.start_serving()
        plant = Plant(gateway, client)
        plant.wait_until_online()
        plant.send(3)
        assert len(plant.wait_for_answers()) == 3
        plant.wait_for_metrics(received=4, predicted=3, dropped={"retained": 1})
