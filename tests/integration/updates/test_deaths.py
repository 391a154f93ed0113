"""A signed model that ends the process: the model before it serves, or its input is left out."""

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from models.bundle.package import Bundle
from serving.publishing import repository
from tests.kit.broker.brokers import mosquitto
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.bundles.published import Published
from tests.kit.children import ROOT, python
from tests.kit.gateway.agent import Gateway
from tests.kit.gateway.evil import evil_bundle
from tests.kit.gateway.mqtt_client import PlantClient, push
from tests.kit.gateway.supervisor import Supervisor
from tests.kit.waiting import eventually

STREAM, OTHER = "mass", "other"
BASE_MS = 1_700_000_000_000
POISON = 80.0
RESTARTS_S = 60.0


def good_bundle(seq: int, stream: str = STREAM) -> Bundle:
    return linear_bundle(stream, seq, [1.0])


def row_pipeline(stream: str) -> dict[str, object]:
    topic = f"{stream}/{{asset}}/telemetry"
    return {
        "stream": stream,
        "inputs": [{"topic": topic, "dialect": "json", "timestamp": "ts", "qos": 1}],
        "output": {"topic": f"{stream}/{{asset}}/answer"},
    }


@dataclass
class Plant:
    """A gateway with two streams, and a client that is sensors and SCADA system at once."""

    gateway: Gateway
    client: PlantClient
    supervisor: Supervisor
    sent: int = 0

    def send(self, *values: float, stream: str = STREAM) -> list[int]:
        """Publish rows; returns their timestamps."""
        times = []
        for value in values:
            self.sent += 1
            times.append(BASE_MS + self.sent)
            self.client.publish(f"{stream}/p1/telemetry", {"ts": times[-1], "c0": value})
        return times

    def wait_for(self, times: Sequence[int], stream: str = STREAM) -> list[dict[str, Any]]:
        """Wait until the rows with these timestamps are answered; returns the first answers."""

        def answers() -> list[dict[str, Any]] | None:
            found: dict[int, dict[str, Any]] = {}
            for answer in self.client.documents(f"{stream}/p1/answer"):
                found.setdefault(answer["timestamp"], answer)
            return [found[time] for time in times] if found.keys() >= set(times) else None

        answered = eventually(answers, RESTARTS_S, f"answers of {stream}:\n{self.gateway.log}")
        assert answered is not None
        return answered

    def current(self) -> dict[str, Any]:
        return self.client.latest(f"millhand/gw1/current/{STREAM}") or {}

    def metrics(self) -> dict[str, Any]:
        return self.client.latest("millhand/gw1/metrics") or {}


@contextmanager
def running(
    folder: Path, *kept: Bundle, registry: Published | None = None, **sections: dict[str, object]
) -> Iterator[Plant]:
    """A gateway that serves the last of the bundles, and is started again when it dies."""
    with (
        mosquitto(folder / "broker") as broker,
        PlantClient(broker.port, ["+/p1/answer", "millhand/gw1/#"]) as client,
        Gateway(
            folder / "gw",
            broker.port,
            [row_pipeline(STREAM), row_pipeline(OTHER)],
            registry=registry.url if registry else "",
            root=registry.keys.root if registry else None,
            sections={"limits": {"metrics_s": 0.5}, **sections},
        ) as gateway,
    ):
        for one in (*kept, good_bundle(1, OTHER)):
            gateway.keep(one, pinned=False)
        gateway.start_serving()
        with Supervisor(gateway) as supervisor:
            plant = Plant(gateway, client, supervisor)
            plant.wait_for(plant.send(1.0))
            yield plant


