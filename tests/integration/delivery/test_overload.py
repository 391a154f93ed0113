"""More comes than a slow model can answer: what is given up is told, counted, and never the newest.

The agent is halted while its readings pile up, so that it finds them all waiting at once.
"""

import signal
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.kit.broker.brokers import mosquitto
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.gateway.agent import Gateway, telemetry_pipeline
from tests.kit.gateway.plant import BASE_MS, OFTEN, Plant, serving

ASSETS = 4
ROWS = 1_000
BATCH = 16
REASONS = {"latest": "superseded", "decimate": "decimated"}


def make_gateway(folder: Path, port: int, *pipelines: dict[str, object]) -> Gateway:
    """A gateway with a model of a fifth of a millisecond a row for each pipeline."""
    sections = {"limits": OFTEN | {"max_batch": BATCH}}
    gateway = Gateway(folder / "gw", port, list(pipelines), sections=sections)
    for pipeline in pipelines:
        gateway.keep(linear_bundle(str(pipeline["stream"]), 1, [1.0, 10.0], layers=100))
    return gateway


@contextmanager
def halted(gateway: Gateway) -> Iterator[None]:
    """Let it stand still, connection open, until the context is left."""
    assert gateway.process is not None
    gateway.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        gateway.process.send_signal(signal.SIGCONT)


def send(plant: Plant, qos: int, count: int = ROWS) -> None:
    """Rows of all assets in turns, numbered by their time."""
    for number in range(plant.sent, plant.sent + count):
        row = {"ts": BASE_MS + number, "c0": float(number % 100), "c1": 1.0}
        plant.client.publish(f"plant/l1/p{number % ASSETS}/telemetry", row, qos)
    plant.sent += count
    plant.client.flush()


def answers(plant: Plant, stream: str) -> dict[str, list[dict[str, Any]]]:
    """By asset, in the order in which they came."""
    found = defaultdict(list)
    for one in plant.client.documents(f"_inference/{stream}"):
        found[one["asset"]].append(one)
    return found


def assert_gaps_are_told(told: list[dict[str, Any]]) -> None:
    """One asset's answers are in order, right, and UNCERTAIN where the row before was given up."""
    numbers = [one["timestamp"] - BASE_MS for one in told]
    assert numbers == sorted(set(numbers))
    assert [one["value"] for one in told] == [number % 100 + 10.0 for number in numbers]
    expected = [
        "GOOD" if number - before == ASSETS else "UNCERTAIN"
        for before, number in zip([numbers[0] % ASSETS - ASSETS, *numbers], numbers, strict=False)
    ]
    assert [one["quality"] for one in told] == expected


@pytest.mark.parametrize("qos", [0, 1])
@pytest.mark.parametrize("policy", ["latest", "decimate"])
def test_what_is_given_up_is_counted_and_the_newest_is_answered(
    tmp_path: Path, policy: str, qos: int
) -> None:
    pipeline = telemetry_pipeline("slow", qos=qos) | {"overload": policy}
    with (
        mosquitto(tmp_path / "broker", max_queued_messages=0) as broker,
        serving(make_gateway(tmp_path, broker.port, pipeline)) as plant,
    ):
        with halted(plant.gateway):
            send(plant, qos)
        metrics = plant.wait_for_metrics(received=ROWS, waiting=0)
        told = answers(plant, "slow")
        answered = sum(map(len, told.values()))
        assert metrics["predicted"] == answered
        assert metrics["dropped"] == {REASONS[policy]: ROWS - answered}
        assert metrics["streams"]["slow"]["shed"] == ROWS - answered > 0
        newest = {one[-1]["timestamp"] - BASE_MS for one in told.values()}
        assert newest == set(range(ROWS - ASSETS, ROWS))
        for one in told.values():
            assert_gaps_are_told(one)


def test_rows_that_another_pipeline_blocks_on_are_given_up_in_one_only(tmp_path: Path) -> None:
    eager = telemetry_pipeline("eager") | {"overload": "latest"}
    patient = telemetry_pipeline("patient")
    with (
        mosquitto(tmp_path / "broker", max_queued_messages=0) as broker,
        serving(make_gateway(tmp_path, broker.port, eager, patient)) as plant,
    ):
        with halted(plant.gateway):
            send(plant, qos=1)
        metrics = plant.wait_for_metrics(received=ROWS, predicted=ROWS, waiting=0)
        assert metrics["dropped"] == {}
        shed = metrics["streams"]["eager"]["shed"]
        assert plant.client.count("_inference/patient") == ROWS
        assert plant.client.count("_inference/eager") == ROWS - shed
        for stream in ("eager", "patient"):
            for one in answers(plant, stream).values():
                assert_gaps_are_told(one)


def test_newest_is_answered_though_the_agent_is_stopped_amid_overload(tmp_path: Path) -> None:
    pipeline = telemetry_pipeline("slow") | {"overload": "latest"}
    with (
        mosquitto(tmp_path / "broker", max_queued_messages=0) as broker,
        serving(make_gateway(tmp_path, broker.port, pipeline)) as plant,
    ):
        with halted(plant.gateway):
            send(plant, qos=1)
        plant.wait(lambda: plant.client.count("_inference"), "the first answer")
        assert plant.gateway.stop() == 0
        plant.gateway.start_serving()
        newest = set(range(ROWS - ASSETS, ROWS))
        plant.wait(lambda: newest <= answered_numbers(plant), "the newest of all assets")


def answered_numbers(plant: Plant) -> set[int]:
    return {one["timestamp"] - BASE_MS for one in plant.client.documents("_inference")}
