"""Drift is in the metrics, and once in the log; it changes no answer."""

import json
import logging
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from agent.config.settings import Limits
from agent.delivery.inputs import Input
from agent.streams.drift import BURST, RATE, DriftWatch
from agent.streams.pipeline import Pipeline
from models.bundle.reference import Reference
from models.input.pipeline import Pipeline as PipelineSettings
from models.input.quality import Quality
from models.windowing.windows import Batch
from serving.model import Model
from serving.mqtt.packets import Received
from serving.session import Session
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.undisturbed import CHANNELS, WIDTH, reference, repeating

T0_MS = 1_760_000_000_000
BUNDLE = linear_bundle("rul", 1, [1 / WIDTH] * WIDTH, channels=CHANNELS)


@pytest.fixture(scope="module")
def known() -> Reference:
    return reference(repeating(0.0, 20_000, 0), 200)


def serving(known: Reference | None) -> Pipeline:
    source = {"topic": "t/{asset}", "timestamp": "ts"}
    settings = PipelineSettings.model_validate({"stream": "rul", "inputs": [source]})
    pipeline = Pipeline(settings, Limits())
    pipeline.activate(Model(Session(BUNDLE), BUNDLE.sha256, known))
    return pipeline


def answered(pipeline: Pipeline, values: NDArray[np.float32], start: int = 0) -> list[bytes]:
    """Payloads of the predictions for rows that arrive one in each turn."""
    route = pipeline.route("t/pump")
    assert route is not None
    payloads = []
    for number, row in enumerate(values.tolist(), start):
        at_ms = T0_MS + number * 1000
        fields = {f"s{index}": value for index, value in enumerate(row)}
        payload = json.dumps({"ts": at_ms, **fields}).encode()
        at_ns = at_ms * 1_000_000
        message = Received("t/pump", payload, 0, retained=False, repeated=False, at_ns=at_ns)
        pipeline.take(route, message, Input(0, ("t/pump", payload)))
        payloads += [one.payload for one in pipeline.infer(lambda at_ns=at_ns: at_ns)]  # type: ignore[misc]  # mypy cannot infer a lambda with a default
    return payloads


def test_drift_is_in_the_metrics_and_once_in_the_log(
    known: Reference, caplog: pytest.LogCaptureFixture
) -> None:
    pipeline = serving(known)
    values = repeating(0.0, 1400, 5)
    with caplog.at_level(logging.INFO, "millhand"):
        answered(pipeline, values[:100])
        assert pipeline.drift["drift"]["worst"] is None
        answered(pipeline, values[100:400], 100)
        calm = pipeline.drift["drift"]
        assert (calm["alarm"], calm["watched"], caplog.messages) == (False, 1, [])
        assert 0 < calm["ratio"] < 1
        moved = values[400:900].copy()
        moved[:, 1] += 4
        answered(pipeline, moved, 400)
        snapshot = pipeline.drift["drift"]
        assert (snapshot["alarm"], snapshot["worst"], snapshot["asset"]) == (True, "s1", "pump")
        assert snapshot["ratio"] > 1
        answered(pipeline, values[900:], 900)
        assert pipeline.drift["drift"]["alarm"] is False
    assert caplog.messages == ["drift began", "drift ended"]


def test_answers_are_the_same_with_and_without_it(known: Reference) -> None:
    values = repeating(0.0, 300, 5) + np.float32(9)

    def without_times(pipeline: Pipeline) -> list[dict[str, Any]]:
        documents = [json.loads(payload) for payload in answered(pipeline, values)]
        return [{k: v for k, v in one.items() if not k.endswith("_ms")} for one in documents]

    assert without_times(serving(known)) == without_times(serving(None))


def test_bundle_without_a_reference_has_no_drift() -> None:
    pipeline = serving(None)
    answered(pipeline, repeating(0.0, 10, 5))
    assert pipeline.drift == {}


def batch(values: NDArray[np.float32], quality: Quality = Quality.GOOD) -> Batch:
    count = len(values)
    return Batch(["pump"] * count, [0] * count, [quality] * count, values[:, np.newaxis])


def test_windows_that_the_model_was_not_given_do_not_count(known: Reference) -> None:
    watch = DriftWatch("rul", known)
    values = np.full((400, WIDTH), np.nan, np.float32)
    watch.note(batch(values, Quality.BAD), [None] * 400, 0)
    assert watch.snapshot() == {
        "alarm": False,
        "worst": None,
        "view": None,
        "asset": None,
        "ratio": None,
        "watched": 0,
        "unwatched": 0,
    }


def test_flood_is_watched_at_a_bounded_rate_and_a_change_in_it_is_found(known: Reference) -> None:
    """Two assets in turn: neither is always left out."""
    watch, fed, at_ns = DriftWatch("rul", known), 0, 0
    values = repeating(0.0, 64, 6)
    values[:, 2] += 5
    names = ["a", "b"] * 32
    for _ in range(4000):  # 128,000 a second for two seconds
        at_ns += 500_000
        counted = watch.counted
        watch.note(batch(values)._replace(assets=names), [0.0] * 64, at_ns)
        fed += watch.counted - counted
    assert fed <= BURST + 2 * RATE + 1
    snapshot = watch.snapshot()
    assert (snapshot["alarm"], snapshot["worst"], snapshot["watched"]) == (True, "s2", 2)
