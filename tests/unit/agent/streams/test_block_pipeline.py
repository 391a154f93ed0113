"""Blocks from the payload to the prediction, with a real graph in a real session."""

import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from agent.config.settings import Limits
from agent.delivery.inputs import Input
from agent.streams.pipeline import Pipeline
from models.bundle.manifest import WindowSpec
from models.bundle.package import Bundle
from models.errors import ReadingError
from models.input.pipeline import Pipeline as PipelineSettings
from models.windowing import blocks
from serving.model import Model
from serving.mqtt.packets import Received
from serving.session import Session
from tests.kit.bundles.factories import make_channels
from tests.kit.bundles.graphs import linear_bundle

T0_MS = 1_760_000_000_000
NOW_NS = (T0_MS + 500_000) * 1_000_000
TOPIC = "plant/p1/vibration"
WEIGHTS = [1.0, 10.0, 100.0]
RAW = {"topic": "plant/{asset}/vibration", "dialect": "block", "encoding": "float32"}
TIMED = RAW | {"encoding": "json", "value": "v", "timestamp": "ts"}
AXES = TIMED | {"topic": "plant/{asset}/{signal}"}


def bundle(length: int = 4, hop: int = 4, *, seq: int = 1, **channel: object) -> Bundle:
    window = WindowSpec(length=length, hop=hop, sample_period_ms=0.5, max_gap_ms=10)
    channels = make_channels(3, **channel)
    return linear_bundle("mass", seq, WEIGHTS, window=window, channels=channels, median=50.0)


def serving(model: Bundle, *inputs: dict[str, Any], **limits: Any) -> Pipeline:  # noqa: ANN401  any limits
    settings = PipelineSettings.model_validate({"stream": "mass", "inputs": inputs})
    pipeline = Pipeline(settings, Limits(**limits))
    pipeline.activate(Model(Session(model), model.sha256))
    return pipeline


def take(
    pipeline: Pipeline, payload: bytes | dict[str, Any], topic: str = TOPIC, at_ns: int = NOW_NS
) -> None:
    if isinstance(payload, dict):
        payload = json.dumps(payload).encode()
    message = Received(topic, payload, 1, retained=False, repeated=False, at_ns=at_ns)
    route = pipeline.route(topic)
    assert route is not None
    pipeline.take(route, message, Input(1, (topic, payload)))


def answered(pipeline: Pipeline) -> list[dict[str, Any]]:
    return [json.loads(one.payload) for one in pipeline.infer(lambda: NOW_NS + 250_000)]


def signal(count: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).uniform(-50, 50, (count, 3)).astype("<f4")


def timed(number: int, rows: NDArray[np.float32], **more: object) -> dict[str, Any]:
    """A block of `len(rows)` samples, half a millisecond apart; `number` counts the blocks."""
    return {"ts": T0_MS + number * len(rows) / 2, "v": rows.tolist(), **more}


def test_predictions_over_blocks_equal_those_of_the_session_alone() -> None:
    model = bundle(4096, 1024)
    pipeline = serving(model, RAW)
    values = signal(4096 * 3)
    for start in range(0, len(values), 4096):
        take(pipeline, values[start : start + 4096].tobytes(), at_ns=NOW_NS + start * 500_000)
    windows = np.lib.stride_tricks.sliding_window_view(values, 4096, axis=0)[::1024]
    offline = Session(model).run(np.ascontiguousarray(windows.transpose(0, 2, 1)))
    answers = answered(pipeline)
    assert [one["value"] for one in answers] == offline["value"].tolist()
    assert {one["quality"] for one in answers} == {"GOOD"}


@pytest.mark.parametrize("at_a_time", [1, 2, 1000])
def test_windows_of_one_block_have_different_ids_and_always_the_same(
    at_a_time: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "MAX_BATCH_VALUES", at_a_time * 12)
    first, again = (serving(bundle(), TIMED) for _ in range(2))
    values = signal(12)
    for pipeline in (first, again):
        take(pipeline, timed(0, values), "plant/p1/vibration")
        take(pipeline, timed(0, values), "plant/p2/vibration")
    answers = answered(first)
    assert [one["asset"] for one in answers] == ["p1"] * 3 + ["p2"] * 3
    assert [one["timestamp"] - T0_MS for one in answers] == [1, 3, 5] * 2
    assert [one["value"] for one in answers[:3]] == pytest.approx(values[3::4] @ WEIGHTS, rel=1e-5)
    assert len({one["id"] for one in answers}) == 6
    assert [one["id"] for one in answered(again)] == [one["id"] for one in answers]


