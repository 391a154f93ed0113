"""Models that prove themselves and fail at work: told, counted, rolled back, and never in the way.

Bundle 1 answers c0 + c1 of every row. Bundle 2 misbehaves on rows beyond the limit, see
`tests.kit.gateway.failing`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kit.broker.brokers import Mosquitto, mosquitto
from tests.kit.broker.proxy import TO_CLIENT, Proxy
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.gateway.agent import Gateway, telemetry_pipeline
from tests.kit.gateway.failing import BEYOND, ENDLESS, failing_bundle
from tests.kit.gateway.mqtt_client import PlantClient
from tests.kit.gateway.notify_socket import NotifySocket
from tests.kit.gateway.plant import BASE_MS, CONTROL, FILTERS, OFTEN, TOPIC, Plant, serving

STREAM = "mass"
GOOD = failing_bundle(STREAM, 1, "passes", 0)
LIMITS: dict[str, object] = OFTEN | {"turn_s": 0.1, "inference_s": 1.0}


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with mosquitto(tmp_path / "broker") as running:
        yield running


@pytest.fixture
def gateway(tmp_path: Path, broker: Mosquitto) -> Gateway:
    """A gateway that serves a second, well-behaved stream on the same rows."""
    pipelines = [telemetry_pipeline(STREAM), telemetry_pipeline("other")]
    made = Gateway(tmp_path / "gw", broker.port, pipelines, sections={"limits": LIMITS})
    made.keep(linear_bundle("other", 1, [1.0, 0.0], channels=GOOD.manifest.channels))
    return made


def send(plant: Plant, c0: float) -> dict[str, Any]:
    """Publish one row, and return the prediction of the stream for it; the other answers, too."""
    number, plant.sent = plant.sent, plant.sent + 1
    plant.client.publish(TOPIC, {"ts": BASE_MS + number, "c0": c0, "c1": 1.0})
    for stream in (STREAM, "other"):
        plant.wait(
            lambda: plant.client.count(f"_inference/{stream}") == plant.sent,  # noqa: B023  at once
            f"the answer of {stream} to row {number}",
        )
    other = plant.client.documents("_inference/other")[-1]
    assert (other["timestamp"], other["value"], other["quality"]) == (BASE_MS + number, c0, "GOOD")
    answer = plant.client.documents(f"_inference/{STREAM}")[-1]
    assert answer["timestamp"] == BASE_MS + number
    return answer


def current(plant: Plant) -> dict[str, Any]:
    return plant.client.latest(CONTROL.current(STREAM)) or {}


@pytest.mark.parametrize(
    ("fault", "code", "words"),
    [
        ("error", "model_failed", "Gather node"),
        ("nan", "answer_not_finite", "NaN or infinite"),
        ("shape", "model_failed", "[1, 2]"),
    ],
)
def test_model_that_fails_on_live_windows_is_rolled_back_in_the_words_of_the_runtime(
    gateway: Gateway, fault: str, code: str, words: str
) -> None:
    gateway.keep(GOOD)
    gateway.keep(failing_bundle(STREAM, 2, fault))
    with serving(gateway) as plant:
        assert send(plant, 1.0)["seq"] == 2
        answers = [send(plant, BEYOND) for _ in range(3)]
        assert [(one["quality"], one["reason"]) for one in answers] == 3 * [("BAD", code)]
        told = plant.wait_for_feedback(state="rolled_back")
        assert (told["seq"], told["error"]) == (1, code)
        assert words in told["message"]
        plant.wait(lambda: current(plant).get("seq") == 1, "the bundle before it")
        assert current(plant)["state"] == "serving"
        answer = send(plant, BEYOND)
        assert (answer["seq"], answer["value"], answer["quality"]) == (1, BEYOND + 1, "GOOD")
        assert "reason" not in answer
        metrics = plant.wait_for_metrics(received=plant.sent, waiting=0)
        assert metrics["streams"][STREAM]["bad"] == {code: 3}
        assert metrics["streams"]["other"]["bad"] == {}
    warnings = [line for line in gateway.log.splitlines() if line.startswith("WARNING model")]
    assert [line.partition(" stream=")[0] for line in warnings] == [
        "WARNING model failed on live windows",
        "WARNING model rolled back",
    ]
    assert all(words in line for line in warnings)


@pytest.mark.parametrize(
    ("fault", "code"), [("error", "model_failed"), ("nan", "answer_not_finite")]
)
def test_only_bundle_that_fails_is_degraded_until_it_answers_again(
    gateway: Gateway, fault: str, code: str
) -> None:
    gateway.keep(failing_bundle(STREAM, 2, fault))
    with serving(gateway) as plant:
        for _ in range(3):
            assert send(plant, BEYOND)["reason"] == code
        plant.wait(lambda: current(plant).get("state") == "degraded", "the state degraded")
        told = current(plant)
        assert (told["seq"], told["reason"]) == (2, code)
        assert told["failed_batches"] >= 3
        assert told["message"]
        assert send(plant, 1.0)["value"] == 2.0
        plant.wait(lambda: current(plant).get("state") == "serving", "the state serving")
    assert gateway.log.count("WARNING model is degraded") == 1


def test_inference_without_end_is_interrupted_and_the_bundle_before_serves(
    gateway: Gateway,
) -> None:
    gateway.keep(GOOD)
    gateway.keep(failing_bundle(STREAM, 2, "passes", ENDLESS))
    with serving(gateway) as plant:
        assert send(plant, 1.0)["seq"] == 2
        process = gateway.process
        answer = send(plant, BEYOND)
        assert (answer["value"], answer["quality"], answer["reason"]) == (None, "BAD", "timed_out")
        told = plant.wait_for_feedback(state="rolled_back")
        assert (told["seq"], told["error"]) == (1, "timed_out")
        answer = send(plant, BEYOND)
        assert (answer["seq"], answer["value"]) == (1, BEYOND + 1)
        assert gateway.process is process
        assert process is not None
        assert process.poll() is None


@pytest.mark.parametrize(("qos", "max_batch"), [(1, 256), (0, 3)])
def test_slow_model_lets_the_watchdog_and_the_keep_alive_be_served(
    tmp_path: Path, broker: Mosquitto, qos: int, max_batch: int
) -> None:
    rows = 40
    with NotifySocket() as systemd:
        gateway = Gateway(
            tmp_path / "gw",
            broker.port,
            [telemetry_pipeline(STREAM, qos=qos)],
            sections={"limits": OFTEN | {"max_batch": max_batch}, "broker": {"keepalive_s": 5}},
            environment=systemd.environment,
        )
        gateway.keep(failing_bundle(STREAM, 1, "passes", 200_000))  # 0.3 s a row on a small PC
        with serving(gateway) as plant:
            for number in range(rows):
                row = {"ts": BASE_MS + number, "c0": BEYOND, "c1": float(number)}
                plant.client.publish(TOPIC, row, qos)
            answered, pings = plant.client.count("_inference"), []
            while answered < rows:
                before = answered
                plant.wait(lambda: plant.client.count("_inference") > before, "the next answer")  # noqa: B023  at once
                answered = plant.client.count("_inference")
                pings.append(systemd.pings)
            answers = plant.client.documents("_inference")
            assert [one["value"] for one in answers] == [BEYOND + n for n in range(rows)]
            metrics = plant.wait_for_metrics(received=rows, predicted=rows, waiting=0)
            assert metrics["connects"] == 1, "the broker has not given the agent up"
            assert len(set(pings)) >= 4, "the watchdog was served between answers"
        assert gateway.log.count("connected") == 1


def test_windows_of_a_slow_model_survive_a_lost_connection_and_a_stop(
    tmp_path: Path, broker: Mosquitto
) -> None:
    rows = 30
    with Proxy(broker.port) as proxy, PlantClient(broker.port, FILTERS) as client:
        gateway = Gateway(tmp_path / "gw", proxy.port, [telemetry_pipeline(STREAM)])
        gateway.keep(failing_bundle(STREAM, 1, "passes", 100_000))
        with gateway:
            gateway.start_serving()
            plant = Plant(gateway, client)
            for number in range(rows):
                row = {"ts": BASE_MS + number, "c0": BEYOND, "c1": float(number)}
                client.publish(TOPIC, row)
            plant.wait(lambda: client.count("_inference") >= 2, "the first answers")
            proxy.cut_after(0, TO_CLIENT)
            plant.wait(lambda: proxy.cuts == 1, "the connection to be cut")
            seen = client.count("_inference")
            plant.wait(lambda: client.count("_inference") > seen, "answers after the reconnect")
            assert gateway.stop() == 0
            gateway.start_serving()
            wait_for_all(plant, rows)


@pytest.mark.parametrize("is_killed", [True, False])
def test_windows_of_a_slow_model_delay_no_start(
    tmp_path: Path, broker: Mosquitto, *, is_killed: bool
) -> None:
    """What the journal holds is answered turn by turn: the other stream need not wait for it."""
    rows = 25
    pipelines = [telemetry_pipeline(STREAM) | {"disorder_ms": 1}, telemetry_pipeline("other")]
    limits = {"limits": OFTEN | {"stop_s": 1.0}}
    gateway = Gateway(tmp_path / "gw", broker.port, pipelines, sections=limits)
    gateway.keep(failing_bundle(STREAM, 1, "passes", 400_000))
    gateway.keep(linear_bundle("other", 1, [1.0, 0.0], channels=GOOD.manifest.channels))
    with serving(gateway) as plant:

        def send(number: int) -> None:
            row = {"ts": BASE_MS + number, "c0": BEYOND, "c1": float(number)}
            plant.client.publish(TOPIC, row)

        for number in range(rows):
            send(number)
        plant.wait(lambda: plant.client.count("_inference/other") == rows, "the other answers")
        plant.wait(lambda: plant.client.count(f"_inference/{STREAM}") >= 2, "the first answers")
        if is_killed:
            gateway.kill()
        else:
            assert gateway.stop() == 0
        gateway.start_serving()
        send(rows)
        newest = BASE_MS + rows

        def is_answered() -> bool:
            answer = plant.client.documents("_inference/other")[-1]
            return bool(answer["timestamp"] == newest)

        plant.wait(is_answered, "the other answer to the newest row")
        assert len(answered(plant.client, STREAM)) < rows, "not all the slow ones came before it"
        # The newest row waits for a later one, to be put in order.
        wait_for_all(plant, rows)


def wait_for_all(plant: Plant, rows: int) -> None:
    """Wait for one answer of the slow stream after the other, however long all of them take."""
    while len(seen := answered(plant.client, STREAM)) < rows:
        plant.wait(lambda: len(answered(plant.client, STREAM)) > len(seen), "the next answer")
    assert seen == list(range(rows))


def answered(client: PlantClient, stream: str = "") -> list[int]:
    """Numbers of the rows with an answer, in the order of their first answers; all are right."""
    firsts: dict[str, int] = {}
    for one in client.documents(f"_inference/{stream}"):
        number = firsts.setdefault(one["id"], one["timestamp"] - BASE_MS)
        assert one["value"] == BEYOND + number
    return list(firsts.values())


def test_graph_that_wants_more_memory_than_allowed_fails_alone(
    gateway: Gateway,
) -> None:
    gateway.under = ("prlimit", f"--data={1 << 29}")
    gateway.keep(GOOD)
    gateway.keep(failing_bundle(STREAM, 2, "memory", 1 << 30))
    with serving(gateway) as plant:
        assert send(plant, 1.0)["seq"] == 2
        for _ in range(3):
            assert send(plant, BEYOND)["reason"] == "model_failed"
        told = plant.wait_for_feedback(state="rolled_back")
        assert "bad_alloc" in told["message"]
        assert send(plant, BEYOND)["seq"] == 1
        assert gateway.process is not None
        assert gateway.process.poll() is None
