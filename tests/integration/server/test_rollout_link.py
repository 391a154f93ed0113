"""The controller's connection: what it publishes arrives, however many gateways there are."""

from pathlib import Path

import pytest

from models.control.documents import Desired
from server.rollouts.link import REMEDY, Link
from server.rollouts.retained import PATIENCE_S
from server.rollouts.settings import Rollouts
from tests.kit.broker.brokers import HOST, Mosquitto, mosquitto
from tests.kit.gateway.mqtt_client import PlantClient
from tests.kit.waiting import eventually

GATEWAYS = 50
TOPIC = "millhand/+/desired/mass"


def connected(folder: Path, broker: Mosquitto, patience_s: float = PATIENCE_S) -> Link:
    """The connection of a controller, once it knows what gateways have said."""
    settings = Rollouts.model_validate(
        {
            "registry": folder,
            "keys": folder,
            "broker": {"host": HOST, "port": broker.port},
            "settle_s": 0.1,
        }
    )
    link = Link(settings, patience_s)

    def is_connected() -> bool:
        link.turn(0.1)
        return not link.missing

    eventually(is_connected, 20.0, "the connection")
    return link


def test_every_gateway_is_told_twice_over_one_connection(tmp_path: Path) -> None:
    with mosquitto(tmp_path / "broker") as broker, PlantClient(broker.port, [TOPIC]) as client:
        link = connected(tmp_path, broker)
        for seq in (1, 2):
            for number in range(GATEWAYS):
                link.publish(f"gw{number}", Desired(stream="mass", seq=seq))

            def are_told(seq: int = seq) -> bool:
                link.turn(0.1)
                said = [client.latest(f"millhand/gw{n}/desired/mass") for n in range(GATEWAYS)]
                return all(one is not None and one["seq"] == seq for one in said)

            eventually(are_told, 20.0, f"all gateways to be told of seq {seq}")
        link.close()
        assert client.count("desired") == 2 * GATEWAYS


def test_broker_that_keeps_nothing_of_what_gateways_are_told_is_logged_with_the_remedy(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with mosquitto(tmp_path / "broker", acl="topic read millhand/#\n") as broker:
        link = connected(tmp_path, broker, patience_s=0.1)

        def is_logged() -> bool:
            link.publish("gw1", Desired(stream="mass", seq=1))
            link.turn(0.2)
            return "the broker does not keep what gateways are told" in caplog.text

        eventually(is_logged, 20.0, "the log to say so")
        link.close()
    (said,) = [vars(one)["fields"] for one in caplog.records if "does not keep" in one.message]
    assert said == {"gateway": "gw1", "remedy": REMEDY}


def test_connection_that_is_lost_is_logged_once_with_the_reason(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with mosquitto(tmp_path / "broker") as broker:
        link = connected(tmp_path, broker)
        broker.stop()

        def is_refused() -> bool:
            link.turn(0.1)
            return "cannot be reached" in link.missing

        eventually(is_refused, 20.0, "further attempts")
        link.turn(0.5)
        link.close()
    said = [vars(one)["fields"] for one in caplog.records if "no connection" in one.message]
    assert [one["role"] for one in said] == ["rollouts", "rollouts"]
    assert "connection lost" in said[0]["reason"]
    assert f"{HOST}:{broker.port} cannot be reached" in said[1]["reason"]