def command(gateway: Gateway, *arguments: str) -> str:
    called = python("agent", *arguments, "--config", gateway.config)
    return subprocess.run(called, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def test_model_that_kills_the_agent_gives_way_to_the_one_before(tmp_path: Path) -> None:
    evil = evil_bundle("crash above 70", STREAM, 2)
    with running(tmp_path, good_bundle(1), evil) as plant:
        others = plant.send(*map(float, range(20)), stream=OTHER)
        times = plant.send(2.0, POISON, 3.0)
        others += plant.send(*map(float, range(20)), stream=OTHER)
        answers = plant.wait_for(times)
        assert [answer["value"] for answer in answers] == [2.0, POISON, 3.0]
        assert [answer["seq"] for answer in answers[1:]] == [1, 1]
        assert len(plant.supervisor.deaths) == 2
        assert len(plant.wait_for(others, OTHER)) == 40
        eventually(lambda: plant.current().get("quarantined"), 20, "current to name it")
        (quarantined,) = plant.current()["quarantined"]
        assert (quarantined["seq"], quarantined["code"]) == (2, "killed")
        told = plant.client.documents("feedback")
        assert ("rolled_back", "killed", 1) in {
            (one["state"], one.get("error"), one.get("seq")) for one in told
        }


def test_proofs_that_a_death_has_interrupted_do_not_cost_the_model_before(tmp_path: Path) -> None:
    good = good_bundle(1)
    with running(tmp_path, good, evil_bundle("crash above 70", STREAM, 2)) as plant:
        record = plant.gateway.state_dir / "proofs" / f"{good.sha256}.json"

        def proven() -> dict[str, Any] | None:
            found = json.loads(record.read_bytes()) if record.exists() else {}
            return found if found.get("state") == "passed" else None

        passed = eventually(proven, 20, "the model before to be proven")
        assert passed is not None
        record.write_text(json.dumps(passed | {"state": "begun", "tries": 2}))
        (answer,) = plant.wait_for(plant.send(POISON))
        assert (answer["seq"], answer["value"]) == (1, POISON)


def test_input_that_the_only_model_dies_of_is_left_out(tmp_path: Path) -> None:
    with running(tmp_path, evil_bundle("crash above 70", STREAM, 1)) as plant:
        others = plant.send(*map(float, range(20)), stream=OTHER)
        plant.send(POISON)
        times = plant.send(2.0, 3.0)
        assert [answer["value"] for answer in plant.wait_for(times)] == [2.0, 3.0]
        assert len(plant.wait_for(others, OTHER)) == 20
        eventually(lambda: plant.metrics().get("dropped") == {"poison": 1}, 20, "poison counted")
        (kept,) = (plant.gateway.state_dir / "poison").glob("*.json")
        assert json.loads(kept.read_bytes())["topic"] == f"{STREAM}/p1/telemetry"
        assert len(plant.supervisor.deaths) == 4, "once unnoticed, three times with its input noted"


def test_only_model_that_dies_of_everything_is_given_up(tmp_path: Path) -> None:
    with running(tmp_path, evil_bundle("crash above 70", STREAM, 1)) as plant:
        plant.send(*[POISON + number for number in range(10)])
        others = plant.send(*map(float, range(20)), stream=OTHER)
        eventually(
            lambda: plant.current().get("state") == "waiting", 60, "the model to be given up"
        )
        others += plant.send(*map(float, range(20)), stream=OTHER)
        assert len(plant.wait_for(others, OTHER)) == 40
        (quarantined,) = plant.current()["quarantined"]
        assert quarantined["code"] == "killed"


def test_push_is_heard_before_the_model_is_used_again(tmp_path: Path) -> None:
    published = Published.create(tmp_path)
    published.publish(good_bundle(2))
    evil = evil_bundle("crash above 70", STREAM, 1)
    with running(tmp_path, evil, registry=published) as plant:
        times = plant.send(POISON)
        eventually(lambda: plant.supervisor.deaths, 20, "the agent to die")
        push(plant.client, STREAM, 2)
        (answer,) = plant.wait_for(times)
        assert (answer["seq"], answer["value"]) == (2, POISON)
        assert len(plant.supervisor.deaths) == 1


def test_revocation_is_heard_before_the_model_is_used_again(tmp_path: Path) -> None:
    published = Published.create(tmp_path)
    published.publish(good_bundle(1))
    evil = evil_bundle("crash above 70", STREAM, 2)
    published.publish(evil)
    with running(tmp_path, evil, registry=published) as plant:
        repository.revoke(published.folder, STREAM, 2, published.keys)  # noticed at the next poll
        (answer,) = plant.wait_for(plant.send(POISON))
        assert (answer["seq"], answer["value"]) == (1, POISON)
        assert len(plant.supervisor.deaths) == 1


def test_model_that_dies_by_itself_is_given_up_for_the_one_before(tmp_path: Path) -> None:
    evil = evil_bundle("crash at run 1000", STREAM, 2)
    with running(tmp_path, good_bundle(1), evil) as plant:
        times: list[int] = []
        while len(plant.supervisor.deaths) < 2:
            sent = plant.send(*[float(number % 50) for number in range(20)])
            times += sent
            plant.wait_for(sent[-1:])
        assert [answer["value"] for answer in plant.wait_for(times)] == [
            float(number % 50) for number in range(20)
        ] * (len(times) // 20)
        eventually(lambda: plant.current().get("seq") == 1, 20, "the model before to serve")


def test_quarantine_outlives_a_restart_until_it_is_cleared(tmp_path: Path) -> None:
    published = Published.create(tmp_path)
    published.publish(good_bundle(1))
    published.publish(evil_bundle("crash above 70", STREAM, 2))
    kept = (good_bundle(1), evil_bundle("crash above 70", STREAM, 2))
    with running(tmp_path, *kept, registry=published) as plant:
        plant.wait_for(plant.send(POISON))
        plant.gateway.stop()  # the supervisor starts it again
        activity = push(plant.client, STREAM, 2)

        def refusals() -> list[str]:
            told = plant.client.documents("feedback")
            return [one["error"] for one in told if one["activity"] == activity and "error" in one]

        eventually(refusals, 20, f"the push to be refused:\n{plant.gateway.log}")
        assert set(refusals()) == {"quarantined"}
        assert f"{STREAM}  seq 2" in command(plant.gateway, "models")
        assert f"{STREAM}#2" in command(plant.gateway, "models", "--clear", f"{STREAM}#2")
        assert "quarantine" not in command(plant.gateway, "models")
        push(plant.client, STREAM, 2)
        eventually(lambda: plant.current().get("seq") == 2, 20, "the cleared bundle to serve")


@pytest.mark.parametrize("is_allowed", [False, True])
def test_push_of_an_older_bundle_needs_the_configuration(
    tmp_path: Path, *, is_allowed: bool
) -> None:
    published = Published.create(tmp_path)
    for seq in (1, 2):
        published.publish(good_bundle(seq))
    with running(
        tmp_path, good_bundle(2), registry=published, updates={"allow_downgrade": is_allowed}
    ) as plant:
        push(plant.client, STREAM, 1)
        if is_allowed:
            eventually(lambda: plant.current().get("seq") == 1, 20, "the older bundle to serve")
            return

        def codes() -> set[str]:
            return {one["error"] for one in plant.client.documents("feedback") if "error" in one}

        eventually(codes, 20, "a refusal")
        assert codes() == {"downgrade"}
        repository.revoke(published.folder, STREAM, 2, published.keys)
        push(plant.client, STREAM, 1)
        eventually(lambda: plant.current().get("seq") == 1, 20, "the older bundle to serve")
