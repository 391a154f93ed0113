"""Deaths by a reading add up though the broker is away between them."""

from pathlib import Path

from tests.integration.updates.test_deaths import OTHER, STREAM, Plant, good_bundle, row_pipeline
from tests.kit.broker.brokers import Mosquitto, mosquitto
from tests.kit.gateway.agent import Gateway
from tests.kit.gateway.evil import evil_bundle
from tests.kit.gateway.mqtt_client import PlantClient
from tests.kit.gateway.notify_socket import NotifySocket
from tests.kit.gateway.supervisor import Supervisor
from tests.kit.waiting import eventually

POISON = 80.0
RESTARTS_S = 60.0
HEALTHY_S = 4.0
PINGS_AWAY = 6
"""Turns of the watchdog, one a second, for which the broker is away: longer than `HEALTHY_S`."""
ENDED = "closed, so that the broker delivers again"
LEFT_OUT = "input left out"


def away(broker: Mosquitto, gateway: Gateway, systemd: NotifySocket, times: int) -> None:
    """Have the broker stop right after the agent has heard what is desired, and come back later."""
    eventually(
        lambda: gateway.log.count(ENDED) >= times or LEFT_OUT in gateway.log,
        RESTARTS_S,
        f"the agent to connect anew:\n{gateway.log}",
    )
    with broker.frozen():
        pings = systemd.pings
        eventually(lambda: systemd.pings >= pings + PINGS_AWAY, RESTARTS_S, "the agent to go on")


def test_reading_is_left_out_though_the_broker_is_away_between_the_deaths(tmp_path: Path) -> None:
    with (
        NotifySocket() as systemd,
        mosquitto(tmp_path / "broker") as broker,
        PlantClient(broker.port, ["+/p1/answer", "millhand/gw1/#"]) as client,
        Gateway(
            tmp_path / "gw",
            broker.port,
            [row_pipeline(STREAM), row_pipeline(OTHER)],
            sections={
                "limits": {"metrics_s": 0.5},
                "broker": {"reconnect_max_s": 0.5, "connect_timeout_s": 30.0},
                "updates": {"healthy_s": HEALTHY_S},
            },
            environment=systemd.environment,
        ) as gateway,
    ):
        gateway.keep(evil_bundle("crash above 70", STREAM, 1), pinned=False)
        gateway.keep(good_bundle(1, OTHER), pinned=False)
        gateway.start_serving()
        with Supervisor(gateway) as supervisor:
            plant = Plant(gateway, client, supervisor)
            plant.wait_for(plant.send(1.0))
            plant.send(POISON)
            times = plant.send(2.0)
            for number in range(1, 4):
                away(broker, gateway, systemd, number)
            (answer,) = plant.wait_for(times)
            assert answer["value"] == 2.0
            assert len(supervisor.deaths) == 4, "once unnoticed, three times with its input noted"
            eventually(lambda: plant.metrics().get("dropped") == {"poison": 1}, 20, "its count")
