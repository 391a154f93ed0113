"""Scalar topics that come at paces of their own, out of order: what is answered is as offline."""

import json
import random
from pathlib import Path

import numpy as np
import pytest

from models.bundle.manifest import WindowSpec
from models.windowing.asset_state import NS_PER_MS
from models.windowing.windows import Windows
from tests.kit.broker.brokers import mosquitto
from tests.kit.bundles.factories import make_channels
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.gateway.agent import Gateway
from tests.kit.gateway.mqtt_client import PlantClient
from tests.kit.waiting import eventually

T0_MS = 1_760_000_000_000
DISORDER_MS = 400
PUMPS = ("p1", "p2")
WEIGHTS = [1.0, 10.0]
CHANNELS = make_channels(2, max_age_ms=900)
WINDOW = WindowSpec(length=3, sample_period_ms=250, max_gap_ms=5000, trigger="period")
PIPELINE = {
    "stream": "mass",
    "disorder_ms": DISORDER_MS,
    "inputs": [
        {"topic": "plant/{asset}/{signal}", "dialect": "scalar", "timestamp": "ts"},
    ],
}
Reading = tuple[int, str, int, float]  # time, asset, channel, value


def test_answers_to_topics_out_of_order_are_those_of_the_readings_in_order(tmp_path: Path) -> None:
    dice = random.Random(11)  # noqa: S311 - the same plant every time
    readings = recorded(dice)
    arrivals = sorted(readings, key=lambda one: one[0] + dice.randrange(DISORDER_MS))
    ends = [(T0_MS + 90_000, asset, 0, 0.0) for asset in PUMPS]
    with (
        mosquitto(tmp_path / "broker") as broker,
        PlantClient(broker.port, ["plant/+/_inference/mass"]) as scada,
        PlantClient(broker.port) as plant,
        Gateway(tmp_path / "gw", broker.port, [PIPELINE]) as gateway,
    ):
        gateway.keep(linear_bundle("mass", 1, WEIGHTS, channels=CHANNELS, window=WINDOW))
        gateway.start_serving()
        for time_ms, asset, channel, value in [*arrivals, *ends]:
            payload = json.dumps({"ts": time_ms, "value": value}).encode()
            plant.publish(f"plant/{asset}/c{channel}", payload)
        wanted = offline(readings)
        eventually(lambda: len(scada.messages) >= len(wanted), 20, "every answer to come")
    assert arrivals != readings
    assert len(wanted) > 100
    told = [json.loads(payload) for _, payload in scada.messages]
    assert sorted((one["asset"], one["timestamp"], one["quality"]) for one in told) == [
        answer[:3] for answer in wanted
    ]
    values = {(one["asset"], one["timestamp"]): one["value"] for one in told}
    for asset, time_ms, quality, value in wanted:
        if quality == "GOOD":
            assert values[asset, time_ms] == pytest.approx(value, rel=1e-5)


def recorded(dice: random.Random) -> list[Reading]:
    """Twenty seconds of two assets: a fast signal, and a slow one that is silent for a while."""
    fast = [
        (T0_MS + at, asset, 0, dice.random()) for at in range(0, 20_000, 110) for asset in PUMPS
    ]
    slow = [
        (T0_MS + at, asset, 1, dice.random())
        for at in range(50, 20_000, 470)
        for asset in PUMPS
        if not 8_000 < at < 12_000
    ]
    return sorted(fast + slow)


def offline(readings: list[Reading]) -> list[tuple[str, int, str, float]]:
    """Asset, time, quality and value of every window of readings in order."""
    windows = Windows(WINDOW, CHANNELS)
    for time_ms, asset, channel, value in readings:
        windows.push(asset, time_ms * NS_PER_MS, (channel,), [value])
    batch = windows.take()
    return sorted(
        (asset, time_ns // NS_PER_MS, quality.name, float(values[-1] @ np.array(WEIGHTS)))
        for asset, time_ns, quality, values in zip(*batch, strict=True)
    )
