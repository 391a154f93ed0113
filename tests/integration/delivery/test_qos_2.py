"""QoS 2 is received as the specification says, with the promise of QoS 1 (MQTT 5, 4.3.3)."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.broker.brokers import mosquitto
from tests.kit.broker.packets import Message, paho_publish
from tests.kit.broker.scripted import (
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    SUBSCRIBE,
    ScriptedBroker,
    pubrel,
)
from tests.kit.gateway.agent import Gateway
from tests.kit.gateway.mqtt_client import MqttClient, PlantClient, Session
from tests.kit.gateway.plant import BASE_MS, FILTERS, MASS, MASS_PIPELINE, OFTEN, TOPIC, Plant
from tests.kit.waiting import eventually

OUTPUT = "plant/l1/p1/_inference/mass"
PROTOCOLS = {5: "5", 4: "3.1.1"}


@pytest.fixture(params=PROTOCOLS)
def version(request: pytest.FixtureRequest) -> int:
    found: int = request.param
    return found


@pytest.fixture
def broker(version: int) -> Iterator[ScriptedBroker]:
    with ScriptedBroker(version) as scripted:
        yield scripted


def make_gateway(folder: Path, port: int, version: int) -> Gateway:
    sections = {
        "limits": OFTEN,
        "broker": {"reconnect_max_s": 0.2, "protocol": PROTOCOLS[version]},
    }
    gateway = Gateway(folder / "gw", port, [MASS_PIPELINE], sections=sections)
    gateway.keep(MASS)
    return gateway


def row(version: int, number: int, packet_id: int, *, repeated: bool = False) -> bytes:
    payload = json.dumps({"ts": BASE_MS + number, "c0": float(number), "c1": 1.0}).encode()
    return paho_publish(version, Message(TOPIC, payload, 2, packet_id, repeated=repeated))


def answers(broker: ScriptedBroker) -> list[dict[str, object]]:
    """The predictions that the agent has published, repetitions included."""
    return [json.loads(body[body.index(b"{") :]) for body in broker.published(OUTPUT)]


def test_message_is_answered_once_until_its_packet_id_is_released(
    tmp_path: Path, broker: ScriptedBroker, version: int
) -> None:
    with make_gateway(tmp_path, broker.port, version) as gateway:
        gateway.start_serving()
        broker.send(row(version, 1, 7))
        broker.wait_for(PUBREC)
        broker.send(row(version, 1, 7, repeated=True))
        broker.wait_for(PUBREC, 2)
        broker.session_present = True
        broker.cut()
        broker.wait_for(SUBSCRIBE, 2)
        broker.send(row(version, 1, 7, repeated=True) + row(version, 1, 7))
        broker.wait_for(PUBREC, 4)
        broker.send(pubrel(7) + pubrel(99))
        assert [one.packet_id for one in broker.wait_for(PUBCOMP, 2)] == [7, 99]
        broker.send(row(version, 2, 7))
        broker.wait_for(PUBREC, 5)
    assert [one["timestamp"] for one in answers(broker)] == [BASE_MS + 1, BASE_MS + 2]
    assert {one.packet_id for one in broker.sent(PUBREC)} == {7}
    assert not broker.sent(PUBACK)


def test_crash_before_the_prediction_is_confirmed_loses_nothing(
    tmp_path: Path, broker: ScriptedBroker, version: int
) -> None:
    with make_gateway(tmp_path, broker.port, version) as gateway:
        gateway.start_serving()
        broker.confirms = False
        broker.send(row(version, 1, 7) + pubrel(1))
        broker.wait_for(PUBCOMP)
        eventually(lambda: answers(broker))
        gateway.kill()
        assert not broker.sent(PUBREC)
        broker.session_present = broker.confirms = True
        gateway.start_serving()
        broker.send(row(version, 1, 7, repeated=True))
        broker.wait_for(PUBREC)
    assert len({one["id"] for one in answers(broker)}) == 1
    # Of the second connection: what the agent published, and nothing that it still owed, is before.
    kinds = [one.kind for one in broker.packets if one.connection == 2]
    assert PUBLISH in kinds[: kinds.index(PUBREC)]


def test_other_message_under_a_packet_id_that_was_not_released_is_answered(
    tmp_path: Path, broker: ScriptedBroker, version: int
) -> None:
    """A broker that crashed goes on from an older state, and numbers anew."""
    with make_gateway(tmp_path, broker.port, version) as gateway:
        gateway.start_serving()
        broker.send(row(version, 1, 7))
        broker.wait_for(PUBREC)
        broker.send(row(version, 2, 7))
        broker.wait_for(PUBREC, 2)
    assert [one["timestamp"] for one in answers(broker)] == [BASE_MS + 1, BASE_MS + 2]


def test_session_that_another_client_left_at_qos_2_is_served(tmp_path: Path, version: int) -> None:
    with mosquitto(tmp_path / "broker") as broker:
        gateway = make_gateway(tmp_path, broker.port, version)
        with gateway, PlantClient(broker.port, FILTERS) as client:
            gateway.start_serving()
            gateway.stop()
            left = Session(version=5, client_id="millhand-gw1", expiry_s=3600)
            with Subscriber(broker.port, left):
                pass
            for number in range(50):
                value = {"ts": BASE_MS + number, "c0": float(number), "c1": 1.0}
                client.publish(TOPIC, value, qos=2)
                client.flush()  # Mosquitto takes 20 at a time, and says nothing of the others
            gateway.start_serving()
            plant = Plant(gateway, client)
            plant.sent = 50
            plant.wait_for_answers()
            told = plant.wait_for_metrics(predicted=50, waiting=0)
    assert told["connects"] == 1


class Subscriber(MqttClient):
    """Subscribes to everything at QoS 2, and leaves."""

    def __init__(self, port: int, session: Session) -> None:
        super().__init__(port, ["plant/+/+/telemetry"], session)
        self.paho.on_connect = lambda client, *_: client.subscribe("plant/+/+/telemetry", 2)
