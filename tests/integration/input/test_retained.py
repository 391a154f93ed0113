"""A set-point that its source has published once is used, although it never comes as a live one."""

import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from models.bundle.manifest import Channel, WindowSpec
from tests.kit.broker.brokers import Mosquitto, mosquitto
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.gateway.agent import Gateway
from tests.kit.gateway.mqtt_client import PlantClient
from tests.kit.gateway.plant import FILTERS, OFTEN, Plant

HOUR_MS = 3_600_000
CHANNELS = (
    Channel(name="flow"),
    Channel(name="set_point", max_age_ms=HOUR_MS),
    Channel(name="mode", max_age_ms=HOUR_MS),
)
SCALAR: dict[str, object] = {"dialect": "scalar"}
PIPELINE: dict[str, object] = {
    "stream": "mass",
    "inputs": [
        {"topic": "plant/{asset}/row", "timestamp": "ts", "signals": {"flow": "flow"}},
        SCALAR
        | {"topic": "plant/{asset}/set/{signal}", "value": "v", "timestamp": "ts"}
        | {"signals": {"set_point": "sp"}},
        SCALAR | {"topic": "plant/{asset}/mode", "signals": {"mode": "mode"}, "last_known": True},
    ],
    "output": {"topic": "plant/l1/{asset}/_inference/{stream}"},
}
BUNDLE = linear_bundle(
    "mass",
    1,
    [1.0, 100.0, 10_000.0],
    median=9.0,  # what a missing value is taken for
    channels=CHANNELS,
    window=WindowSpec(length=1, trigger="every_reading"),
)
NUMBERS = count()


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with mosquitto(tmp_path_factory.mktemp("broker"), durable=True) as running:
        yield running


@pytest.fixture
def asset() -> str:
    """An asset of the test's own; the others have messages at the broker, too."""
    return f"p{next(NUMBERS)}"


@pytest.fixture
def plant(tmp_path: Path, broker: Mosquitto) -> Iterator[Plant]:
    """A plant with a gateway that has not been started and that the broker does not know."""
    gateway = Gateway(tmp_path, broker.port, [PIPELINE], sections={"limits": OFTEN})
    gateway.keep(BUNDLE)
    with PlantClient(broker.port, FILTERS) as client, gateway:
        yield Plant(gateway, client)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def set_point(plant: Plant, asset: str, value: float, ago_ms: int, *, retain: bool = True) -> None:
    reading = {"ts": now_ms() - ago_ms, "v": value}
    plant.client.publish(f"plant/{asset}/set/sp", reading, retain=retain)
    plant.client.flush()


def counted(plant: Plant, name: str) -> Any:  # noqa: ANN401  a number, or a table of numbers
    """A counter of the stream, as the agent has published it last; 0 before it has."""
    metrics = plant.client.latest("millhand/gw1/metrics")
    return metrics["streams"]["mass"][name] if metrics else 0


def answer(plant: Plant, asset: str) -> tuple[float, str]:
    """The answer to a row with the flow 1; others may be published again after a crash."""
    at_ms = now_ms()
    plant.client.publish(f"plant/{asset}/row", {"ts": at_ms, "flow": 1.0})

    def found() -> list[dict[str, Any]]:
        documents = plant.client.documents(f"plant/l1/{asset}/")
        return [one for one in documents if one["timestamp"] == at_ms]

    document = plant.wait(found, "the answer to the row")[0]
    return document["value"], document["quality"]


def test_set_point_is_used_from_the_first_row_on_and_triggers_nothing(
    plant: Plant, asset: str
) -> None:
    set_point(plant, asset, 5.0, 60_000)
    plant.client.publish(f"plant/{asset}/mode", "2", retain=True)
    plant.client.flush()
    plant.gateway.start_serving()
    plant.wait(lambda: counted(plant, "retained") >= 2, "the retained messages")
    metrics = plant.client.documents("metrics")[-1]
    assert (metrics["predicted"], metrics["dropped"]) == (0, {})
    assert metrics["windowed"] == metrics["received"] == counted(plant, "retained")
    # The mode has no time, so nobody knows how old it is.
    assert answer(plant, asset) == (20_501.0, "UNCERTAIN")
    plant.client.publish(f"plant/{asset}/mode", "3")
    plant.client.wait_for(f"plant/l1/{asset}/", 2)
    assert answer(plant, asset) == (30_501.0, "GOOD")


@pytest.mark.parametrize("killed", [False, True], ids=["stopped", "killed"])
def test_restart_of_the_agent_keeps_the_newer_live_value(
    plant: Plant, asset: str, *, killed: bool
) -> None:
    set_point(plant, asset, 5.0, 60_000)
    plant.gateway.start_serving()
    assert answer(plant, asset) == (90_501.0, "UNCERTAIN")  # the mode is missing
    set_point(plant, asset, 7.0, 0, retain=False)
    plant.client.wait_for(f"plant/l1/{asset}/", 2)
    if killed:
        plant.gateway.kill()
    else:
        plant.gateway.stop()
    plant.gateway.start_serving()
    assert answer(plant, asset) == (90_701.0, "UNCERTAIN")
    # The same message has come once more, and is known.
    plant.wait(lambda: counted(plant, "refused"), "what is refused")
    assert counted(plant, "refused")["retained"] >= 1


def test_restart_of_the_agent_keeps_what_was_retained(plant: Plant, asset: str) -> None:
    set_point(plant, asset, 5.0, 60_000)
    plant.gateway.start_serving()
    plant.wait(lambda: counted(plant, "retained"), "the retained message")
    plant.client.publish(f"plant/{asset}/set/sp", b"", retain=True)  # the broker forgets it
    plant.client.flush()
    plant.gateway.kill()
    plant.gateway.start_serving()
    assert answer(plant, asset) == (90_501.0, "UNCERTAIN")


def test_restart_of_the_broker_keeps_the_newer_live_value(
    plant: Plant, broker: Mosquitto, asset: str
) -> None:
    set_point(plant, asset, 5.0, 60_000)
    plant.gateway.start_serving()
    set_point(plant, asset, 7.0, 0, retain=False)
    plant.client.wait_for(f"plant/l1/{asset}/")
    broker.restart()
    plant.gateway.wait_for_log("INFO subscribed", 2)
    plant.wait(plant.client.paho.is_connected, "the client to be connected")
    assert answer(plant, asset) == (90_701.0, "UNCERTAIN")


def test_set_point_that_was_changed_while_the_agent_was_away_is_used(
    plant: Plant, asset: str
) -> None:
    plant.gateway.start_serving()
    set_point(plant, asset, 5.0, 60_000, retain=False)
    plant.client.wait_for(f"plant/l1/{asset}/")
    plant.gateway.stop()
    # At QoS 0, so that the broker keeps nothing for the agent but the retained message.
    reading = {"ts": now_ms() - 1000, "v": 8.0}
    plant.client.publish(f"plant/{asset}/set/sp", reading, 0, retain=True)
    plant.client.publish("plant/other", "1")
    plant.client.flush()
    plant.gateway.start_serving()
    assert answer(plant, asset) == (90_801.0, "UNCERTAIN")


def test_set_point_that_is_older_than_its_signal_is_held_is_not_used(
    plant: Plant, asset: str
) -> None:
    set_point(plant, asset, 5.0, HOUR_MS + 1000)
    plant.gateway.start_serving()
    assert answer(plant, asset) == (90_901.0, "UNCERTAIN")
