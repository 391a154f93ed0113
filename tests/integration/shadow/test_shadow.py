"""A bundle in the shadow of the one that serves: it answers the same windows, unheard."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from models.bundle.package import Bundle
from tests.kit.broker.brokers import HOST, Mosquitto, mosquitto
from tests.kit.bundles.graphs import detector_bundle, linear_bundle
from tests.kit.bundles.published import Published
from tests.kit.children import ROOT, python
from tests.kit.gateway.agent import Gateway, telemetry_pipeline
from tests.kit.gateway.mqtt_client import push
from tests.kit.gateway.plant import BASE_MS, CONTROL, OFTEN, TOPIC, Plant, serving

STREAM = "mass"
BLOCK_MS = 1_000
SHADOW: dict[str, object] = {"block_s": BLOCK_MS / 1_000, "evidence_s": 0.1}
CHAMPION = detector_bundle(STREAM, 1, [1.0, 0.0], threshold=50.0)
TWIN = detector_bundle(STREAM, 2, [1.0, 0.0], threshold=50.0)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with mosquitto(tmp_path / "broker") as running:
        yield running


@pytest.fixture
def published(tmp_path: Path) -> Published:
    made = Published.create(tmp_path)
    made.publish(CHAMPION)
    return made


def gateway_of(folder: Path, broker: Mosquitto, published: Published, **more: object) -> Gateway:
    """A gateway that serves the champion, with further keys of its pipeline."""
    made = Gateway(
        folder / "gw",
        broker.port,
        [telemetry_pipeline(STREAM) | more],
        registry=published.url,
        root=published.keys.root,
        sections={"limits": OFTEN, "shadow": SHADOW},
    )
    made.keep(CHAMPION, pinned=False)
    return made


@contextmanager
def shadowed(gateway: Gateway, seq: int = 2) -> Iterator[Plant]:
    with serving(gateway) as plant:
        wait_for_shadow(plant, seq)
        yield plant


def wait_for_shadow(plant: Plant, seq: int) -> None:
    plant.wait(lambda: shadow(plant).get("seq") == seq, f"seq {seq} in the shadow")


def current(plant: Plant) -> dict[str, Any]:
    return plant.client.latest(CONTROL.current(STREAM)) or {}


def shadow(plant: Plant) -> dict[str, Any]:
    found: dict[str, Any] = current(plant).get("shadow") or {}
    return found


def evidence(plant: Plant) -> dict[str, Any]:
    """What is retained on the topic; empty where nothing is."""
    topic = CONTROL.evidence(STREAM)
    payloads = [payload for at, payload in plant.client.messages if at == topic]
    found: dict[str, Any] = json.loads(payloads[-1]) if payloads and payloads[-1] else {}
    return found


def push_shadow(plant: Plant, seq: int) -> str:
    """Select a bundle for the shadow, as `millhand-trainer push --shadow` does."""
    document = {"activity": f"push of {seq}", "stream": STREAM, "seq": seq, "shadow": True}
    plant.client.publish(CONTROL.desired(STREAM), document, retain=True)
    return str(document["activity"])


def send(plant: Plant, count: int, c0: float | None = None) -> list[dict[str, Any]]:
    """Publish rows, one a block of time; wait for the champion's answers, and return them."""
    for number in range(plant.sent, plant.sent + count):
        value = float(number % 100) if c0 is None else c0
        row = {"ts": BASE_MS + number * BLOCK_MS, "c0": value, "c1": 1.0}
        plant.client.publish(TOPIC, row)
    plant.sent += count
    plant.wait(lambda: plant.client.count("_inference") >= plant.sent, f"{plant.sent} answers")
    answers = plant.client.documents("_inference")
    assert [one["timestamp"] for one in answers] == [
        BASE_MS + number * BLOCK_MS for number in range(plant.sent)
    ]
    return answers


def wait_for_windows(plant: Plant, count: int) -> dict[str, Any]:
    """Wait until the candidate has answered so many windows, or has left them out."""

    def seen() -> bool:
        found = evidence(plant)
        left_out: dict[str, int] = found.get("left_out", {})
        return int(found.get("compared", 0)) + sum(left_out.values()) >= count

    plant.wait(seen, f"evidence of {count} windows")
    return evidence(plant)


def test_identical_candidate_answers_in_the_shadow_and_never_disagrees(
    tmp_path: Path, broker: Mosquitto, published: Published
) -> None:
    published.publish(TWIN)
    with shadowed(gateway_of(tmp_path, broker, published, shadow="newest")) as plant:
        answers = send(plant, 150)
        assert {one["seq"] for one in answers} == {1}
        found = wait_for_windows(plant, 150)
        assert (found["champion"], found["candidate"], found["rollout"]) == (1, 2, "")
        assert found["gates"]["disagreement"]["hits"] == 0
        assert found["gates"]["disagreement"]["misses"] > 0
        assert found["gates"]["direction"] | {"log_e": 0} == {
            "kind": "sign",
            "hits": 0,
            "misses": 0,
            "limit": 0.5,
            "log_e": 0,
        }
        assert (found["verdict"], found["tripped"]) == ("open", "")
        assert (current(plant)["seq"], current(plant)["state"]) == (1, "serving")
        metrics = plant.wait_for_metrics(received=150, predicted=150, waiting=0)
        assert sum(metrics["streams"][STREAM]["predictions"].values()) == 150


