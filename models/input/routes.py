"""What a topic means to a pipeline: which asset, which signals, how to read it, where to answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from sys import intern

from models.input.admission import Refused
from models.input.codecs.block import BlockDocument, DecodeBlocks, RawBlock
from models.input.codecs.json_row import JsonRow
from models.input.codecs.reading import Decode, Fields
from models.input.codecs.scalar import decode_plain, decode_umh, scalar
from models.input.codecs.thingsboard import ThingsBoard
from models.input.pipeline import Input, Pipeline
from models.input.topics import MAX_TOPIC_BYTES, SIGNAL, Levels, TemplateError, TopicTemplate

MAX_OUTPUT_BYTES = MAX_TOPIC_BYTES - len("/timestamp")  # the longest level a scalar adds


@dataclass(frozen=True, slots=True)
class Route:
    """One topic in one pipeline.

    Attributes:
        asset: whose readings it carries.
        channels: which channels, by index; empty if the signal is not bound.
        decode: payload to readings, or to blocks; `Refused` where no message is of use.
        output_topic: where the predictions of this asset go.
    """

    asset: str
    channels: Sequence[int]
    decode: Decode | DecodeBlocks
    output_topic: str


class Routes:
    """Routes of one pipeline.

    Args:
        settings: the operator's topics and signals.
        names: of the channels, in the order in which values are wanted.

    Attributes:
        carried: signals that are bound, by the names of channels.
    """

    def __init__(self, settings: Pipeline, names: Sequence[str]) -> None:
        self._stream, self._assets = settings.stream, frozenset(settings.assets)
        self._output = TopicTemplate(settings.output_topic)
        self._inputs = [_BoundInput(source, list(names)) for source in settings.inputs]
        self.carried = frozenset(name for bound in self._inputs for name in bound.names)

    @property
    def is_whole(self) -> bool:
        """Whether every message carries all channels."""
        return all(bound.is_whole for bound in self._inputs)

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
            if reason := self._refusal(asset, channels):
                decode = Refused(reason)
            return Route(asset, channels, decode, intern(output))
        return None

    def _refusal(self, asset: str, channels: Sequence[int]) -> str:
        if self._assets and asset not in self._assets:
            return "unknown_asset"
        if not channels:
            return "unbound_signal"
        return ""


class _BoundInput:
    """One input of the pipeline, its signals resolved to channel indices."""

    def __init__(self, source: Input, names: list[str]) -> None:
        self.template = TopicTemplate(source.topic)
        self._source = source
        paths = source.signals or {name: name for name in names}
        self.names = list(paths)
        known = [name for name in paths if name in names]
        self._per_signal = source.dialect in ("scalar", "umh", "block")
        self._by_level = {paths[name]: (names.index(name),) for name in known}
        self._channels = tuple(names.index(name) for name in known)
        self.is_whole = not self._per_signal and len(known) == len(names)
        self._decode = _decoder(source, [paths[name] for name in known])

    def reading(self, levels: Levels) -> tuple[Sequence[int], Decode | DecodeBlocks]:
        """Channels and decoder of one topic."""
        if not self._per_signal or levels.signal is None:
            return self._channels, self._decode
        return self._by_level.get(levels.signal, ()), self._decode


def _decoder(source: Input, paths: Sequence[str]) -> Decode | DecodeBlocks:
    fields = Fields(source.timestamp, source.timestamp_unit, source.quality, source.sequence)
    if source.dialect == "block":
        return _block_decoder(source, paths, fields)
    if source.dialect == "json":
        return JsonRow(paths, fields)
    if source.dialect == "thingsboard":
        return ThingsBoard(paths)
    if source.dialect == "umh":
        return decode_umh
    if source.value or source.timestamp or source.quality or source.sequence:
        return scalar(source.value, fields)
    return decode_plain


def _block_decoder(source: Input, paths: Sequence[str], fields: Fields) -> DecodeBlocks:
    assert source.encoding  # noqa: S101  the settings are checked
    is_per_signal = SIGNAL in TopicTemplate(source.topic).names
    width = 1 if is_per_signal else len(paths)
    is_bare = not (source.value or source.timestamp or source.quality or source.sequence)
    if source.encoding == "float32" or (is_bare and (is_per_signal or not source.signals)):
        return RawBlock(source.encoding, width)
    if source.value or is_per_signal:
        paths = [source.value or "value"]
    return BlockDocument(source.encoding, paths, width, fields)
