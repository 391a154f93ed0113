"""The controller's connection: what it publishes arrives, however many gateways there are."""

from pathlib import Path

from models.control.documents import Desired
from server.rollouts.link import Link
from server.rollouts.settings import Rollouts
from tests.kit.broker.brokers import HOST, mosquitto
from tests.kit.gateway.mqtt_client import PlantClient
from tests.kit.waiting import eventually

GATEWAYS = 50
TOPIC = "millhand/+/desired/mass"


def test_every_gateway_is_told_twice_over_one_connection(tmp_path: Path) -> None:
    with mosquitto(tmp_path / "broker") as broker, PlantClient(broker.port, [TOPIC]) as client:
        settings = Rollouts.model_validate(
            {
                "registry": tmp_path,
                "keys": tmp_path,
                "broker": {"host": HOST, "port": broker.port},
                "settle_s": 0.1,
            }
        )
        link = Link(settings)

        def is_connected() -> bool:
            link.turn(0.1)
            return not link.missing

        eventually(is_connected, 20.0, "the connection")
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
