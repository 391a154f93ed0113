"""Which devices and streams are taken for gone, by a clock that the test sets."""

from functools import partial
from itertools import count
from typing import Any

from agent.config.settings import Limits
from agent.sparkplug.devices import Bounds, Devices
from agent.sparkplug.stream import Stream
from agent.sparkplug.topics import NodeTopics
from agent.streams.pipeline import Pipeline
from models.input.pipeline import Pipeline as PipelineSettings
from models.input.quality import Quality
from models.sparkplug.payload import Property
from serving.model import Model
from serving.prediction import Prediction
from serving.session import Session
from tests.kit.bundles.graphs import linear_bundle

MAX_AGE_NS = 100


class Clock:
    now_ns = 0

    def __call__(self) -> int:
        return self.now_ns


def stream(name: str, alias: Any) -> Stream:  # noqa: ANN401  a call
    source = {"topic": "plant/{asset}/telemetry", "dialect": "json"}
    settings = PipelineSettings.model_validate({"stream": name, "inputs": [source]})
    pipeline = Pipeline(settings, Limits())
    bundle = linear_bundle(name, 1, [1.0, 1.0])
    pipeline.activate(Model(Session(bundle), bundle.sha256))
    return Stream(pipeline, alias, lambda: 0)


def prediction(at_ms: int) -> Prediction:
    return Prediction(1.0, None, None, Quality.GOOD, at_ms, "", "l1/p0", 0.1, 0)


def test_silent_stream_of_a_living_device_is_stale_and_a_silent_device_dies() -> None:
    clock, alias = Clock(), partial(next, count(1))
    streams = [stream("life", alias), stream("mass", alias)]
    topics = NodeTopics("press-shop", "gw1")
    devices = Devices(streams, topics, alias, Bounds(10, 10, MAX_AGE_NS, 1.0), clock)
    for one in streams:
        devices.note(one, prediction(1))
    ((_, device),) = devices.unborn.items()
    assert len(list(device.birth())) == 6
    devices.unborn.clear()
    device.is_born = True
    clock.now_ns = MAX_AGE_NS + 1
    devices.heard(streams[0], "l1/p0")
    (gone,) = devices.age()
    assert gone is device.slots["mass"]
    (metric,) = gone.stale()
    assert (metric.value, metric.properties["Quality"]) == (1.0, Property(3, 500))
    assert list(devices.age()) == [], "it is told once"
    devices.note(streams[1], prediction(2))
    (metric, latency) = gone.news(devices.waiting[-1][1])
    assert (metric.value, dict(metric.properties)) == (1.0, {})
    assert latency.is_transient
    clock.now_ns *= 3
    assert list(devices.age()) == []
    assert list(devices.dying) == [device]
    assert not device.is_alive
