"""The late labels of all streams that take some: made only where there is one."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from agent.delivery.inputs import Input
from agent.labels.kept import KeptPredictions, path_of
from agent.labels.stream import StreamLabels
from agent.mqtt.subscription import Subscription
from agent.streams.pipeline import Pipeline
from models.bundle.manifest import Manifest
from models.input.label_topic import LabelTopic
from serving.mqtt.packets import Received
from serving.worker import Worker

if TYPE_CHECKING:
    from serving.prediction import Prediction


class GatewayLabels:
    """The labels of a gateway, by stream. All methods belong to the hot thread.

    Args:
        pipelines: the pipelines of the gateway, before a model serves in any of them.
        state_dir: folder of what survives a restart.
        worker: writes to the disk, and does nothing else.
        settle: is given the inputs of labels that are on disk.

    Attributes:
        streams: those that take labels, by name.
    """

    def __init__(
        self,
        pipelines: Sequence[Pipeline],
        state_dir: Path,
        worker: Worker,
        settle: Callable[[Sequence[Input]], None],
    ) -> None:
        self.streams: dict[str, StreamLabels] = {}
        for pipeline in pipelines:
            settings = pipeline.settings.labels
            if settings is None:
                continue
            kept = KeptPredictions(path_of(state_dir, pipeline.stream), settings)
            topic = LabelTopic(pipeline.settings)
            stream = StreamLabels(topic, kept, worker, settle)
            self.streams[pipeline.stream] = stream
            pipeline.inference.tap_of = partial(_both, stream, pipeline.inference.tap)

    @property
    def subscriptions(self) -> Sequence[Subscription]:
        """The subscriptions to the topics of the labels, each filter once."""
        found: Mapping[str, Subscription] = {
            one.subscription.filter: one.subscription for one in self.streams.values()
        }
        return tuple(found.values())

    @property
    def unwritten(self) -> int:
        """Labels that have arrived and are not on disk yet."""
        return len({source for one in self.streams.values() for source in one.unwritten})

    def take(self, message: Received, source: Input) -> bool:
        """Take a message if it is a label; says whether it is."""
        is_taken = False
        for one in self.streams.values():
            is_taken |= one.take(message, source)
        return is_taken

    def tick(self) -> None:
        """Write what was noted; to be called about once a second."""
        for one in self.streams.values():
            one.tick()

    def close(self) -> None:
        """Hand over what is left; to be called before the worker stops."""
        for one in self.streams.values():
            one.close()


def _both(
    stream: StreamLabels, tap: Callable[["Prediction"], None] | None, manifest: Manifest
) -> Callable[["Prediction"], None]:
    """Keeps predictions of a bundle for labels, beside what else is told of them."""
    note = stream.noting(manifest)
    if tap is None:
        return note

    def told(prediction: "Prediction") -> None:
        tap(prediction)
        note(prediction)

    return told
