"""A bundle that turns bad after the swap: the one before it watches, and comes back."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from models.bundle.package import Bundle
from tests.kit.broker.brokers import Mosquitto, mosquitto
from tests.kit.bundles.graphs import detector_bundle
from tests.kit.bundles.mirrors import Fault, mirror
from tests.kit.bundles.published import Published
from tests.kit.gateway.agent import Gateway, telemetry_pipeline
from tests.kit.gateway.failing import BEYOND, failing_bundle
from tests.kit.gateway.mqtt_client import push
from tests.kit.gateway.plant import BASE_MS, CONTROL, OFTEN, TOPIC, Plant, serving

STREAM = "mass"
BACK_S = 10.0
NUMBERS = failing_bundle(STREAM, 1, "passes", 0)
DETECTOR = detector_bundle(STREAM, 1, [1.0, 0.0], threshold=1_000.0)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with mosquitto(tmp_path / "broker") as running:
        yield running


def gateway_of(folder: Path, broker: Mosquitto, *bundles: Bundle, **shadow: object) -> Gateway:
    """A gateway that serves the first of the bundles; all of them are published."""
    published = Published.create(folder)
    for one in bundles:
        published.publish(one)
    gateway = Gateway(
        folder / "gw",
        broker.port,
        [telemetry_pipeline(STREAM)],
        registry=published.url,
        root=published.keys.root,
        sections={"limits": OFTEN, "shadow": {"block_s": 1.0} | shadow},
    )
    gateway.keep(bundles[0])
    return gateway


def send(plant: Plant, *values: float) -> list[dict[str, Any]]:
    for value in values:
        row = {"ts": BASE_MS + plant.sent * 1_000, "c0": value, "c1": 1.0}
        plant.client.publish(TOPIC, row)
        plant.sent += 1
        plant.wait(lambda: plant.client.count("_inference") >= plant.sent, "the answer")
    return plant.client.documents("_inference")


def swap(plant: Plant, seq: int) -> None:
    push(plant.client, STREAM, seq)
    plant.wait(lambda: current(plant).get("seq") == seq, f"seq {seq} to serve")


def current(plant: Plant) -> dict[str, Any]:
    return plant.client.latest(CONTROL.current(STREAM)) or {}


def wait_for_the_former(plant: Plant, code: str) -> None:
    """Wait until bundle 1 serves again, and everybody who is told is told why."""
    began_s = time.monotonic()
    told = plant.wait_for_feedback(state="rolled_back", error=code)
    plant.wait(lambda: current(plant).get("seq") == 1, "the bundle before")
    assert time.monotonic() - began_s < BACK_S
    assert told["seq"] == 1
    assert told["message"].startswith(f"{STREAM}#2: ")
    quarantined = [(one["seq"], one["code"]) for one in current(plant)["quarantined"]]
    assert quarantined == [(2, code)]


def test_bundle_that_answers_no_number_once_gives_way_to_the_one_before(
    tmp_path: Path, broker: Mosquitto
) -> None:
    gateway = gateway_of(tmp_path, broker, NUMBERS, failing_bundle(STREAM, 2, "nan"))
    with serving(gateway) as plant:
        swap(plant, 2)
        assert send(plant, 1.0, BEYOND)[-1]["quality"] == "BAD"
        wait_for_the_former(plant, "answer_not_finite")
        answer = send(plant, BEYOND)[-1]
        assert (answer["seq"], answer["value"], answer["quality"]) == (1, BEYOND + 1, "GOOD")


def test_bundle_that_storms_after_the_swap_gives_way_to_the_one_before(
    tmp_path: Path, broker: Mosquitto
) -> None:
    storm = detector_bundle(STREAM, 2, [1.0, 0.0], threshold=-1_000.0)
    with serving(gateway_of(tmp_path, broker, DETECTOR, storm)) as plant:
        swap(plant, 2)
        assert send(plant, *(float(n % 50) for n in range(70)))[-1]["value"] == 1
        wait_for_the_former(plant, "alarm_storm")
        assert send(plant, 1.0)[-1]["value"] == 0


def test_bundle_is_left_alone_once_its_probation_is_over(tmp_path: Path, broker: Mosquitto) -> None:
    gateway = gateway_of(
        tmp_path, broker, NUMBERS, failing_bundle(STREAM, 2, "nan"), probation_s=0.0
    )
    with serving(gateway) as plant:
        swap(plant, 2)
        answers = send(plant, BEYOND, 1.0)
        assert [one["quality"] for one in answers] == ["BAD", "GOOD"]
        plant.wait_for_metrics(received=2, predicted=2)
        assert current(plant)["seq"] == 2


def test_probation_goes_on_after_a_restart(tmp_path: Path, broker: Mosquitto) -> None:
    gateway = gateway_of(tmp_path, broker, NUMBERS, failing_bundle(STREAM, 2, "nan"))
    with serving(gateway) as plant:
        swap(plant, 2)
        assert gateway.stop() == 0
        gateway.start_serving()
        gateway.wait_for_log("INFO on probation", times=2)
        assert send(plant, 1.0, BEYOND)[-1]["quality"] == "BAD"
        wait_for_the_former(plant, "answer_not_finite")
        assert not list(gateway.state_dir.glob("probation/*.json"))


def test_bundle_before_comes_back_though_the_registry_does_not_answer(
    tmp_path: Path, broker: Mosquitto
) -> None:
    gateway = gateway_of(tmp_path, broker, NUMBERS, failing_bundle(STREAM, 2, "nan"))
    gateway.sections["updates"] = {"hint_s": 0.1}
    with mirror(tmp_path / "registry") as registry:
        gateway.registry = registry.url
        with serving(gateway) as plant:
            swap(plant, 2)
            registry.faults["timestamp.json"] = Fault(stall_after=0)
            asked = len(registry.logins)
            hint = {"id": "r1", "epoch": 1, "stage": 1}
            plant.client.publish(
                CONTROL.desired(STREAM), {"stream": STREAM, "rollout": hint}, retain=True
            )
            plant.wait(lambda: len(registry.logins) > asked + 1, "a look that is not answered")
            assert send(plant, 1.0, BEYOND)[-1]["quality"] == "BAD"
            wait_for_the_former(plant, "answer_not_finite")
            assert send(plant, BEYOND)[-1]["seq"] == 1
