"""A stream as hosts see it: which model answers, as metrics of the node."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from agent.sparkplug.shape import Kind, kinds_of
from agent.streams.pipeline import Pipeline
from models.sparkplug.datatype import DataType
from models.sparkplug.payload import Metric, Value

if TYPE_CHECKING:
    from agent.sparkplug.device import Slot
    from serving.model import Model

_MODEL: Final = (
    ("version", DataType.STRING),
    ("seq", DataType.INT64),
    ("digest", DataType.STRING),
)


class Stream:
    """One stream of the gateway.

    Args:
        pipeline: has the model that serves.
        alias: returns the next alias of the node.
        now_ms: returns the time, milliseconds since 1970.

    Attributes:
        name: name of the stream.
        slots: what hosts know of it at each asset, by key of the asset.
    """

    def __init__(
        self, pipeline: Pipeline, alias: Callable[[], int], now_ms: Callable[[], int]
    ) -> None:
        self.name = pipeline.stream
        self.slots: dict[str, Slot] = {}
        self._pipeline, self._now_ms = pipeline, now_ms
        self._aliases = [alias() for _ in _MODEL]
        self._model: Model | None = None
        self._since_ms = now_ms()
        self._described: Model | None = None
        self._kinds: tuple[Kind, ...] = ()

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The metrics of its predictions, the same object as long as they are the same."""
        model = self._pipeline.model
        if model is not self._described and model is not None:
            self._described, kinds = model, kinds_of(model.manifest)
            if kinds != self._kinds:
                self._kinds = kinds
        return self._kinds

    def follow(self) -> bool:
        """Take note of the model that serves; whether it is another one than before."""
        model = self._pipeline.model
        if model is self._model:
            return False
        self._model, self._since_ms = model, self._now_ms()
        return True

    def metrics(self) -> Iterator[Metric]:
        """Version, sequence number and digest of the model, null before there is one."""
        values: tuple[Value, ...] = (None, None, None)
        if self._model is not None:
            manifest = self._model.manifest
            values = manifest.version, manifest.seq, self._model.sha256
        for (name, datatype), alias, value in zip(_MODEL, self._aliases, values, strict=True):
            name = f"{self.name}/model/{name}"  # noqa: PLW2901  below that of the stream
            yield Metric(name, alias, self._since_ms, datatype, value)
