"""How far to believe a prediction is said with it, and a value that is not there is never frozen.

In all models here c0 counts once and must be there, c1 counts ten times and may be missing: the
model then takes 5 in its place.
"""

import json
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from models.bundle.manifest import Channel, WindowSpec
from models.bundle.package import Bundle
from tests.kit.broker.brokers import mosquitto
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.gateway.agent import Gateway, telemetry_pipeline
from tests.kit.gateway.plant import BASE_MS, OFTEN, Plant, serving

MAX_AGE_MS = 1000
REQUIRED = Channel(name="c0", valid_range=(-100.0, 100.0), missing="require")
IMPUTED = Channel(name="c1", valid_range=(-100.0, 100.0), missing="impute")
AGEING = IMPUTED.model_copy(update={"max_age_ms": MAX_AGE_MS})
PIPELINES: list[dict[str, object]] = [
    telemetry_pipeline("row", quality="q") | {"output": {"scalars": True}},
    telemetry_pipeline("ageing", topic="plant/{line}/{asset}/ageing"),
    telemetry_pipeline("long", topic="plant/{line}/{asset}/long"),
    telemetry_pipeline("counted", topic="plant/{line}/{asset}/counted"),
    {
        "stream": "sensors",
        "inputs": [
            {
                "topic": "plant/{line}/{asset}/sensors/{signal}",
                "dialect": "scalar",
                "value": "v",
                "timestamp": "ts",
                "quality": "q",
            }
        ],
        "output": {"topic": "plant/{line}/{asset}/_inference/{stream}"},
    },
]


def bundle(stream: str, optional: Channel = IMPUTED, window: WindowSpec | None = None) -> Bundle:
    return linear_bundle(
        stream, 1, [1.0, 10.0], median=5.0, channels=[REQUIRED, optional], window=window
    )


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    folder = tmp_path_factory.mktemp("quality")
    with mosquitto(folder / "broker") as broker:
        gateway = Gateway(folder / "gw", broker.port, PIPELINES, sections={"limits": OFTEN})
        gateway.keep(bundle("row"))
        gateway.keep(bundle("counted"))
        gateway.keep(bundle("ageing", AGEING))
        gateway.keep(bundle("long", window=WindowSpec(length=3, max_gap_ms=10_000)))
        gateway.keep(bundle("sensors", AGEING))
        with serving(gateway) as plant:
            yield plant
            plant.wait_for_metrics(waiting=0, dropped={})


class Asset:
    """An asset of a test's own, so that the tests of this module do not meet."""

    _numbers = count(1)

    def __init__(self, plant: Plant, stream: str, level: str = "") -> None:
        self._plant = plant
        self._name = f"plant/l1/a{next(self._numbers)}"
        self._level = level or stream
        self._output = f"{self._name}/_inference/{stream}"
        self._answered = 0

    def send(self, at_ms: int, **fields: object) -> None:
        """Publish a row, at so many milliseconds of the test's own time."""
        row = {"ts": BASE_MS + at_ms} | fields
        self._plant.client.publish(f"{self._name}/{self._level}", row)

    def sense(self, at_ms: int, signal: str, value: object, **fields: object) -> None:
        """Publish one sensor's reading."""
        reading = {"ts": BASE_MS + at_ms, "v": value} | fields
        self._plant.client.publish(f"{self._name}/sensors/{signal}", reading)

    def answer(self) -> tuple[float | None, str]:
        """Value and quality of the next prediction."""
        self._answered += 1
        number = self._answered
        plant = self._plant
        plant.wait(lambda: len(self._documents()) >= number, f"answer {number} on {self._output}")
        document = self._documents()[number - 1]
        return document["value"], document["quality"]

    def wait_for_scalar(self, level: str, *wanted: bytes) -> None:
        """Wait until these are all the plain values on a level below the prediction."""
        topic, client = f"{self._output}/{level}", self._plant.client

        def told() -> bool:
            return tuple(p for name, p in list(client.messages) if name == topic) == wanted

        self._plant.wait(told, f"{wanted} on {topic}")

    def _documents(self) -> list[dict[str, Any]]:
        messages = list(self._plant.client.messages)
        return [json.loads(payload) for topic, payload in messages if topic == self._output]


@pytest.fixture
def pump(plant: Plant) -> Asset:
    """Sends whole rows to `row`, at arm's length from all other tests."""
    asset = Asset(plant, "row", level="telemetry")
    asset.send(0, c0=1.0, c1=2.0)
    assert asset.answer() == (21.0, "GOOD")
    return asset


@pytest.mark.parametrize(
    "fields",
    [{}, {"c1": None}, {"c1": 100.5}, {"c1": -1e30}],
    ids=["missing", "null", "above-range", "far-below-range"],
)
def test_optional_signal_without_a_value_is_imputed_and_uncertain(
    pump: Asset, fields: dict[str, object]
) -> None:
    pump.send(1, c0=1.0, **fields)
    assert pump.answer() == (51.0, "UNCERTAIN")
    pump.send(2, c0=1.0, c1=3.0)
    assert pump.answer() == (31.0, "GOOD")


