"""A heavy model beside a light one: both answer all, each in its order."""

from pathlib import Path

from tests.kit.broker.brokers import mosquitto
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.gateway.agent import Gateway, telemetry_pipeline
from tests.kit.gateway.plant import BASE_MS, OFTEN, Plant, serving

ROWS = 300
HEAVY_EACH = 3


def make_gateway(folder: Path, port: int) -> Gateway:
    pipelines = [
        telemetry_pipeline("heavy", topic="plant/{line}/{asset}/heavy"),
        telemetry_pipeline("light", topic="plant/{line}/{asset}/light"),
    ]
    sections = {"limits": OFTEN | {"max_batch": 16}}
    gateway = Gateway(folder / "gw", port, pipelines, sections=sections)
    gateway.keep(linear_bundle("heavy", 1, [1.0, 10.0], layers=100))
    gateway.keep(linear_bundle("light", 1, [2.0, 10.0]))
    return gateway


def numbers(plant: Plant, stream: str) -> list[int]:
    """Which rows were answered, in order; the value of each must be right."""
    told = plant.client.documents(f"_inference/{stream}")
    weight = 1 if stream == "heavy" else 2
    found = [one["timestamp"] - BASE_MS for one in told]
    assert [one["value"] for one in told] == [n % 100 * weight + 10.0 for n in found]
    return found


def test_heavy_and_light_model_answer_all_in_order(tmp_path: Path) -> None:
    with (
        mosquitto(tmp_path / "broker", max_queued_messages=0) as broker,
        serving(make_gateway(tmp_path, broker.port)) as plant,
    ):
        for number in range(ROWS):
            kind = "light" if number % HEAVY_EACH else "heavy"
            row = {"ts": BASE_MS + number, "c0": float(number % 100), "c1": 1.0}
            plant.client.publish(f"plant/l1/p1/{kind}", row)
        metrics = plant.wait_for_metrics(received=ROWS, predicted=ROWS, waiting=0)
        assert numbers(plant, "heavy") == list(range(0, ROWS, HEAVY_EACH))
        assert numbers(plant, "light") == [n for n in range(ROWS) if n % HEAVY_EACH]
        times = {name: one["batch_ms"] for name, one in metrics["streams"].items()}
        assert times["light"] < times["heavy"]
