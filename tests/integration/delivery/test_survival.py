"""Windows survive kill -9: what is answered equals what an agent that never died would answer."""

import json
import random
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from models.bundle.manifest import WindowSpec
from models.windowing.windows import Windows
from tests.kit.broker.brokers import mosquitto
from tests.kit.bundles.factories import make_channels
from tests.kit.bundles.graphs import history_bundle
from tests.kit.gateway.agent import Gateway, telemetry_pipeline
from tests.kit.gateway.mqtt_client import PlantClient
from tests.kit.waiting import eventually

BASE_MS = 1_760_000_000_000
KILLS = 8
A_LIFE = 150
ASSETS = 5
LENGTH, HOP = 7, 3
WEIGHTS = (np.arange(LENGTH * 2).reshape(LENGTH, 2) / 16 + 0.0625).astype(np.float32)


def rows(count: int) -> Iterator[tuple[str, int, list[float]]]:
    """Asset, time and values of row after row; no two windows of them have the same answer."""
    for number in range(count):
        yield f"l1/p{number % ASSETS}", BASE_MS + 100 * number, [number / 64, (number**2 % 97) / 4]


def expected(count: int) -> dict[tuple[str, int], float]:
    """What windows that were never interrupted come to, by asset and time."""
    spec = WindowSpec(length=LENGTH, hop=HOP)
    windows = Windows(spec, make_channels(2))
    for asset, ts, values in rows(count):
        windows.push(asset, ts * 1_000_000, (0, 1), values)
    batch = windows.take()
    answers = np.tensordot(batch.values, WEIGHTS, 2)
    keys = zip(batch.assets, (at // 1_000_000 for at in batch.times_ns), strict=True)
    return dict(zip(keys, answers.tolist(), strict=True))


@pytest.mark.parametrize("shape", ["json", "scalar"])
def test_kills_change_no_answer_of_a_window(shape: str, tmp_path: Path) -> None:
    dice = random.Random(3)  # noqa: S311 - the same moments every time
    pipeline = telemetry_pipeline("mass")
    if shape == "scalar":
        pipeline = {
            "stream": "mass",
            "inputs": [
                {
                    "topic": "plant/{line}/{asset}/{signal}",
                    "dialect": "scalar",
                    "value": "v",
                    "timestamp": "ts",
                }
            ],
            "output": {"topic": "plant/{line}/{asset}/_inference/{stream}"},
        }
    with (
        mosquitto(tmp_path / "broker", max_queued_messages=0) as broker,
        PlantClient(broker.port, ["plant/+/+/_inference/mass"]) as scada,
        PlantClient(broker.port) as plant,
        Gateway(tmp_path / "gw", broker.port, [pipeline]) as gateway,
    ):
        gateway.keep(history_bundle("mass", 1, WEIGHTS, HOP))
        gateway.start_serving()
        count = KILLS * A_LIFE
        for number, (asset, ts, values) in enumerate(rows(count)):
            if shape == "json":
                row = {"ts": ts, "c0": values[0], "c1": values[1]}
                plant.publish(f"plant/{asset}/telemetry", row)
            else:
                for index, value in enumerate(values):
                    plant.publish(f"plant/{asset}/c{index}", {"ts": ts, "v": value})
            if number % A_LIFE == A_LIFE - 1:
                more = dice.randrange(20)
                scada.wait_for("_inference", min(len(scada.messages) + more, len(expected(number))))
                gateway.kill()
                gateway.start_serving()
        plant.flush()
        wanted = expected(count)
        answers = Answers(scada)
        eventually(lambda: set(answers.read()) >= set(wanted), 30, "every window to be answered")
        gateway.stop()
    assert answers.values.keys() == wanted.keys(), "a window that nobody made"
    for key, value in wanted.items():
        assert answers.values[key] == pytest.approx([value] * len(answers.values[key]), rel=1e-4)
    assert all(len(ids) == 1 for ids in answers.ids.values())


class Answers:
    """Predictions that SCADA has seen, by asset and time."""

    def __init__(self, scada: PlantClient) -> None:
        self.values: dict[tuple[str, int], list[float]] = defaultdict(list)
        self.ids: dict[tuple[str, int], set[str]] = defaultdict(set)
        self._scada = scada
        self._count = 0

    def read(self) -> dict[tuple[str, int], list[float]]:
        for _, payload in self._scada.messages[self._count :]:
            document = json.loads(payload)
            key = (document["asset"], document["timestamp"])
            self.values[key].append(document["value"])
            self.ids[key].add(document["id"])
            self._count += 1
        return self.values