@pytest.mark.parametrize(
    "fields",
    [{}, {"c0": None}, {"c0": 100.5}, {"c0": 1.0, "q": "BAD"}, {"c0": 1.0, "q": 8}],
    ids=["missing", "null", "out-of-range", "bad", "bad-opc"],
)
def test_required_signal_without_a_value_gives_null_and_bad(
    pump: Asset, fields: dict[str, object]
) -> None:
    pump.send(1, c1=2.0, **fields)
    assert pump.answer() == (None, "BAD")
    pump.wait_for_scalar("value", b"21.0", b"")
    pump.wait_for_scalar("quality", b"GOOD", b"BAD")
    pump.send(2, c0=3.0, c1=2.0)
    assert pump.answer() == (23.0, "GOOD")


@pytest.mark.parametrize("quality", ["UNCERTAIN", 64, 0x4000_0000], ids=["word", "opc", "ua"])
def test_uncertain_input_is_used_and_said(pump: Asset, quality: object) -> None:
    pump.send(1, c0=3.0, c1=2.0, q=quality)
    assert pump.answer() == (23.0, "UNCERTAIN")


def test_last_value_counts_until_it_is_stale_and_then_not_at_all(plant: Plant) -> None:
    pump = Asset(plant, "ageing")
    pump.send(0, c0=1.0, c1=2.0)
    pump.send(MAX_AGE_MS, c0=1.0)
    pump.send(MAX_AGE_MS + 1, c0=1.0)
    pump.send(9 * MAX_AGE_MS, c0=4.0)
    pump.send(9 * MAX_AGE_MS + 1, c0=1.0, c1=3.0)
    assert [pump.answer() for _ in range(5)] == [
        (21.0, "GOOD"),
        (21.0, "GOOD"),
        (51.0, "UNCERTAIN"),
        (54.0, "UNCERTAIN"),
        (31.0, "GOOD"),
    ]


def test_window_is_as_good_as_its_worst_sample(plant: Plant) -> None:
    pump = Asset(plant, "long")
    for at_ms in (0, 1):
        pump.send(at_ms, c0=1.0, c1=2.0)
    pump.send(2, c0=1.0)
    pump.send(3, c1=2.0)
    for at_ms in range(4, 8):
        pump.send(at_ms, c0=1.0, c1=2.0)
    qualities = [pump.answer()[1] for _ in range(6)]
    assert qualities == ["UNCERTAIN", "BAD", "BAD", "BAD", "GOOD", "GOOD"]


def test_window_never_reaches_across_a_gap(plant: Plant) -> None:
    pump = Asset(plant, "long")
    for at_ms in (0, 1, 20_000, 20_001, 20_002):
        pump.send(at_ms, c0=float(at_ms % 100), c1=2.0)
    assert pump.answer() == (22.0, "GOOD")


def test_dead_optional_sensor_does_not_stop_predictions(plant: Plant) -> None:
    pump = Asset(plant, "sensors")
    pump.sense(0, "c0", 1.0)
    pump.sense(0, "c1", 2.0)
    assert pump.answer() == (21.0, "GOOD")
    for step in range(1, 7):  # a round ends when c0 reports again
        pump.sense(step * 400, "c0", float(step))
    answers = [pump.answer() for _ in range(5)]
    assert answers == [
        (21.0, "GOOD"),
        (22.0, "GOOD"),
        (53.0, "UNCERTAIN"),
        (54.0, "UNCERTAIN"),
        (55.0, "UNCERTAIN"),
    ]


def test_dead_required_sensor_is_said_with_every_prediction(plant: Plant) -> None:
    pump = Asset(plant, "sensors")
    pump.sense(0, "c1", 2.0)
    pump.sense(0, "c0", 1.0)
    assert pump.answer() == (21.0, "GOOD")
    for step in range(1, 5):
        pump.sense(step * 400, "c1", 2.0)
    assert [pump.answer() for _ in range(3)] == 3 * [(None, "BAD")]


def test_bad_sensor_makes_the_value_before_uncertain_and_then_stale(plant: Plant) -> None:
    pump = Asset(plant, "sensors")
    for at_ms, quality in ((0, "GOOD"), (400, "BAD"), (MAX_AGE_MS + 400, "BAD"), (3000, "GOOD")):
        pump.sense(at_ms, "c1", 2.0, q=quality)
        pump.sense(at_ms, "c0", 1.0)
    assert [pump.answer() for _ in range(4)] == [
        (21.0, "GOOD"),
        (21.0, "UNCERTAIN"),
        (51.0, "UNCERTAIN"),
        (21.0, "GOOD"),
    ]


def test_missing_signals_and_qualities_are_counted(plant: Plant) -> None:
    pump = Asset(plant, "counted")
    pump.send(0, c0=1.0)
    pump.send(1, c1=1.0)
    pump.send(2, c0=1.0, c1=1.0)
    expected = {
        "predictions": {"GOOD": 1, "UNCERTAIN": 1, "BAD": 1},
        "bad": {"input_missing": 1},
        "missing": {"c0": 1, "c1": 1},
        "refused": {},
        "unread": {},
        "unknown_states": {},
        "forgotten_assets": 0,
        "shed": 0,
        "retained": 0,
    }

    def counted() -> dict[str, Any]:
        metrics = plant.client.latest("millhand/gw1/metrics")
        told: dict[str, Any] = metrics["streams"]["counted"] if metrics else {"predictions": {}}
        return told if sum(told["predictions"].values()) == 3 else {}

    told = plant.wait(counted, "three predictions on metrics")
    assert told.pop("batch_ms") > 0
    # The model is not given the window of quality BAD, in a batch of its own or with the others.
    assert [sum(told.pop(one)["counts"]) for one in ("duration_us", "age_ms")] == [2, 3]
    assert told == expected
