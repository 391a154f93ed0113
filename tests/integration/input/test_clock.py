"""A gateway whose clock is wrong, and set right: nothing stalls, nothing goes back."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kit.broker.brokers import mosquitto
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.gateway.agent import Gateway, telemetry_pipeline
from tests.kit.gateway.plant import OFTEN, Plant, serving
from tests.kit.gateway.system_clock import SystemClock

HOUR_MS = 3_600_000
MINUTE_MS = 60_000
PIPELINES: list[dict[str, object]] = [
    telemetry_pipeline("timed"),
    telemetry_pipeline("arriving", topic="plant/{line}/{asset}/arriving", timestamp=""),
]


class Site:
    """A gateway with a clock of its own, and rows for it by source time and by arrival."""

    def __init__(self, plant: Plant, clock: SystemClock) -> None:
        self.plant = plant
        self.clock = clock
        self.counts = {"telemetry": 0, "arriving": 0}

    def answer(self, kind: str, ahead_ms: int = 0) -> dict[str, Any]:
        """The answer to a row of the kind, whose source is so far ahead of the true time."""
        row = {"ts": round(time.time() * 1000) + ahead_ms, "c0": 1.0, "c1": 2.0}
        self.plant.client.publish(f"plant/l1/{kind}/{kind}", row)
        self.counts[kind] += 1
        topic = f"{kind}/_inference"
        answer = self.plant.client.wait_for(topic, self.counts[kind])[-1]
        assert 0 <= answer["latency_ms"] < MINUTE_MS
        return answer


@pytest.fixture
def clock(tmp_path: Path) -> SystemClock:
    return SystemClock(tmp_path / "clock")


@pytest.fixture
def site(tmp_path: Path, clock: SystemClock) -> Iterator[Site]:
    """A gateway that starts in 1970."""
    clock.set_by(-time.time_ns())
    with mosquitto(tmp_path / "broker") as broker:
        gateway = Gateway(tmp_path / "gw", broker.port, PIPELINES, sections={"limits": OFTEN})
        gateway.environment = clock.environment
        for stream in ("timed", "arriving"):
            gateway.keep(linear_bundle(stream, 1, [1.0, 10.0]))
        with serving(gateway) as plant:
            yield Site(plant, clock)


def test_clock_that_starts_in_1970_and_is_set_stalls_nothing(site: Site) -> None:
    assert site.answer("telemetry")["value"] == 21.0
    assert 0 <= site.answer("arriving")["timestamp"] < HOUR_MS
    site.clock.set_by(0)
    assert abs(site.answer("telemetry")["input_age_ms"]) < MINUTE_MS
    assert abs(site.answer("arriving")["timestamp"] - time.time() * 1000) < MINUTE_MS
    site.plant.wait_for_metrics(received=4, predicted=4, waiting=0)


def test_clock_that_is_an_hour_ahead_and_set_back_stalls_nothing(site: Site) -> None:
    site.clock.set_by(HOUR_MS * 1_000_000)
    assert abs(site.answer("telemetry")["input_age_ms"] - HOUR_MS) < MINUTE_MS
    early = site.answer("arriving")["timestamp"]
    site.clock.set_by(0)
    assert abs(site.answer("telemetry")["input_age_ms"]) < MINUTE_MS
    late = site.answer("arriving")
    assert early <= late["timestamp"] < early + MINUTE_MS, "goes on without a step"
    assert abs(late["input_age_ms"] + HOUR_MS) < MINUTE_MS, "and says that it is ahead"
    site.plant.client.publish(
        "plant/l1/telemetry/telemetry", {"ts": round(time.time() * 1000) + HOUR_MS // 2, "c0": 1.0}
    )
    told = site.plant.wait_for_metrics(received=5, predicted=4, waiting=0)
    assert told["dropped"] == {"time_future": 1}, "measured by the clock that was set right"
