"""Vibration in blocks, through a real broker and a real agent, against the graph alone."""

import base64
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.bundle.manifest import Channel, WindowSpec
from models.bundle.package import Bundle
from serving.session import Session
from tests.kit.broker.brokers import mosquitto
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.gateway.agent import Gateway
from tests.kit.gateway.plant import BASE_MS, OFTEN, Plant, serving

COUNT = 4096
BLOCKS = 3
RATE_HZ = 25_600
WINDOW = WindowSpec(length=COUNT, hop=COUNT // 2, sample_period_ms=1000 / RATE_HZ, max_gap_ms=100)
AXES = tuple(Channel(name=axis, unit="m/s2", valid_range=(-160.0, 160.0)) for axis in "xyz")
OUTPUT = {"topic": "plant/{line}/{asset}/_inference/{stream}"}


def pipeline(stream: str, encoding: str, level: str = "", **paths: str) -> dict[str, object]:
    topic = f"plant/{{line}}/{{asset}}/{stream}{level}"
    source = {"topic": topic, "dialect": "block", "encoding": encoding, **paths}
    return {"stream": stream, "inputs": [source], "output": OUTPUT}


PIPELINES = [
    pipeline("raw", "float32"),
    pipeline("raw-axes", "float32", "/{signal}"),
    pipeline("text", "base64", value="v", timestamp="ts", quality="q"),
    pipeline("numbers", "json", value="v", timestamp="ts"),
    pipeline("arrays", "json", timestamp="ts"),
    pipeline("axes", "base64", "/{signal}", value="v", timestamp="ts"),
    pipeline("broken", "base64", value="v", timestamp="ts"),
]


def model(stream: str) -> Bundle:
    return linear_bundle(stream, 1, [1.0, 10.0, 100.0], channels=AXES, window=WINDOW, median=0.5)


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    folder = tmp_path_factory.mktemp("blocks")
    with mosquitto(folder / "broker") as broker:
        gateway = Gateway(folder / "gw", broker.port, PIPELINES, sections={"limits": OFTEN})
        for one in PIPELINES:
            gateway.keep(model(str(one["stream"])))
        with serving(gateway) as plant:
            yield plant


@pytest.fixture(scope="module")
def signal() -> NDArray[np.float32]:
    """What the three axes measured, float32 `[BLOCKS * COUNT, 3]`."""
    return np.random.default_rng(3).normal(0, 20, (BLOCKS * COUNT, 3)).astype("<f4")


def cut(signal: NDArray[np.float32]) -> Iterator[tuple[float, NDArray[np.float32]]]:
    """Each block with the time of its first sample in milliseconds."""
    for start in range(0, len(signal), COUNT):
        yield BASE_MS + start * 1000 / RATE_HZ, signal[start : start + COUNT]


def encoded(values: NDArray[np.float32]) -> str:
    return base64.b64encode(values.tobytes()).decode()


def offline(signal: NDArray[np.float32]) -> list[float]:
    """What the graph alone says of every window."""
    windows = np.lib.stride_tricks.sliding_window_view(signal, COUNT, axis=0)[:: WINDOW.hop]
    session = Session(model("offline"))
    answers: list[float] = session.run(np.ascontiguousarray(windows.transpose(0, 2, 1)))[
        "value"
    ].tolist()
    return answers


def answers(plant: Plant, stream: str, count: int, asset: str = "l1/p1") -> list[dict[str, Any]]:
    topic = f"plant/{asset}/_inference/{stream}"
    plant.wait(lambda: plant.client.count(topic) >= count, f"{count} answers on {topic}")
    found = plant.client.documents(topic)
    assert len(found) == count
    assert len({one["id"] for one in found}) == count
    return found


def assert_equal(found: list[dict[str, Any]], signal: NDArray[np.float32]) -> None:
    assert [one["value"] for one in found] == offline(signal)
    assert {one["quality"] for one in found} == {"GOOD"}
    ends = [COUNT - 1 + number * WINDOW.hop for number in range(len(found))]
    assert [one["timestamp"] for one in found] == [
        (BASE_MS * 10**6 + round(end * 10**9 / RATE_HZ)) // 10**6 for end in ends
    ]


def test_raw_floats_of_three_axes(plant: Plant, signal: NDArray[np.float32]) -> None:
    for _, block in cut(signal):
        plant.client.publish("plant/l1/p1/raw", block.tobytes())
    found = answers(plant, "raw", 5)
    assert [one["value"] for one in found] == offline(signal)
    assert {one["quality"] for one in found} == {"GOOD"}
    times = [one["timestamp"] for one in found]
    assert times == sorted(times)


def test_raw_floats_with_a_topic_for_each_axis(plant: Plant, signal: NDArray[np.float32]) -> None:
    for _, block in cut(signal):
        for index, axis in enumerate("xyz"):
            plant.client.publish(f"plant/l1/p1/raw-axes/{axis}", block[:, index].tobytes())
    assert [one["value"] for one in answers(plant, "raw-axes", 5)] == offline(signal)


def test_base64_with_time_and_quality(plant: Plant, signal: NDArray[np.float32]) -> None:
    for time_ms, block in cut(signal):
        plant.client.publish("plant/l1/p1/text", {"ts": time_ms, "v": encoded(block), "q": "good"})
    assert_equal(answers(plant, "text", 5), signal)


@pytest.mark.parametrize("nested", [True, False])
def test_json_numbers(plant: Plant, signal: NDArray[np.float32], *, nested: bool) -> None:
    asset = f"l1/nested-{nested}"
    for time_ms, block in cut(signal):
        values = block.tolist() if nested else block.ravel().tolist()
        plant.client.publish(f"plant/{asset}/numbers", {"ts": time_ms, "v": values})
    assert_equal(answers(plant, "numbers", 5, asset), signal)


def test_json_array_for_each_axis(plant: Plant, signal: NDArray[np.float32]) -> None:
    for time_ms, block in cut(signal):
        axes = {axis: block[:, index].tolist() for index, axis in enumerate("xyz")}
        plant.client.publish("plant/l1/p1/arrays", {"ts": time_ms, **axes})
    assert_equal(answers(plant, "arrays", 5), signal)


def test_lost_axis_is_missing_and_the_others_stay_together(
    plant: Plant, signal: NDArray[np.float32]
) -> None:
    for number, (time_ms, block) in enumerate(cut(signal)):
        for index, axis in enumerate("zyx"):
            if (number, axis) != (1, "y"):
                document = {"ts": time_ms + index, "v": encoded(block[:, [2 - index]])}
                plant.client.publish(f"plant/l1/p1/axes/{axis}", document)
    found = answers(plant, "axes", 5)
    lost = signal.copy()
    lost[COUNT : 2 * COUNT, 1] = np.nan
    assert [one["value"] for one in found] == offline(lost)
    qualities = [one["quality"] for one in found]
    assert qualities == ["GOOD", "UNCERTAIN", "UNCERTAIN", "UNCERTAIN", "GOOD"]


def test_bad_blocks_are_counted_and_cost_themselves_only(
    plant: Plant, signal: NDArray[np.float32]
) -> None:
    send = plant.client.publish
    topic = "plant/l1/p1/broken"
    blocks = list(cut(signal))
    bad: dict[str, dict[str, Any]] = {
        "not_base64": {"ts": BASE_MS, "v": "!" * 40},
        "block_length": {"ts": BASE_MS, "v": encoded(signal.ravel()[:4])},
        "no_signal": {"ts": BASE_MS},
        "late": {"ts": BASE_MS - 10_000, "v": encoded(blocks[0][1])},
        "duplicate": {"ts": blocks[1][0], "v": encoded(blocks[1][1])},
    }
    for time_ms, block in blocks[:2]:
        send(topic, {"ts": time_ms, "v": encoded(block)})
    for document in bad.values():
        send(topic, document)
    holed = blocks[2][1].copy()
    holed[-1] = [np.nan, np.inf, 1e30]
    send(topic, {"ts": blocks[2][0], "v": encoded(holed)})
    send("plant/l1/p1/raw-axes/x", blocks[0][1].tobytes()[:-1])
    found = answers(plant, "broken", 5)
    cleaned = signal.copy()
    cleaned[-1] = np.nan
    assert [one["value"] for one in found] == offline(cleaned)
    assert [one["quality"] for one in found] == ["GOOD"] * 4 + ["UNCERTAIN"]
    wanted = {**dict.fromkeys(bad, 1), "block_length": 2}
    metrics = plant.wait_for_metrics(dropped=wanted)
    assert metrics["streams"]["broken"]["missing"] == {"x": 1, "y": 1, "z": 1}
