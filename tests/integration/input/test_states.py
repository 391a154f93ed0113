"""Signals of states and booleans are read as the model was trained; what is unknown is missing."""

import json
from collections.abc import Iterator

import pytest

from models.bundle.manifest import Channel
from tests.kit.broker.brokers import mosquitto
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.gateway.agent import Gateway, telemetry_pipeline
from tests.kit.gateway.plant import BASE_MS, OFTEN, Plant, serving

CODES = {"closed": 0.0, "half open": 5.0, "open": 10.0}
CHANNELS = [Channel(name="valve", codes=CODES), Channel(name="runs"), Channel(name="p")]
SCALARS: dict[str, object] = {
    "stream": "topics",
    "inputs": [{"topic": "plant/{line}/{asset}/at/{signal}", "dialect": "scalar"}],
    "output": {"topic": "plant/{line}/{asset}/_inference/{stream}"},
}


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    folder = tmp_path_factory.mktemp("states")
    with mosquitto(folder / "broker") as broker:
        pipelines = [telemetry_pipeline("rows", numbers="lenient"), SCALARS]
        gateway = Gateway(folder / "gw", broker.port, pipelines, sections={"limits": OFTEN})
        for stream in ("rows", "topics"):
            # A missing value is taken for 1000.
            gateway.keep(linear_bundle(stream, 1, [1, 100, 1000], median=1000, channels=CHANNELS))
        with serving(gateway) as plant:
            yield plant


def answered(plant: Plant, asset: str, stream: str = "rows") -> tuple[float, str]:
    topic = f"plant/l1/{asset}/_inference/{stream}"
    plant.client.wait_for(topic)
    answer = plant.client.latest(topic)
    assert answer is not None
    return answer["value"], answer["quality"]


ROWS: dict[str, tuple[dict[str, object], tuple[float, str]]] = {
    "text": ({"valve": "half open", "runs": True, "p": 2.5}, (2605, "GOOD")),
    "code": ({"valve": 10, "runs": False, "p": "2,5 bar"}, (2510, "GOOD")),
    "unknown": ({"valve": "ajar", "runs": True, "p": 1}, (2100, "UNCERTAIN")),
    "unread": ({"valve": "open", "runs": "yes", "p": 1}, (101_010, "UNCERTAIN")),
    "nothing": ({"valve": None, "runs": 1, "p": 1}, (2100, "UNCERTAIN")),
}


@pytest.mark.parametrize("name", ROWS)
def test_row_is_answered_by_what_can_be_read(plant: Plant, name: str) -> None:
    row, wanted = ROWS[name]
    plant.client.publish(f"plant/l1/{name}/telemetry", {"ts": BASE_MS} | row)
    assert answered(plant, name) == wanted


def test_states_and_booleans_come_on_topics_of_their_own(plant: Plant) -> None:
    for signal, payload in (("valve", b"open"), ("runs", b"true"), ("p", b"2.5")):
        plant.client.publish(f"plant/l1/alone/at/{signal}", payload)
    assert answered(plant, "alone", "topics") == (2610, "GOOD")


def test_what_was_not_read_is_counted_by_signal_and_told_without_the_payload(plant: Plant) -> None:
    for number in range(30):
        row = {"ts": BASE_MS + number, "valve": f"word {number}", "runs": "yes", "p": 1}
        plant.client.publish("plant/l1/counted/telemetry", row)
    plant.client.wait_for("plant/l1/counted/_inference", 30)
    before = plant.client.count("metrics")
    plant.client.wait_for("metrics", before + 2)
    metrics = plant.client.documents("metrics")[-1]
    counted = metrics["streams"]["rows"]
    assert counted["unread"]["runs"]["not_a_number"] >= 30
    states = counted["unknown_states"]["valve"]
    assert states["word 0"] == 1
    assert len(states) == 21
    assert sum(states.values()) == counted["unread"]["valve"]["unknown_state"] >= 30
    assert metrics["dropped"] == {}
    told = [line for line in plant.gateway.log.splitlines() if "could not be read" in line]
    assert {part for line in told for part in line.split() if part.startswith("signal=")} == {
        'signal="valve"',
        'signal="runs"',
    }
    assert "word" not in json.dumps(told)
