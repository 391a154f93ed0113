"""What a topic means to a model: which asset, which channels, how to read it, where to answer.

The contract between a model and the operator's topics, checked before a model is activated.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from sys import intern

from agent.codecs.json_row import Fields, JsonRow
from agent.codecs.reading import Decode
from agent.codecs.scalar import decode_plain, decode_umh, scalar
from agent.codecs.thingsboard import ThingsBoard
from agent.settings import Input, Pipeline
from agent.topics import MAX_TOPIC_BYTES, Levels, TemplateError, TopicTemplate
from models.errors import IncompatibleBundleError
from models.manifest import Manifest

MAX_OUTPUT_BYTES = MAX_TOPIC_BYTES - len("/timestamp")  # the longest level a scalar adds


@dataclass(frozen=True, slots=True)
class Route:
    """One topic in one pipeline.

    Attributes:
        asset: whose readings it carries.
        channels: which of the model's channels, by index; empty if the signal is not bound.
        decode: payload to readings.
        output_topic: where the predictions of this asset go.
    """

    asset: str
    channels: Sequence[int]
    decode: Decode
    output_topic: str


class Binder:
    """Routes of one pipeline for one model.

    Args:
        settings: the operator's topics and signals.
        manifest: the model's channels.

    Raises:
        IncompatibleBundleError: a channel that no input carries, or a signal that no channel is;
            the message names both sides.
    """

    def __init__(self, settings: Pipeline, manifest: Manifest) -> None:
        self._stream = settings.stream
        self._output = TopicTemplate(settings.output_topic)
        names = [channel.name for channel in manifest.channels]
        self._inputs = [_BoundInput(source, names) for source in settings.inputs]
        carried = {name for bound in self._inputs for name in bound.names}
        wanted = f"{manifest.stream}#{manifest.seq} reads {names}"
        if carried - set(names):
            strange = sorted(carried - set(names))
            raise IncompatibleBundleError(
                f"{wanted}; signals {strange} are bound and not among them"
            )
        if set(names) - carried:
            without = sorted(set(names) - carried)
            raise IncompatibleBundleError(
                f"{wanted}; no input carries {without}: bind them in signals"
            )

    def route(self, topic: str) -> Route | None:
        """Where `topic` leads, None if no input describes it."""
        for bound in self._inputs:
            levels = bound.template.match(topic)
            if levels is None:
                continue
            asset = intern(levels.asset or self._stream)  # one string for all topics of an asset
            try:
                output = self._output.render({**levels.by_name, "stream": self._stream})
            except TemplateError:
                return None
            if len(output.encode()) > MAX_OUTPUT_BYTES:
                return None
            channels, decode = bound.reading(levels)
            return Route(asset, channels, decode, intern(output))
        return None


class _BoundInput:
    """One input of the pipeline, its signals resolved to channel indices."""

    def __init__(self, source: Input, names: list[str]) -> None:
        self.template = TopicTemplate(source.topic)
        self._source = source
        paths = source.signals or {name: name for name in names}
        self.names = list(paths)
        known = [name for name in paths if name in names]
        self._per_signal = source.dialect in ("scalar", "umh")
        self._by_level = {paths[name]: (names.index(name),) for name in known}
        self._channels = tuple(names.index(name) for name in known)
        self._decode = _decoder(source, [paths[name] for name in known])

    def reading(self, levels: Levels) -> tuple[Sequence[int], Decode]:
        """Channels and decoder of one topic."""
        if not self._per_signal or levels.signal is None:
            return self._channels, self._decode
        return self._by_level.get(levels.signal, ()), self._decode


def _decoder(source: Input, paths: Sequence[str]) -> Decode:
    fields = Fields(source.timestamp, source.timestamp_unit, source.quality, source.sequence)
    if source.dialect == "json":
        return JsonRow(paths, fields)
    if source.dialect == "thingsboard":
        return ThingsBoard(paths)
    if source.dialect == "umh":
        return decode_umh
    if source.value or source.timestamp or source.quality or source.sequence:
        return scalar(source.value, fields)
    return decode_plain
