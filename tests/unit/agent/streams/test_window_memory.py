"""Memory for each asset and signal is bounded, apart from the window itself."""

import gc
import json
import multiprocessing
import tracemalloc
from concurrent.futures import ProcessPoolExecutor

import pytest

from agent.config.settings import Limits
from agent.delivery.inputs import Input
from agent.streams.pipeline import Pipeline
from models.bundle.manifest import WindowSpec
from models.input.pipeline import Pipeline as PipelineSettings
from models.input.routes import Route
from serving.model import Model
from serving.mqtt.packets import Received
from serving.session import Session
from tests.kit.bundles.factories import make_channels
from tests.kit.bundles.graphs import linear_bundle

ASSETS, SIGNALS, LENGTH = 400, 8, 5
MAX_BYTES = 1000
T0_MS = 1_760_000_000_000
ALL_FRESH = WindowSpec(length=LENGTH)
ON_GRID = WindowSpec(length=LENGTH, sample_period_ms=1000, max_gap_ms=9000, trigger="period")


@pytest.mark.parametrize("spec", [ALL_FRESH, ON_GRID], ids=lambda spec: spec.trigger)
def test_asset_and_signal_take_less_than_a_kilobyte_beside_the_window(spec: WindowSpec) -> None:
    # In a process of its own: tracemalloc counts what other threads of this one allocate, too.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        taken = process.submit(bytes_taken, spec).result(timeout=100)
    window_bytes = LENGTH * 4
    assert window_bytes < taken <= window_bytes + MAX_BYTES


def bytes_taken(spec: WindowSpec) -> float:
    """Bytes that the agent holds for each signal of each asset, once their windows are full."""
    pipeline = serving(spec)
    routes: dict[str, Route] = {}
    feed(pipeline, routes, "warm-up")
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for number in range(ASSETS):
        feed(pipeline, routes, f"pump{number}")
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    assert len(routes) == (ASSETS + 1) * SIGNALS
    return (after - before) / (ASSETS * SIGNALS)


def serving(spec: WindowSpec) -> Pipeline:
    source = {"topic": "plant/{line}/{asset}/{signal}", "dialect": "scalar", "timestamp": "ts"}
    settings = PipelineSettings.model_validate({"stream": "mass", "inputs": [source]})
    channels = make_channels(SIGNALS, max_age_ms=5000)
    bundle = linear_bundle("mass", 1, [1.0] * SIGNALS, channels=channels, window=spec)
    pipeline = Pipeline(settings, Limits())
    pipeline.activate(Model(Session(bundle), bundle.sha256))
    return pipeline


def feed(pipeline: Pipeline, routes: dict[str, Route], asset: str) -> None:
    """Two windows of samples, one topic for each signal; routes are kept as the router does."""
    for number in range(LENGTH + 2):
        time_ms = T0_MS + 1000 * number
        for signal in range(SIGNALS):
            topic = f"plant/l1/{asset}/c{signal}"
            route = routes.get(topic) or pipeline.route(topic)
            assert route is not None
            routes[topic] = route
            payload = json.dumps({"ts": time_ms + signal, "value": number + signal / 7}).encode()
            message = Received(topic, payload, 0, False, False, time_ms * 1_000_000)  # noqa: FBT003 - live, for the first time
            pipeline.take(route, message, Input(0, (topic, payload)))
    assert pipeline.infer(lambda: T0_MS * 1_000_000)
