"""New versions while messages flow: nothing is lost, order is kept, the version changes once."""

import time
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from tests.kit.broker.brokers import mosquitto
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.bundles.published import Published
from tests.kit.gateway.agent import Gateway, telemetry_pipeline
from tests.kit.gateway.flow import Flow
from tests.kit.gateway.mqtt_client import PlantClient, push
from tests.kit.waiting import eventually

RATE = 2000
PUSHES = 10
ASSETS = 8


@pytest.fixture
def published(tmp_path: Path) -> Published:
    made = Published.create(tmp_path)
    made.publish(linear_bundle("mass", 1, [1.0, 10.0]))
    made.publish(linear_bundle("mass", 2, [1.0, 10.0], bias=1000.0))
    return made


def test_ten_pushes_at_2000_messages_a_second_lose_nothing(
    tmp_path: Path, published: Published, figure: Callable[[str], None]
) -> None:
    with (
        mosquitto(tmp_path / "broker", max_queued_messages=0) as broker,
        Gateway(
            tmp_path / "gw",
            broker.port,
            [telemetry_pipeline("mass")],
            registry=published.url,
            root=published.keys.root,
            sections={"updates": {"allow_downgrade": True}},
        ) as gateway,
        PlantClient(broker.port, ["plant/+/+/_inference/mass"]) as scada,
        PlantClient(broker.port, ["millhand/gw1/current/#"]) as control,
        PlantClient(broker.port) as plant,
    ):
        gateway.start_serving()
        eventually(lambda: _current(control)[0] == 2, message="the newest bundle serves")
        flow = Flow(plant, RATE, ASSETS, answered=lambda: scada.count("_inference"))
        flow.start()
        started = time.monotonic()
        seconds = []
        for number in range(PUSHES):
            seconds.append(_swap(control, plant, seq=1 + number % 2))
            _see_more(scada, RATE // 10)
        rate = len(flow.sent) / (time.monotonic() - started)
        flow.finish()
        eventually(lambda: scada.count("_inference") >= len(flow.sent), 60)
        answers = scada.documents("_inference")
    _check(answers, flow.sent)
    figure(
        f"swap: {PUSHES} pushes, {len(flow.sent)} inputs at {rate:.0f}/s, 0 lost, order kept; "
        f"push to serving median {median(seconds):.2f} s, worst {max(seconds):.2f} s"
    )


def _swap(control: PlantClient, plant: PlantClient, seq: int) -> float:
    pushed = time.monotonic()
    activity = push(plant, "mass", seq)
    eventually(lambda: _current(control) == (seq, activity), 20, f"current to say seq {seq}")
    return time.monotonic() - pushed


def _see_more(scada: PlantClient, count: int) -> None:
    """Wait for further predictions, so that the next push comes while rows flow."""
    wanted = scada.count("_inference") + count
    eventually(lambda: scada.count("_inference") >= wanted)


def _check(answers: list[dict[str, Any]], sent: list[tuple[str, int]]) -> None:
    assert len(answers) == len(sent), "each input has exactly one prediction"
    assert len({answer["id"] for answer in answers}) == len(sent)
    assert {(a["asset"], a["timestamp"]) for a in answers} == set(sent)
    for index in range(ASSETS):
        times = [a["timestamp"] for a in answers if a["asset"] == f"l1/p{index}"]
        assert times == sorted(times), "order is kept per asset"
    versions = [seq for seq, _ in groupby(answers, key=lambda answer: answer["seq"])]
    assert versions == [2, *[1 + number % 2 for number in range(PUSHES)]]
    for answer in answers:
        assert answer["value"] == (21.0 if answer["seq"] == 1 else 1021.0)


def _current(scada: PlantClient) -> tuple[int | None, str]:
    document = scada.latest("millhand/gw1/current/mass") or {"seq": None, "activity": ""}
    return document["seq"], document["activity"]
