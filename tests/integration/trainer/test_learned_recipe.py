"""From what is on the wire to a bundle: `learn --recipe`, `record`, `train`, without an edit."""

import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from models.bundle.package import read_bundle
from tests.kit.broker.brokers import Mosquitto, mosquitto
from tests.kit.gateway.agent import Gateway
from tests.kit.gateway.commands import check
from tests.kit.gateway.learning import Publish, learn_while
from tests.kit.gateway.mqtt_client import MqttClient
from tests.kit.waiting import eventually

END_S = 120.0
REST = """
[bundle]
stream = "mass"
name = "Mass"
version = "1.0.0"

[target]
task = "anomaly"

[split]
method = "time"
test = 0.25
"""


def documents(plant: MqttClient, number: int) -> None:
    chance = Random(number)  # noqa: S311  no secret, and the same each time
    document = {
        "ts": time.time_ns() // 1_000_000,
        "hydraulics": {"pressure": {"value": 4 + chance.random(), "unit": "bar"}},
        "valve": chance.choice(["open", "closed"]),
        "running": chance.random() > 0.5,
        "flow": 30 + chance.random(),
    }
    plant.publish("plant/l1/pump7/telemetry", document)


def topics(plant: MqttClient, number: int) -> None:
    chance = Random(number)  # noqa: S311  as above
    plant.publish("plant/pump7/pressure", f"{4 + chance.random()}")
    plant.publish("plant/pump7/flow", f"{30 + chance.random()}")
    if number % 5 == 0:
        plant.publish("plant/pump7/valve", chance.choice(["open", "closed"]))


PLANTS = {"documents": documents, "topics that come at paces of their own": topics}


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with mosquitto(tmp_path_factory.mktemp("broker"), max_queued_messages=0) as one:
        yield one


def trainer(*words: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "trainer", *map(str, words)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True)


def ended(process: subprocess.Popen[str], also: Callable[[], object] = int) -> str:
    """What a command has printed in the end, while something goes on beside it."""
    with process:
        try:
            eventually(lambda: also() or process.poll() is not None, END_S, "a command to end")
            out, err = process.communicate()
        finally:
            process.kill()
    assert process.returncode == 0, out + err
    return out


def recorded(broker: Mosquitto, publish: Publish, *words: object) -> str:
    """The part of a recipe that `record` prints for a recording of a running plant."""
    address = f"{broker.host}:{broker.port}"
    process = trainer("record", "--broker", address, "--rows", 400, *words)
    rounds = iter(range(1_000_000))
    with MqttClient(broker.port) as plant:
        out = ended(process, lambda: publish(plant, next(rounds)))
    return out[out.index("[data]") :]


@pytest.mark.parametrize("publish", PLANTS.values(), ids=PLANTS)
def test_drafts_and_a_recording_make_a_bundle(
    broker: Mosquitto, tmp_path: Path, publish: Publish
) -> None:
    gateway = Gateway(tmp_path / "gw", broker.port, [])
    part = tmp_path / "part.toml"
    options = ("--stream", "mass", "--seconds", "3", "--recipe", str(part))
    found = learn_while(broker.port, publish, "plant/#", *options)
    assert found.code == 0, found.notes
    gateway.pipelines = found.pipelines
    assert check(gateway).returncode == 0
    config = gateway.write_config()

    out = tmp_path / "history.parquet"
    data = recorded(broker, publish, "--config", config, "--recipe", part, "--out", out)
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(f"{part.read_text()}\n{data}\n{REST}")
    ended(trainer("train", recipe, "--out", tmp_path / "out"))

    manifest = read_bundle((tmp_path / "out" / "mass-1.zip").read_bytes()).manifest
    wanted: list[dict[str, Any]] = tomllib.loads(part.read_text())["signals"]
    assert [one.name for one in manifest.channels] == [one["name"] for one in wanted]
    assert {one.name: dict(one.codes) for one in manifest.channels if one.codes} == {
        "valve": {"closed": 0, "open": 1}
    }
