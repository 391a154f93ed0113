"""Candidates that a hard gate ends in the shadow: told with its code, the champion untouched."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from models.bundle.package import Bundle, pack_bundle
from models.bundle.reference import Condition, Document, Histogram, Quantity, write_reference
from tests.kit.broker.brokers import Mosquitto, mosquitto
from tests.kit.bundles.graphs import detector_bundle, linear_bundle
from tests.kit.bundles.published import Published
from tests.kit.gateway.agent import Gateway, telemetry_pipeline
from tests.kit.gateway.evil import evil_bundle
from tests.kit.gateway.failing import BEYOND, ENDLESS, failing_bundle
from tests.kit.gateway.plant import BASE_MS, CONTROL, OFTEN, TOPIC, Plant, serving
from tests.kit.gateway.supervisor import Supervisor

STREAM = "mass"
BLOCK_MS = 1_000
LIMITS: dict[str, object] = OFTEN | {"turn_s": 0.1, "inference_s": 1.0}
NUMBERS = failing_bundle(STREAM, 1, "passes", 0)
DETECTOR = detector_bundle(STREAM, 1, [1.0, 0.0], threshold=1_000.0)

LEVEL = Histogram(edges=(), counts=(0,))
CONDITION = Condition(counts=(0, 0, 0, 0))


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with mosquitto(tmp_path / "broker") as running:
        yield running


@pytest.fixture
def gateway_of(tmp_path: Path, broker: Mosquitto) -> Callable[[Bundle, Bundle], Gateway]:
    """Makes a gateway that serves the first bundle; the second is the newest of the registry."""

    def made(champion: Bundle, candidate: Bundle) -> Gateway:
        published = Published.create(tmp_path)
        published.publish(champion)
        published.publish(candidate)
        gateway = Gateway(
            tmp_path / "gw",
            broker.port,
            [telemetry_pipeline(STREAM) | {"shadow": "newest"}],
            registry=published.url,
            root=published.keys.root,
            sections={"limits": LIMITS, "shadow": {"block_s": 1.0, "evidence_s": 0.1}},
        )
        gateway.keep(champion, pinned=False)
        return gateway

    return made


def shadow(plant: Plant) -> dict[str, Any]:
    current = plant.client.latest(CONTROL.current(STREAM)) or {}
    found: dict[str, Any] = current.get("shadow") or {}
    return found


def send(plant: Plant, *values: float) -> list[dict[str, Any]]:
    """Publish rows, one a block of time, and wait for the champion's answer to each."""
    for value in values:
        row = {"ts": BASE_MS + plant.sent * BLOCK_MS, "c0": value, "c1": 1.0}
        plant.client.publish(TOPIC, row)
        plant.sent += 1
        plant.wait(lambda: plant.client.count("_inference") >= plant.sent, "the answer")
    answers = plant.client.documents("_inference")
    assert len(answers) == plant.sent
    assert {(one["seq"], one["quality"]) for one in answers} == {(1, "GOOD")}
    return answers


def wait_for_the_end(plant: Plant, code: str) -> dict[str, Any]:
    """Wait until the trial has ended with a code; everybody who is told is told the same."""
    told = plant.wait_for_feedback(state="rolled_back", error=code)
    assert told["seq"] == 1
    assert told["message"].startswith(f"{STREAM}#2: in the shadow: ")
    plant.wait(lambda: shadow(plant).get("gate") == code, "current to name the gate")
    evidence = json.loads(
        [payload for topic, payload in plant.client.messages if topic == CONTROL.evidence(STREAM)][
            -1
        ]
    )
    assert (evidence["candidate"], evidence["tripped"]) == (2, code)
    return told


@pytest.mark.parametrize(
    ("fault", "amount", "code", "is_quarantined"),
    [
        pytest.param("error", 1, "model_failed", True, id="fails"),
        pytest.param("passes", ENDLESS, "timed_out", True, id="never ends"),
        pytest.param("nan", 1, "not_finite", False, id="answers no number"),
    ],
)
def test_candidate_that_fails_is_ended_at_once_and_the_champion_answers(
    gateway_of: Callable[[Bundle, Bundle], Gateway],
    fault: str,
    amount: int,
    code: str,
    is_quarantined: bool,  # noqa: FBT001 - a case of the table
) -> None:
    gateway = gateway_of(NUMBERS, failing_bundle(STREAM, 2, fault, amount))
    with serving(gateway) as plant:
        plant.wait(lambda: shadow(plant).get("seq") == 2, "the candidate in the shadow")
        send(plant, 1.0)
        assert send(plant, BEYOND)[-1]["value"] == BEYOND + 1
        wait_for_the_end(plant, code)
        assert send(plant, BEYOND)[-1]["value"] == BEYOND + 1

        def quarantined() -> list[int]:
            current = plant.client.latest(CONTROL.current(STREAM)) or {}
            return [one["seq"] for one in current.get("quarantined", [])]

        if is_quarantined:
            plant.wait(lambda: quarantined() == [2], "the candidate in quarantine")
        assert quarantined() == [2] * is_quarantined