def test_predictions_are_the_same_with_a_shadow_and_without(
    tmp_path: Path, broker: Mosquitto, published: Published
) -> None:
    published.publish(detector_bundle(STREAM, 2, [-1.0, 5.0], threshold=3.0))
    plain = gateway_of(tmp_path / "plain", broker, Published.create(tmp_path / "empty"))
    with serving(plain) as plant:
        without = payloads(plant, send(plant, 100))
    with shadowed(gateway_of(tmp_path, broker, published, shadow="newest")) as plant:
        answers = send(plant, 100)
        found = wait_for_windows(plant, 100)
        assert found["candidate"] == 2
        assert found["gates"]["disagreement"]["hits"] > 0
        assert payloads(plant, answers) == without


def payloads(plant: Plant, answers: list[dict[str, Any]]) -> list[str]:
    """What the plant has heard, in order, less how long it took."""
    topics = {
        topic for topic, _ in plant.client.messages if not topic.startswith(f"{CONTROL.base}/")
    }
    assert topics == {f"plant/l1/p1/_inference/{STREAM}"}
    times = ("latency_ms", "input_age_ms")
    return [json.dumps({k: v for k, v in one.items() if k not in times}) for one in answers]


def test_push_starts_a_shadow_which_comes_back_without_a_network_and_ends_with_the_next_push(
    tmp_path: Path, broker: Mosquitto, published: Published
) -> None:
    release = published.publish(TWIN)
    gateway = gateway_of(tmp_path, broker, published)
    gateway.keep(CHAMPION)
    with serving(gateway) as plant:
        activity = push_shadow(plant, 2)
        wait_for_shadow(plant, 2)
        assert shadow(plant) | {"version": ""} == {
            "seq": 2,
            "version": "",
            "sha256": TWIN.sha256,
            "activity": activity,
        }
        assert current(plant)["seq"] == 1
        send(plant, 60)
        before = wait_for_windows(plant, 60)
        assert gateway.stop() == 0
        published.bundle_path(release).unlink()
        gateway.registry = "file:///nonexistent"
        plant.client.messages.clear()
        gateway.start_serving()
        plant.sent = 0
        plant.wait(lambda: shadow(plant).get("seq") == 2, "the shadow after a restart")
        plant.wait(lambda: evidence(plant).get("compared", 0) > 0, "evidence after a restart")
        after = evidence(plant)
        assert after["since"] == before["since"]
        assert after["compared"] >= before["compared"] > 0
        push(plant.client, STREAM, 1)
        plant.wait(lambda: evidence(plant) == {}, "the evidence to be taken back")
        plant.wait(lambda: not shadow(plant), "the end of the shadow")


def test_stream_with_a_shadow_does_not_follow_the_newest(
    tmp_path: Path, broker: Mosquitto, published: Published
) -> None:
    published.publish(TWIN)
    gateway = gateway_of(tmp_path, broker, published)
    gateway.sections["registry"] = {"poll_s": 1.0}
    with serving(gateway) as plant:
        push_shadow(plant, 2)
        wait_for_shadow(plant, 2)
        published.publish(detector_bundle(STREAM, 3, [1.0, 0.0], threshold=60.0))
        for _ in range(3):
            counted = plant.client.count(CONTROL.metrics)
            plant.wait(lambda: plant.client.count(CONTROL.metrics) > counted + 1, "two seconds")  # noqa: B023  at once
        assert (current(plant)["seq"], shadow(plant)["seq"]) == (1, 2)


def test_agent_that_was_killed_brings_the_shadow_and_its_evidence_back(
    tmp_path: Path, broker: Mosquitto, published: Published
) -> None:
    published.publish(TWIN)
    gateway = gateway_of(tmp_path, broker, published, shadow="newest")
    kept = gateway.state_dir / "shadow" / f"{STREAM}.evidence"
    with shadowed(gateway) as plant:
        plant.wait(kept.exists, "the evidence on disk")
        send(plant, 30)
        plant.wait_for_metrics(predicted=30, waiting=0)
        gateway.kill()
        gateway.start_serving()
        wait_for_shadow(plant, 2)
        send(plant, 30)
        found = wait_for_windows(plant, 30)
        assert found["gates"]["disagreement"]["hits"] == 0
        assert current(plant).get("quarantined") is None


@pytest.mark.parametrize(
    ("candidate", "reason"),
    [
        pytest.param(
            linear_bundle(STREAM, 2, [1.0, 0.0]), "its answers mean something else", id="task"
        ),
        pytest.param(
            detector_bundle(STREAM, 2, [1.0, 0.0, 0.0]), "its signals differ", id="signals"
        ),
        pytest.param(
            detector_bundle(STREAM, 2, [1.0, 0.0], length=3), "its windows differ", id="windows"
        ),
    ],
)
def test_candidate_that_cannot_answer_the_same_windows_is_refused_with_the_reason(
    tmp_path: Path, broker: Mosquitto, published: Published, candidate: Bundle, reason: str
) -> None:
    published.publish(candidate)
    with serving(gateway_of(tmp_path, broker, published)) as plant:
        push_shadow(plant, 2)
        told = plant.wait_for_feedback(state="refused", error="incompatible")
        assert reason in told["message"]
        assert "push it without --shadow" in told["message"]
        send(plant, 5)
        assert (current(plant)["seq"], shadow(plant)) == (1, {})


def test_push_with_shadow_waits_until_the_bundle_is_in_the_shadow(
    tmp_path: Path, broker: Mosquitto, published: Published
) -> None:
    published.publish(TWIN)
    with serving(gateway_of(tmp_path, broker, published)) as plant:
        options = ("--shadow", "--gateway", "gw1", "--broker", f"{HOST}:{broker.port}")
        command = python("trainer", "push", STREAM, "2", *options)
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
        assert "gw1  has seq 2 in the shadow of seq 1" in ended.stdout
        plant.wait(lambda: shadow(plant).get("seq") == 2, "current to say so")
        assert current(plant)["seq"] == 1
