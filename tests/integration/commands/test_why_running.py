"""What `millhand-agent why` tells of an agent that runs, without a broker and without a trace."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from agent.cli.commands import load
from agent.cli.why import explain
from agent.journal.files import numbered
from tests.kit.broker.brokers import Mosquitto, mosquitto
from tests.kit.bundles.graphs import history_bundle
from tests.kit.gateway.agent import Gateway
from tests.kit.gateway.flow import Flow
from tests.kit.gateway.mqtt_client import PlantClient
from tests.kit.gateway.plant import BASE_MS, MASS_PIPELINE, OFTEN, STREAM, TOPIC, Plant, serving
from tests.kit.waiting import eventually

LENGTH = 5
WEIGHTS = (np.arange(LENGTH * 2).reshape(LENGTH, 2) / 8 + 0.25).astype(np.float32)
SECTIONS: dict[str, dict[str, object]] = {
    "limits": OFTEN,
    "journal": {"file_inputs": 20, "sync": False},
}
DROPPED = 4


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with mosquitto(tmp_path / "broker") as running:
        yield running


@pytest.fixture
def plant(tmp_path: Path, broker: Mosquitto) -> Iterator[Plant]:
    gateway = Gateway(tmp_path / "gw", broker.port, [MASS_PIPELINE], sections=SECTIONS)
    gateway.keep(history_bundle(STREAM, 1, WEIGHTS))
    with serving(gateway) as plant:
        yield plant


def told(plant: Plant, topic: str = TOPIC, payload: bytes | None = None) -> str:
    return "\n".join(explain(load(plant.gateway.config), topic, payload))


def test_it_tells_beforehand_what_the_agent_answers(plant: Plant, broker: Mosquitto) -> None:
    for number in range(LENGTH - 1):
        plant.client.publish(TOPIC, {"ts": BASE_MS + number, "c0": float(number), "c1": 1.5})
    eventually(lambda: f"{LENGTH - 1} of {LENGTH} samples" in told(plant), 20, "the journal")
    assert f"c0: fresh, last {LENGTH - 2} bar" in told(plant)
    row = {"ts": BASE_MS + LENGTH, "c0": 7.0, "c1": 2.0}
    payload = plant.gateway.folder / "row.json"
    payload.write_text(json.dumps(row))
    command = [sys.executable, "-m", "agent", "why", TOPIC, "--payload", str(payload)]
    command += ["--config", str(plant.gateway.config)]
    with broker.frozen():
        said = subprocess.run(command, check=True, capture_output=True).stdout.decode()
    assert "windows of the agent" in said
    (published,) = re.findall(rf"publishes on plant/l1/p1/_inference/{STREAM}: (.*)", said)
    foretold = json.loads(published)
    plant.client.publish(TOPIC, row)
    (answer,) = plant.client.wait_for("_inference")
    same = ("value", "quality", "timestamp", "id", "asset", "seq")
    assert [foretold[name] for name in same] == [answer[name] for name in same]


def test_it_disturbs_no_agent_that_writes_and_drops_files_under_load(plant: Plant) -> None:
    def look() -> bool:
        lines = told(plant)
        assert "windows of the agent" in lines
        assert f"{LENGTH - 1} of {LENGTH} samples of its window" in lines
        assert "c1: fresh" in lines
        oldest, _ = numbered(plant.gateway.state_dir)[0]
        return oldest > DROPPED

    with PlantClient(plant.gateway.port) as source:
        flow = Flow(source, 200, 2)
        flow.start()
        plant.client.wait_for("_inference", 20)
        eventually(look, 20, "files to be dropped")
        flow.finish()
        wanted = len(flow.sent) - 2 * (LENGTH - 1)
        plant.wait(lambda: plant.client.count("_inference") >= wanted, "every answer")
        metrics = plant.wait_for_metrics(received=len(flow.sent), predicted=wanted, waiting=0)
    assert not metrics["dropped"]
    assert "journal stopped" not in plant.gateway.log
