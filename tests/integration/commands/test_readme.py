"""The README, done as it says: its recipe, its configuration, its commands, its payload."""

import csv
import json
import math
import os
import re
import shlex
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.kit.broker.brokers import Mosquitto, mosquitto
from tests.kit.gateway.mqtt_client import PlantClient
from tests.kit.waiting import eventually

README = (Path(__file__).parents[3] / "README.md").read_text()
COMMANDS = Path(sys.executable).parent


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture
def workplace(tmp_path: Path) -> Path:
    """A folder with the README's recipe and configuration, and a history to learn from."""
    recipe, configuration = blocks("toml")
    (tmp_path / "recipe.toml").write_text(recipe)
    (tmp_path / "agent.toml").write_text(configuration)
    (tmp_path / "history").mkdir()
    with (tmp_path / "history" / "march.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["time", "pump", "pressure", "flow", "fault"])
        for second in range(900):
            moment = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(seconds=second)
            for pump in ("p1", "p2"):
                fault = int(second >= 840)
                pressure = 4 + math.sin(second / 7) * 0.2 - fault * 2.5
                flow = 30 + math.cos(second / 11) + fault * 9
                rows.writerow([moment.isoformat(), pump, f"{pressure:.3f}", f"{flow:.2f}", fault])
    return tmp_path


def test_readme_from_recipe_to_prediction(workplace: Path) -> None:
    with (
        mosquitto(workplace / "broker") as broker,
        PlantClient(broker.port, ["plant/#", "millhand/#"]) as scada,
    ):
        environment = _environment(workplace, broker)
        training, serving, pushing = blocks("sh")[1:4]
        _run(training, workplace, environment)
        check, run = serving.splitlines()
        _run(check, workplace, environment)
        with subprocess.Popen(_words(run), cwd=workplace, env=environment) as agent:
            try:
                scada.wait_for("status")
                _run(pushing.replace(":1883", f":{broker.port}"), workplace, environment)
                answer = _answer(scada)
            finally:
                agent.terminate()
        assert agent.returncode == 0
    (example,) = (json.loads(block) for block in blocks("json"))
    assert answer.keys() == example.keys()
    assert (answer["quality"], answer["stream"], answer["label"]) == (
        example["quality"],
        example["stream"],
        example["label"],
    )


def test_readme_names_every_topic_of_the_gateway(workplace: Path) -> None:
    named = set(re.findall(r"`(millhand/gateway-1/[a-z/-]+)`", README))
    spoken = {"status", "desired/pump-health", "current/pump-health", "feedback", "metrics"}
    assert named == {f"millhand/gateway-1/{topic}" for topic in spoken}
    assert workplace.exists()


def _answer(scada: PlantClient) -> dict[str, object]:
    """Feed a healthy pump until its first window is full."""
    started = datetime.now(UTC)
    for second in range(10):
        moment = started + timedelta(milliseconds=second)
        row = {
            "ts": int(moment.timestamp() * 1000),
            "hydraulics": {"pressure": 4 + second / 100, "flow": 30.1},
        }
        scada.publish("plant/l1/pump7/telemetry", row)
    return eventually(lambda: scada.latest("plant/l1/pump7/_inference/pump-health")) or {}


def _environment(workplace: Path, broker: Mosquitto) -> dict[str, str]:
    return {
        **os.environ,
        "PATH": f"{COMMANDS}:{os.environ['PATH']}",
        "MILLHAND_BROKER__PORT": str(broker.port),
        "MILLHAND_REGISTRY__URL": (workplace / "registry").as_uri(),
    }


def _words(line: str) -> list[str]:
    command, *arguments = shlex.split(line)
    return [str(COMMANDS / command), *arguments]


def _run(lines: str, workplace: Path, environment: dict[str, str]) -> None:
    for line in lines.splitlines():
        done = subprocess.run(
            _words(line),
            check=False,
            cwd=workplace,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
