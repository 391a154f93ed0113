"""kill -9 under load: the broker is the buffer, so nothing is lost."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.brokers import Mosquitto, mosquitto
from tests.gateway import Gateway, telemetry_pipeline
from tests.graphs import linear_bundle
from tests.mqtt_client import PlantClient
from tests.waiting import eventually

KILLS = 20
ASSETS = 4
WEIGHTS = [1.0, 10.0, 100.0]
BURST = 400


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with mosquitto(tmp_path / "broker", max_queued_messages=0) as running:
        yield running


def test_twenty_kills_under_load_lose_nothing(
    tmp_path: Path, broker: Mosquitto, figure: Callable[[str], None]
) -> None:
    bundle = linear_bundle("mass", 1, WEIGHTS)
    gateway = Gateway(tmp_path / "gw", broker.port, [telemetry_pipeline("mass")])
    gateway.keep(bundle)
    dice = random.Random(7)  # noqa: S311 - the same twenty moments every time
    sent: dict[tuple[str, int], float] = {}
    with PlantClient(broker.port, ["plant/+/+/_inference/mass"]) as plant, gateway:
        gateway.start_serving()
        for kill in range(KILLS):
            _publish_burst(plant, sent, kill)
            # Any moment from "nothing read yet" to "nearly all answered".
            plant.wait_for("_inference", len(plant.messages) + dice.randrange(BURST))
            gateway.kill()
            gateway.start_serving()
        plant.flush()
        eventually(lambda: _answered(plant) == set(sent), 30, "every input to be answered")
        documents = plant.documents("_inference")
    by_input: dict[tuple[str, int], set[tuple[str, float]]] = {}
    for document in documents:
        key = (document["asset"], document["timestamp"])
        by_input.setdefault(key, set()).add((document["id"], document["value"]))
        assert document["value"] == pytest.approx(sent[key], rel=1e-6)
    assert all(len(seen) == 1 for seen in by_input.values()), "a repeat came with another id"
    assert len({next(iter(seen))[0] for seen in by_input.values()}) == len(sent)
    repeats = len(documents) - len(sent)
    figure(f"kill -9: {KILLS} kills, {len(sent)} inputs, 0 lost, {repeats} repeats, same ids")


def _answered(plant: PlantClient) -> set[tuple[str, int]]:
    return {(d["asset"], d["timestamp"]) for d in plant.documents("_inference")}


def _publish_burst(plant: PlantClient, sent: dict[tuple[str, int], float], kill: int) -> None:
    base = 1_700_000_000_000 + kill * BURST
    for number in range(BURST):
        asset, ts = f"l1/p{number % ASSETS}", base + number
        row = {"c0": float(number % 7), "c1": float(kill % 5), "c2": 0.5}
        sent[asset, ts] = row["c0"] + 10 * row["c1"] + 50
        plant.publish(f"plant/{asset}/telemetry", {"ts": ts, **row})