def test_candidate_with_alarms_all_the_time_is_ended(
    gateway_of: Callable[[Bundle, Bundle], Gateway],
) -> None:
    storm = detector_bundle(STREAM, 2, [1.0, 0.0], threshold=-1_000.0)
    with serving(gateway_of(DETECTOR, storm)) as plant:
        plant.wait(lambda: shadow(plant).get("seq") == 2, "the candidate in the shadow")
        send(plant, *(float(number % 50) for number in range(70)))
        wait_for_the_end(plant, "alarm_storm")
        assert {one["value"] for one in send(plant, 1.0)} == {0}


def test_candidate_with_one_answer_to_everything_is_ended(
    gateway_of: Callable[[Bundle, Bundle], Gateway],
) -> None:
    constant = detector_bundle(STREAM, 2, [0.0, 0.0], threshold=1_000.0)
    with serving(gateway_of(DETECTOR, constant)) as plant:
        plant.wait(lambda: shadow(plant).get("seq") == 2, "the candidate in the shadow")
        # A candidate answers in the time that is left, of which there may be little.
        for _ in range(5):
            if not shadow(plant).get("gate"):
                send(plant, *(float(number % 50) for number in range(220)))
        told = wait_for_the_end(plant, "constant")
        assert "constant" in told["error"]
        assert {one["seq"] for one in send(plant, 1.0)} == {1}, "the champion answers"


def test_candidate_with_answers_far_from_those_of_training_is_ended(
    gateway_of: Callable[[Bundle, Bundle], Gateway],
) -> None:
    far = linear_bundle(STREAM, 2, [100.0, 0.0])
    with serving(gateway_of(linear_bundle(STREAM, 1, [1.0, 0.0]), referring(far))) as plant:
        plant.wait(lambda: shadow(plant).get("seq") == 2, "the candidate in the shadow")
        send(plant, *(float(number) for number in range(10)))
        told = wait_for_the_end(plant, "out_of_range")
        assert "beyond those of training" in told["message"]


def referring(bundle: Bundle) -> Bundle:
    """The bundle with a reference that knows answers from 0 to 100."""
    document = Document(
        signals={
            channel.name: Quantity(count=0, missing_share=1, level=LEVEL, condition=CONDITION)
            for channel in bundle.manifest.channels
        },
        score=Quantity(
            count=100,
            missing_share=0,
            quantiles={"0": 0, "1": 100},
            level=LEVEL,
            condition=CONDITION,
        ),
        reason="made for a test",
    )
    members = {
        "model.onnx": bundle.model,
        "golden.npz": bundle.golden,
        "reference.json": write_reference(document),
        "report.html": bundle.report,
    }
    return pack_bundle(bundle.manifest, members)


def test_ended_trial_is_remembered_over_a_restart(
    gateway_of: Callable[[Bundle, Bundle], Gateway],
) -> None:
    gateway = gateway_of(NUMBERS, failing_bundle(STREAM, 2, "nan"))
    with serving(gateway) as plant:
        plant.wait(lambda: shadow(plant).get("seq") == 2, "the candidate in the shadow")
        send(plant, BEYOND)
        wait_for_the_end(plant, "not_finite")
        assert gateway.stop() == 0
        seen = plant.client.count(CONTROL.current(STREAM))
        gateway.start_serving()
        plant.wait(lambda: plant.client.count(CONTROL.current(STREAM)) > seen, "current again")
        assert shadow(plant)["gate"] == "not_finite"
        send(plant, BEYOND)
        assert gateway.log.count("model in the shadow") == 1


def test_agent_that_dies_of_the_candidate_twice_goes_on_without_it(
    gateway_of: Callable[[Bundle, Bundle], Gateway],
) -> None:
    gateway = gateway_of(linear_bundle(STREAM, 1, [1.0]), evil_bundle("crash above 70", STREAM, 2))
    with serving(gateway) as plant, Supervisor(gateway) as supervisor:
        plant.wait(lambda: shadow(plant).get("seq") == 2, "the candidate in the shadow")
        for deaths in (1, 2):
            if len(supervisor.deaths) < deaths:  # a redelivery may have been the second
                plant.client.publish(TOPIC, {"ts": BASE_MS + plant.sent, "c0": 80.0})
                plant.sent += 1
            plant.wait(lambda: len(supervisor.deaths) >= deaths, "a death of the candidate")  # noqa: B023  at once
            if deaths == 1:
                plant.wait(
                    lambda: gateway.log.count("model in the shadow") == 2, "the shadow again"
                )
        told = plant.wait_for_feedback(state="rolled_back", error="killed")
        assert told["seq"] == 1
        answers = plant.client.documents("_inference")
        assert {(one["seq"], one["value"]) for one in answers} == {(1, 80.0)}
