"""What a topic means to a pipeline: its asset, its signals, its decoder and its output topic."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import repeat
from sys import intern
from types import MappingProxyType
from typing import Any, Final, cast

from models.errors import DecodeError, ReadingError
from models.input.admission import Refused
from models.input.codecs.block import BlockDecoder
from models.input.codecs.paths import rendered
from models.input.codecs.reading import Decoder, Reading
from models.input.codecs.values import ValueReader, value_reader
from models.input.decoding import decoder_of
from models.input.memory import Memories, Memory
from models.input.naming import PayloadNames
from models.input.pipeline import Pipeline
from models.input.sharing import read_by_each, teach_each
from models.input.source import Input
from models.input.sparkplug.topic import SparkplugTemplate
from models.input.tags.rows import Find
from models.input.topics import ASSET, MAX_TOPIC_BYTES, SIGNAL, Levels, TemplateError, TopicTemplate
from models.states import Codes

# Scalar topics add a level to the output topic, of which `/timestamp` is the longest.
_NO_CODES: Mapping[str, Codes] = MappingProxyType({})
MAX_OUTPUT_BYTES = MAX_TOPIC_BYTES - len("/timestamp")

MAX_ADDRESSED: Final = 100_000
"""Routes of payloads that are kept for one pipeline; beyond, each message has its own made."""


@dataclass(frozen=True, slots=True)
class Route:
    """What one topic means to one pipeline.

    Attributes:
        asset: key of the asset whose readings the topic carries.
        channels: indices of the signals that its values belong to, in the order of the values;
            empty if the model does not use the topic's signal.
        decode: turns a payload into readings, or into blocks; `Refused` on a topic whose messages
            are all dropped.
        output_topic: the topic on which the predictions for this asset are published.
        split: on a topic whose payloads name their assets or signals, finds the readings of one
            message, each with its own route; the other attributes then mean nothing, but for those
            of retained messages. None on any other topic.
        takes_retained: whether a retained message may be held for its signals.
        last_known: whether one without a time may be held, too.
        is_knowledge: whether its messages, also retained ones, say how others are to be read.
    """

    asset: str
    channels: Sequence[int]
    decode: Decoder | BlockDecoder
    output_topic: str
    split: "Split | None" = None
    takes_retained: bool = False
    last_known: bool = False
    is_knowledge: bool = False

    def readings(self, payload: bytes) -> "Iterable[tuple[Route, Reading]]":
        """The readings of one message, each with the route that it takes; not for blocks.

        Raises:
            DecodeError: the message cannot be used at all, see `Decoder` and `Split`.
            ReadingError: after the last reading, if some others of the message cannot be used.
        """
        if self.split is not None:
            return self.split(payload)
        return zip(repeat(self), cast("Decoder", self.decode)(payload))

    def assets(self, payload: bytes) -> Collection[str]:
        """The assets that a message may have readings of; none if they cannot be read."""
        if self.split is None:
            return (self.asset,)
        found: set[str] = set()
        with suppress(ReadingError):
            for route, _ in self.split(payload):
                found.add(route.asset)  # one by one: a refusal comes at the end
        return found


Split = Callable[[bytes], Iterable[tuple[Route, Reading]]]
"""Finds the readings of a payload, and the route of each.

