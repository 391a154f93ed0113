"""Bundles that are signed and bad are refused before the agent loads them, and it serves on."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from serving.publishing import repository
from tests.kit.broker.brokers import mosquitto
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.bundles.mirrors import Mirror, mirror
from tests.kit.bundles.published import Published
from tests.kit.gateway.agent import Gateway, telemetry_pipeline
from tests.kit.gateway.evil import evil_bundle
from tests.kit.gateway.mqtt_client import PlantClient, push
from tests.kit.waiting import eventually

REFUSED_S = 60.0
"""On a machine with nothing else to do it takes six seconds at most."""


@dataclass
class Plant:
    """A gateway that serves seq 1, whose answer is its input, and a SCADA system."""

    gateway: Gateway
    published: Published
    server: Mirror
    client: PlantClient
    rows: int = 0

    def publish(self, kind: str, seq: int) -> str:
        """Publish a bad bundle; returns its digest."""
        bundle = evil_bundle(kind, "mass", seq)
        self.published.publish(bundle)
        return bundle.sha256

    def feedback(self, activity: str, state: str) -> list[dict[str, Any]]:
        told = self.client.documents("feedback")
        return [one for one in told if (one["activity"], one["state"]) == (activity, state)]

    def wait_for(self, activity: str, state: str, times: int = 1) -> dict[str, Any]:
        def told() -> bool:
            return len(self.feedback(activity, state)) >= times

        eventually(told, REFUSED_S, f"feedback '{state}' in:\n{self.gateway.log}")
        return self.feedback(activity, state)[-1]

    def assert_serves(self, seq: int) -> None:
        """The model of that bundle answers a reading."""
        self.rows += 1
        value = float(self.rows % 50)
        row = {"ts": 1_700_000_000_000 + self.rows, "c0": value}
        self.client.publish("plant/l1/p1/telemetry", row)
        answer = self.client.wait_for("_inference", self.rows)[-1]
        assert (answer["seq"], answer["value"], answer["quality"]) == (seq, value, "GOOD")

    def activate(self, seq: int) -> None:
        activity = push(self.client, "mass", seq)
        self.wait_for(activity, "activated")


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    published = Published.create(tmp_path)
    published.publish(linear_bundle("mass", 1, [1.0]))
    with (
        mirror(published.folder) as server,
        mosquitto(tmp_path / "broker") as broker,
        PlantClient(broker.port, ["plant/+/+/_inference/#", "millhand/gw1/#"]) as client,
        Gateway(
            tmp_path / "gw",
            broker.port,
            [telemetry_pipeline("mass")],
            registry=server.url,
            root=published.keys.root,
        ) as gateway,
    ):
        gateway.start_serving()
        running = Plant(gateway, published, server, client)
        running.activate(1)
        running.assert_serves(1)
        yield running


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("crash at load", "proof_crashed"),
        ("memory at load", "proof_memory"),
        ("doubling functions", "proof_cpu_time"),
        ("endless at load", "proof_cpu_time"),
        ("large", "proof_memory"),
        ("memory at golden", "proof_memory"),
        ("endless at golden", "proof_cpu_time"),
        ("wrong answer", "golden_mismatch"),
        ("NaN", "golden_mismatch"),
        ("wrong shape", "golden_mismatch"),
        ("no batch axis", "incompatible"),
        ("hungry", "proof_memory"),
    ],
)
def test_bad_bundle_is_refused_and_the_agent_goes_on(
    plant: Plant, kind: str, code: str, figure: Callable[[str], None]
) -> None:
    plant.publish(kind, 2)
    activity = push(plant.client, "mass", 2)
    verified = plant.wait_for(activity, "verifying")
    plant.assert_serves(1)
    refused = plant.wait_for(activity, "refused")
    assert refused["error"] in {code, code.replace("cpu_time", "timeout")}
    took = datetime.fromisoformat(refused["time"]) - datetime.fromisoformat(verified["time"])
    figure(f"'{kind}' was refused {took.total_seconds():.1f} s after its proof had begun")
    plant.assert_serves(1)
    plant.published.publish(linear_bundle("mass", 3, [1.0]))
    plant.activate(3)
    plant.assert_serves(3)
    repository.revoke(plant.published.folder, "mass", 3, plant.published.keys)
    activity = push(plant.client, "mass", 3)
    assert plant.wait_for(activity, "refused")["error"] == "revoked"
    assert plant.gateway.stop() == 0, "it is the process that was started"


def test_push_during_an_endless_proof_is_heard_and_readings_are_answered(plant: Plant) -> None:
    plant.publish("endless at golden", 2)
    activity = push(plant.client, "mass", 2)
    plant.wait_for(activity, "verifying")
    plant.assert_serves(1)
    assert not plant.feedback(activity, "refused"), "it was answered while the proof went on"
    plant.activate(1)
    plant.assert_serves(1)


def test_refused_bundle_is_neither_proven_nor_downloaded_again(plant: Plant) -> None:
    sha256 = plant.publish("crash at load", 2)
    activity = push(plant.client, "mass", 2)
    first = plant.wait_for(activity, "refused")
    record = plant.gateway.state_dir / "proofs" / f"{sha256}.json"
    written = record.stat().st_mtime_ns
    sent = plant.server.sent_of(".zip")
    plant.gateway.stop()
    plant.gateway.start_serving()  # the desired document is retained
    again = plant.wait_for(activity, "refused", times=2)
    assert (again["error"], again["message"]) == (first["error"], first["message"])
    assert record.stat().st_mtime_ns == written
    assert plant.server.sent_of(".zip") == sent
    plant.assert_serves(1)


def test_two_deaths_during_a_proof_are_remembered(plant: Plant) -> None:
    plant.publish("endless at load", 2)
    activity = push(plant.client, "mass", 2)
    for death in (1, 2):
        plant.wait_for(activity, "verifying", times=death)
        assert plant.gateway.process is not None
        agent = psutil.Process(plant.gateway.process.pid)
        (child,) = eventually(agent.children)
        plant.gateway.kill()
        eventually(lambda: not child.is_running(), 20, "the child ends with the agent")  # noqa: B023  at once
        plant.gateway.start_serving()
    assert plant.wait_for(activity, "refused")["error"] == "proof_interrupted"
    plant.assert_serves(1)


def test_kept_bundle_that_cannot_be_loaded_gives_way_to_the_one_before(plant: Plant) -> None:
    plant.gateway.stop()
    plant.gateway.keep(evil_bundle("crash at load", "mass", 2), pinned=False)
    plant.gateway.start_serving()
    plant.assert_serves(1)


def test_start_with_a_record_needs_no_proof(plant: Plant) -> None:
    (record,) = (plant.gateway.state_dir / "proofs").iterdir()
    assert json.loads(record.read_text())["state"] == "passed"
    written = record.stat().st_mtime_ns
    plant.gateway.stop()
    plant.gateway.start_serving()
    plant.assert_serves(1)
    assert record.stat().st_mtime_ns == written


@pytest.mark.parametrize(("policy", "state"), [("warn", "activated"), ("refuse", "refused")])
def test_slow_model_serves_or_is_refused_as_the_policy_says(
    plant: Plant, policy: str, state: str
) -> None:
    plant.gateway.stop()
    plant.gateway.sections = {"proof": {"latency_ms": 10.0, "latency": policy, "seconds": 10.0}}
    plant.gateway.start_serving()
    plant.publish("slow", 2)
    activity = push(plant.client, "mass", 2)
    outcome = plant.wait_for(activity, state)
    if policy == "refuse":
        assert outcome["error"] == "proof_latency"
    else:
        warned = [one for one in plant.feedback(activity, "verifying") if "warning" in one]
        assert [one["warning"] for one in warned] == ["proof_latency"]
        assert "WARNING model is slow" in plant.gateway.log
    plant.assert_serves(2 if policy == "warn" else 1)


def test_hungry_model_serves_where_it_may_have_the_memory(plant: Plant) -> None:
    plant.gateway.stop()
    plant.gateway.sections = {"limits": {"max_batch": 64}}
    plant.gateway.start_serving()
    plant.publish("hungry", 2)
    plant.activate(2)
    plant.assert_serves(2)
