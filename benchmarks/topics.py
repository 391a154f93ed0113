"""The cost of a message with one signal, at 8 topics of one asset and at 10,000 of 1,250 assets.

    python -m benchmarks.topics

It is measured from the bytes of PUBLISHes to the window, in one process, without a broker and
without a model. The two cases take turns, and processor time is measured, so that the ratio is
valid on a busy machine too.
"""

import gc
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from statistics import median
from time import thread_time_ns
from typing import Any, Literal, cast

import numpy as np

from agent.config.settings import Limits
from agent.delivery.at_least_once import Delivery
from agent.streams.pipeline import Pipeline
from agent.streams.router import Router
from models.bundle.budget import Budget
from models.bundle.manifest import (
    Channel,
    GoldenSpec,
    Lineage,
    Manifest,
    Metrics,
    Output,
    WindowSpec,
)
from models.input.pipeline import Pipeline as PipelineSettings
from serving.model import Model
from serving.mqtt.packets import MQTT_5
from serving.mqtt.reader import Reader

SIGNALS, ROUNDS, BLOCK, BATCH = 8, 30, 10_000, 256
T0_MS = 1_760_000_000_000
Trigger = Literal["all_fresh", "every_reading", "period"]


class Idle:
    """Takes the place of a session, and answers zero."""

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest

    def run(self, values: Any) -> dict[str, Any]:  # noqa: ANN401  the signature of a session
        """Return a zero for each window."""
        return {"value": np.zeros(len(values), np.float32)}


class Plant:
    """Assets that publish each signal on a topic of its own once a second, and a router."""

    def __init__(self, topics: int, trigger: Trigger, disorder_ms: int) -> None:
        self._topics = [f"plant/l1/pump{n // SIGNALS}/c{n % SIGNALS}" for n in range(topics)]
        self._numbers = count()
        self._reader = Reader(MQTT_5, 1 << 20)
        limits = Limits(max_future_s=3e7)
        pipeline = Pipeline(_settings(disorder_ms), limits)
        pipeline.activate(Model(cast("Any", Idle(_manifest(trigger))), "0" * 64))
        delivery = Delivery(limits.max_in_flight, limits.max_outbox)
        self._router = Router({"bench": pipeline}, lambda *_: False, delivery, limits, lambda _: 0)

    def run(self) -> float:
        """Return the processor time of a message, nanoseconds."""
        self._reader.feed(b"".join(self._packets()))
        gc.collect()
        gc.disable()
        started_ns = thread_time_ns()
        while messages := self._reader.read(BATCH, T0_MS * 1_000_000).received:
            self._router.handle(messages, lambda: 0)
        taken_ns = thread_time_ns() - started_ns
        gc.enable()
        return taken_ns / BLOCK

    def _packets(self) -> Iterator[bytes]:
        for number in (next(self._numbers) for _ in range(BLOCK)):
            second, position = divmod(number, len(self._topics))
            topic = self._topics[position].encode()
            payload = b'{"value": 4.25, "ts": %d}' % (T0_MS + second * 1000)
            body = len(topic).to_bytes(2, "big") + topic + b"\0" + payload
            yield b"\x30" + bytes([len(body)]) + body


def _settings(disorder_ms: int) -> PipelineSettings:
    source = {"topic": "plant/{line}/{asset}/{signal}", "dialect": "scalar", "timestamp": "ts"}
    return PipelineSettings.model_validate(
        {"stream": "bench", "inputs": [source], "disorder_ms": disorder_ms}
    )


def _manifest(trigger: Trigger) -> Manifest:
    """Return the manifest of a model that is never run, for windows and predictions."""
    grid = {"sample_period_ms": 1000, "max_gap_ms": 10_000} if trigger == "period" else {}
    return Manifest(
        stream="bench",
        name="none",
        version="1.0.0",
        seq=1,
        created=datetime.now(UTC),
        task="regression",
        channels=tuple(Channel(name=f"c{index}") for index in range(SIGNALS)),
        window=WindowSpec(length=60, hop=60, trigger=trigger, **grid),
        outputs=(Output(name="value", dtype="float32", meaning="nothing"),),
        golden=GoldenSpec(count=1),
        metrics=Metrics(split="none", test_rows=0, values={}),
        lineage=Lineage(data={}, code_version="0", seed=0),
        budget=Budget(latency_ms_p99=1.0, model_bytes=0),
    )


def main() -> None:
    """Print both costs and their ratio, for each trigger of windows."""
    cases: list[tuple[Trigger, int]] = [("all_fresh", 0), ("period", 0), ("period", 2000)]
    for trigger, disorder_ms in cases:
        few, many = (Plant(topics, trigger, disorder_ms) for topics in (SIGNALS, 10_000))
        for plant in (few, many, few, many):
            plant.run()
        turns = [(few.run(), many.run()) for _ in range(ROUNDS)]
        ratio = median(many_ns / few_ns for few_ns, many_ns in turns)
        print(
            f"{trigger}, disorder {disorder_ms} ms: {median(few_ns for few_ns, _ in turns):.0f} ns "
            f"with {SIGNALS} topics, {median(many_ns for _, many_ns in turns):.0f} ns with 10,000: "
            f"{ratio:.2f}x"
        )


if __name__ == "__main__":
    main()