def test_block_of_another_content_has_another_id() -> None:
    answers = []
    for seed in (0, 1):
        pipeline = serving(bundle(), TIMED)
        take(pipeline, timed(0, signal(4, seed)))
        answers += answered(pipeline)
    assert answers[0]["timestamp"] == answers[1]["timestamp"]
    assert answers[0]["id"] != answers[1]["id"]


def test_block_without_a_time_ends_when_it_arrives() -> None:
    pipeline = serving(bundle(), RAW)
    for _ in range(2):  # both at the same moment, as after an outage
        take(pipeline, signal(4).tobytes())
    assert [one["timestamp"] for one in answered(pipeline)] == [NOW_NS // 1_000_000] * 2


def test_axes_of_one_asset_are_joined_over_topics() -> None:
    pipeline = serving(bundle(), AXES)
    for axis in ("c2", "c0"):
        take(pipeline, {"ts": T0_MS, "v": [1, 2, 3, 4]}, f"plant/p1/{axis}")
        assert answered(pipeline) == []
    assert pipeline.awaited("p1") == ["c1"]
    take(pipeline, {"ts": T0_MS, "v": [1, 2, 3, 5]}, "plant/p1/c1")
    assert [one["value"] for one in answered(pipeline)] == [4 + 50 + 400]


@pytest.mark.parametrize(
    ("missing", "answer"), [("impute", (2 + 500 + 100, "UNCERTAIN")), ("require", (None, "BAD"))]
)
@pytest.mark.parametrize("value", [None, 101.0, 1e300])
def test_value_that_is_none_is_missing(
    missing: str, answer: tuple[float | None, str], value: float | None
) -> None:
    pipeline = serving(bundle(missing=missing), TIMED)
    rows = [[1, 1, 1]] * 3
    take(pipeline, {"ts": T0_MS, "v": [*rows, [2, value, 1]]})
    take(pipeline, {"ts": T0_MS + 2, "v": [*rows, [2, 1, 1]]})
    first, second = ((one["value"], one["quality"]) for one in answered(pipeline))
    assert first == answer
    assert second == (112.0, "GOOD")
    assert pipeline.missing == {"c1": 1}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_raw_float_that_is_no_number_is_missing(value: float) -> None:
    pipeline = serving(bundle(), RAW)
    values = np.ones((4, 3), "<f4")
    values[3, 0] = value
    take(pipeline, values.tobytes())
    assert [(one["value"], one["quality"]) for one in answered(pipeline)] == [(160.0, "UNCERTAIN")]


def test_quality_of_a_block_is_that_of_its_windows() -> None:
    pipeline = serving(bundle(hop=2), TIMED | {"quality": "q"})
    for number, quality in enumerate(["good", "uncertain", "good", "bad", "good", "good"]):
        take(pipeline, timed(number, np.ones((2, 3), np.float32), q=quality))
    qualities = [one["quality"] for one in answered(pipeline)]
    assert qualities == ["UNCERTAIN"] * 4 + ["GOOD"]


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ({"ts": T0_MS, "v": []}, "block_length"),
        ({"ts": T0_MS, "v": [1] * 3 * (4 * blocks.MAX_HOPS + 1)}, "block_length"),
        ({"ts": 0, "v": [1, 2, 3]}, "time_past"),
        ({"ts": T0_MS + 10**9, "v": [1, 2, 3]}, "time_future"),
        ({"ts": T0_MS - 2, "v": [1] * 12}, "late"),
        ({"ts": T0_MS, "v": [1] * 12}, "duplicate"),
    ],
)
def test_bad_block_costs_itself_only(payload: dict[str, Any], reason: str) -> None:
    pipeline = serving(bundle(length=8), TIMED)
    values = signal(8)
    take(pipeline, timed(0, values[:4]))
    with pytest.raises(ReadingError) as caught:
        take(pipeline, payload)
    assert caught.value.reason == reason
    take(pipeline, timed(1, values[4:]))
    assert [one["quality"] for one in answered(pipeline)] == ["GOOD"]


def test_next_model_of_the_same_windows_keeps_those_under_way() -> None:
    pipeline = serving(bundle(length=8), TIMED)
    take(pipeline, timed(0, signal(4)))
    following = bundle(length=8, seq=2)
    assert pipeline.activate(Model(Session(following), following.sha256))
    take(pipeline, timed(1, signal(4)))
    assert [one["seq"] for one in answered(pipeline)] == [2]
    other = bundle(length=6, seq=3)
    assert not pipeline.activate(Model(Session(other), other.sha256))


def test_least_recent_asset_makes_room() -> None:
    pipeline = serving(bundle(), TIMED, max_assets=1)
    for asset in ("p1", "p2", "p1"):
        take(pipeline, timed(0, signal(4)), f"plant/{asset}/vibration")
    assert len(answered(pipeline)) == 3
    assert pipeline.forgotten_assets == 2
