"""The edge node alone, turned by a test, with streams whose predictions a test makes up."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

from agent.config.settings import Settings
from agent.sparkplug.assembly import edge_node
from agent.sparkplug.node import EdgeNode
from agent.streams.pipeline import Pipeline
from models.input.quality import Quality
from serving.model import Model
from serving.prediction import Prediction
from serving.session import Session
from serving.worker import Workers
from tests.kit.broker.brokers import HOST
from tests.kit.broker.scripted import ScriptedBroker
from tests.kit.bundles.graphs import linear_bundle
from tests.kit.sparkplug.host import GROUP, NODE
from tests.kit.waiting import eventually

T0_MS = 1_760_000_000_000


class RunningNode:
    """An edge node on a socket.

    Attributes:
        node: the node.
    """

    def __init__(self, node: EdgeNode, pipelines: Mapping[str, Pipeline], workers: Workers) -> None:
        self.node, self._pipelines, self._workers = node, pipelines, workers
        self._times = 0

    def predict(
        self,
        asset: str,
        value: float | None = 1.0,
        *,
        stream: str = "life",
        quality: Quality = Quality.GOOD,
        before_ms: int = 0,
    ) -> int:
        """Make up the next prediction, a millisecond after the last; returns its event time.

        Args:
            asset: key of the asset.
            value: the answer; None for none, with the reason `input_missing`.
            stream: name of the stream.
            quality: quality of the answer.
            before_ms: milliseconds by which it is older than it would be otherwise.
        """
        self._times += 1
        at_ms = T0_MS + self._times - before_ms
        tap = self._pipelines[stream].inference.tap
        assert tap is not None
        reason = "" if value is not None else "input_missing"
        tap(Prediction(value, None, None, quality, at_ms, reason, asset, 0.1, 0))
        return at_ms

    def swap(self, stream: str, seq: int) -> None:
        """Have another bundle serve a stream."""
        bundle = linear_bundle(stream, seq, [1.0, 1.0])
        self._pipelines[stream].activate(Model(Session(bundle), bundle.sha256))

    def turn_until(self, condition: Callable[[], object]) -> None:
        """Turn the node until something is so."""

        def turned() -> object:
            self._workers.run_posted()
            self.node.turn()
            return condition()

        eventually(turned, 20.0)


@contextmanager
def running(
    folder: Path,
    broker: ScriptedBroker,
    protocol: str = "5",
    streams: Sequence[str] = ("life",),
    **keys: object,
) -> Iterator[RunningNode]:
    """A node that is stopped in the end.

    Args:
        folder: its state folder.
        broker: the broker that it connects to.
        protocol: version of MQTT.
        streams: names of the streams, each of which has a model.
        keys: keys of the section `[sparkplug]`; `max_assets` is one of `[limits]`.
    """
    settings = Settings.model_validate(
        {
            "gateway": {"id": NODE, "state_dir": str(folder)},
            "broker": {"host": HOST, "port": broker.port, "protocol": protocol},
            "registry": {"url": "file:///nonexistent", "root": str(folder)},
            "pipelines": [
                {"stream": one, "inputs": [{"topic": f"{one}/{{asset}}/telemetry"}]}
                for one in streams
            ],
            "limits": {"max_assets": keys.pop("max_assets", 100)},
            "sparkplug": {"group_id": GROUP, **keys},
        }
    )
    assert settings.sparkplug is not None
    workers = Workers()
    pipelines = {one.stream: Pipeline(one, settings.limits) for one in settings.pipelines}
    node = edge_node(
        settings, settings.sparkplug, [*pipelines.values()], workers.start("Sparkplug")
    )
    made = RunningNode(node, pipelines, workers)
    for stream in streams:
        made.swap(stream, 1)
    try:
        yield made
    finally:
        node.leave()
        workers.stop(monotonic() + 5.0, monotonic)