Raises DecodeError if no reading can be used, and ReadingError behind the last one if some cannot.
"""


class Routes:
    """Finds the route of each topic in one pipeline.

    Args:
        settings: the pipeline's topics and signals, as the operator configured them.
        names: the names of the signals, in the order in which values are wanted.
        codes: the numbers of the states of each signal of states, by its name.
        memories: what the inputs have learned from messages; if omitted, nothing yet.

    Attributes:
        carried: names of the signals that some input carries.
        memories: as given.
    """

    def __init__(
        self,
        settings: Pipeline,
        names: Sequence[str],
        codes: Mapping[str, Codes] = _NO_CODES,
        memories: Memories | None = None,
    ) -> None:
        self.memories = memories or Memories(settings.inputs)
        self._stream, self._assets = settings.stream, frozenset(settings.assets)
        self._output = TopicTemplate(settings.output_topic)
        self._inputs = [
            _BoundInput(source, list(names), codes, self.memories.of(number))
            for number, source in enumerate(settings.inputs)
        ]
        self._known: dict[tuple[object, ...], Route] = {}
        self.carried = frozenset(name for bound in self._inputs for name in bound.names)

    @property
    def is_whole(self) -> bool:
        """Whether every message carries all signals, so that a sample is never put together."""
        return all(bound.is_whole for bound in self._inputs)

    def route(self, topic: str) -> Route | None:
        """The route of a topic; None if no input matches it, or it cannot be answered.

        Where several inputs have the topic, each takes what it reads of lists of tags and of nodes
        of Sparkplug; of any other payload the first input takes all.

        Parses the topic, which takes some microseconds: callers keep what they get, by topic.
        """
        learners = [bound.learn for bound in self._inputs if bound.knows(topic)]
        if learners:
            learn = partial(teach_each, learners, topic)
            return Route("", (), Refused("asset_missing"), "", learn, is_knowledge=True)
        matched = ((bound, bound.match(topic)) for bound in self._inputs)
        parts = [(bound, *found) for bound, found in matched if found is not None]
        if not parts:
            return None
        bound, levels, find = parts[0]
        split: Split
        if find is not None:
            finders = [(one, at, its) for one, at, its in parts if its is not None]
            splits = [partial(self._split_found, *finder) for finder in finders]
            split = splits[0] if len(splits) == 1 else partial(read_by_each, splits)
        elif bound.names_in is None:
            return self._route(bound, levels)
        else:
            split = partial(self._split, bound, levels)
        refused = Refused("asset_missing")
        return Route("", (), refused, "", split, bound.takes_retained, bound.last_known)

    def _route(self, bound: "_BoundInput", levels: Levels) -> Route | None:
        # Interned: an asset with 100 topics would otherwise keep 100 copies of its key.
        asset = intern(levels.asset or self._stream)
        try:
            output = self._output.render({**levels.by_name, "stream": self._stream})
        except TemplateError:
            return None
        if len(output.encode()) > MAX_OUTPUT_BYTES:
            return None
        channels, decode = bound.reading(levels)
        if reason := self._refusal(asset, channels):
            decode = Refused(reason)
        takes = bound.takes_retained, bound.last_known
        return Route(asset, channels, decode, intern(output), None, *takes)

    def _split_found(
        self, bound: "_BoundInput", levels: Levels, find: Find, payload: bytes
    ) -> Iterator[tuple[Route, Reading]]:
        found, refused, is_used = find(payload), "", False
        for asset, places, reading in found.readings:
            route = self._part(bound, levels, asset, places)
            if isinstance(route.decode, Refused):
                refused = route.decode.reason
                continue
            is_used = True
            yield route, reading
        # Of several assets in a message some need not be meant for this pipeline.
        if not is_used and (refused or found.refused):
            raise DecodeError(refused or found.refused)
        if found.refused or refused == "asset_malformed":
            raise ReadingError(found.refused or refused)

    def _part(
        self, bound: "_BoundInput", levels: Levels, asset: str, places: Sequence[int]
    ) -> Route:
        """The route of some of the signals of an asset that a payload has."""
        key = (bound, *levels.by_name.values(), asset, places)
        route = self._known.get(key)
        if route is None:
            named = {**levels.by_name, bound.asset_level: asset} if asset else levels.by_name
            whole = self._route(bound, Levels(named))
            if whole is None:
                return Route("", (), Refused("asset_malformed"), "")
            route = replace(whole, channels=tuple(whole.channels[place] for place in places))
            if len(self._known) < MAX_ADDRESSED:
                self._known[key] = route
        return route

    def _split(
        self, bound: "_BoundInput", levels: Levels, payload: bytes
    ) -> Iterable[tuple[Route, Reading]]:
        """The readings of one message whose payload names its asset or its signal.

        Raises:
            DecodeError: see `PayloadNames`; `asset_malformed` if the output topic is too long.
        """
        assert bound.names_in is not None  # noqa: S101  asked before
        named = {**levels.by_name, **bound.names_in(payload)}
        key = (bound, *named.values())
        route = self._known.get(key)
        if route is None:
            route = self._route(bound, Levels(named))
            if route is None:
                raise DecodeError("asset_malformed")
            if len(self._known) < MAX_ADDRESSED:
                self._known[key] = route
        return route.readings(payload)

    def _refusal(self, asset: str, channels: Sequence[int]) -> str:
        if self._assets and asset not in self._assets:
            return "unknown_asset"
        if not channels:
            return "unbound_signal"
        return ""


class _BoundInput:
    """One input of the pipeline, with its signals resolved to the indices of channels."""

    def __init__(
        self,
        source: Input,
        names: list[str],
        codes: Mapping[str, Codes],
        memory: Memory | None,
    ) -> None:
        self.template = TopicTemplate(source.topic)
        self.takes_retained, self.last_known = source.takes_retained, source.last_known
        is_list = source.is_of_tags
        has_names = source.has_payload_names and not is_list
        self.names_in = PayloadNames(source) if has_names else None
        paths = source.signals or {name: name for name in names}
        self.names = list(paths)
        known = [name for name in paths if name in names]
        self._channels = tuple(names.index(name) for name in known)
        is_per_signal = is_list or source.dialect in ("scalar", "umh", "block")
        self.is_whole = not is_per_signal and len(known) == len(names)
        if source.has_signal_paths and not source.signals:
            # A name is the path of keys that its dots separate, also where a key is empty.
            paths = {name: rendered(name.split(".")) for name in names}
        readers = [value_reader(codes.get(name, {}), source.numbers) for name in known]
        self.asset_level = ASSET
        self.match = self._match
        self.knowledge: TopicTemplate | None = None
        self.learn: Callable[[str, bytes], Iterable[Any]] = _nothing
        self._find: Find | None = None
        self._decode: Decoder | BlockDecoder = Refused("unbound_signal")
        self._by_level: dict[str, tuple[Sequence[int], Decoder | BlockDecoder]] = {}
        tags = [paths[name] for name in known]
        if source.dialect == "sparkplug":
            self._bind_nodes(memory, tags, readers)
        elif is_list:
            self._bind_tags(source, memory, tags, readers)
        if is_list:
            self._decode = lambda _: ()
            return
        if not (source.signal or SIGNAL in self.template.names):
            self._decode = decoder_of(source, [paths[name] for name in known], readers)
            return
        for index, name, read in zip(self._channels, known, readers, strict=True):
            self._by_level[paths[name]] = (index,), decoder_of(source, [paths[name]], [read])

    def _bind_nodes(
        self, memory: Memory | None, names: Sequence[str], readers: Sequence[ValueReader]
    ) -> None:
        # Imported here, as few gateways need it and every start would pay for it.
        from models.input.sparkplug.decoder import SparkplugDecoder  # noqa: PLC0415  see above
        from models.input.sparkplug.nodes import Nodes  # noqa: PLC0415  see above

        assert isinstance(memory, Nodes)  # noqa: S101  made for the same input
        template = SparkplugTemplate(self.template)
        self.asset_level = template.device_name
        self.match = SparkplugDecoder(template, memory, names, readers).match

    def _bind_tags(
        self,
        source: Input,
        memory: Memory | None,
        names: Sequence[str],
        readers: Sequence[ValueReader],
    ) -> None:
        from models.input.tags.decoder import TagsDecoder  # noqa: PLC0415  as above

        self._find = tags = TagsDecoder(source, names, readers)
        if source.dialect == "siemens":
            from models.input.tags import connector  # noqa: PLC0415  as above

            assert isinstance(memory, connector.ConnectorNames)  # noqa: S101  made for the same input
            one = connector.ConnectorDecoder(source, memory, tags)
            self.match, self.knowledge, self.learn = one.match, one.knowledge, one.learn

    def knows(self, topic: str) -> bool:
        """Whether the messages of a topic say how its other messages are to be read."""
        return self.knowledge is not None and self.knowledge.match(topic) is not None

    def _match(self, topic: str) -> tuple[Levels, Find | None] | None:
        """The named levels of a topic, and what finds the readings of payloads that name assets."""
        return (levels, self._find) if (levels := self.template.match(topic)) is not None else None

    def reading(self, levels: Levels) -> tuple[Sequence[int], Decoder | BlockDecoder]:
        """The indices of the signals, and the decoder, of one topic."""
        if levels.signal is None:
            return self._channels, self._decode
        return self._by_level.get(levels.signal, ((), self._decode))


def _nothing(_topic: str, _payload: bytes) -> Iterable[Any]:
    return ()
