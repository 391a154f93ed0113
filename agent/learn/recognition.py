"""From what was heard to the inputs that read it: topics are grouped by what they carry."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from agent.learn.formats.connectors import is_metadata
from agent.learn.formats.recognisers import Recogniser, recognisers
from agent.learn.group import Group
from agent.learn.seen import shown
from agent.learn.seen.encoding import missing_for
from agent.learn.seen.message import Message, leaves, messages
from agent.learn.seen.wire import Record, Wire
from agent.learn.source import Source
from models.control.topics import PREFIX
from models.input.codecs.paths import Path

_LOOKED_AT: Final = 3
"""Messages of a topic by which its payload format is recognised."""
_MOST_CLUSTERS: Final = 200
_ALIKE: Final = 0.5
_PREDICTION: Final = frozenset({"quality", "timestamp", "stream", "version", "seq", "id"})
OWN = "of millhand itself: predictions and the gateways' own topics"
METADATA = "with metadata, which name the values on other topics"
RETAINED = "with nothing but a retained message: it is of unknown age, and no reading came"
TOO_VARIED = "whose payloads have too many different keys: name a narrower topic filter"
NOT_READ = "whose payload no format reads"
VARIED_ENCODINGS = "whose payloads are not all in the same encoding"
NO_SIGNAL = "without a number, a boolean or a state"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Topics that no input reads.

    Attributes:
        reason: why, as the end of a sentence about topics.
        topics: how many there are.
        examples: topic and payload of two of them, as comments show them.
    """

    reason: str
    topics: int
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Recognised:
    """All that was recognised.

    Attributes:
        sources: the inputs, those with the most messages first.
        left_out: the topics that no input reads.
    """

    sources: Sequence[Source]
    left_out: Sequence[LeftOut]


def recognised(wire: Wire) -> Recognised:
    """What can be read of that which was heard."""
    left: dict[str, list[Record]] = {}
    known = recognisers(wire)
    families: dict[tuple[int, str, str], list[Record]] = {}
    for record in wire.topics.values():
        reason, family = _family(record, known)
        if family is None:
            left.setdefault(reason, []).append(record)
        else:
            families.setdefault(family, []).append(record)
    used = [record.topic for records in families.values() for record in records]
    sources: list[Source] = []
    for (number, encoding, _), records in families.items():
        clusters = _clusters(known[number], records)
        for cluster in clusters[_MOST_CLUSTERS:]:
            left.setdefault(TOO_VARIED, []).extend(cluster)
        for cluster in clusters[:_MOST_CLUSTERS]:
            topics = {record.topic for record in cluster}
            found = known[number].sources(
                Group(cluster, [one for one in used if one not in topics])
            )
            sources += [_written(one, encoding) for one in found]
            if not found:
                left.setdefault(NO_SIGNAL, []).extend(cluster)
    left.pop(METADATA, None)
    sources.sort(key=lambda one: (-one.messages, one.topic))
    return Recognised(sources, [_left_out(reason, records) for reason, records in left.items()])


def _written(source: Source, encoding: str) -> Source:
    """A source that says how its payloads are written, where they are no JSON text."""
    return replace(source, options={**source.options, "encoding": encoding}) if encoding else source


def _family(record: Record, known: Sequence[Recogniser]) -> tuple[str, tuple[int, str, str] | None]:
    """The recogniser's number, the encoding and the kind of payloads; or why it is left out."""
    if reason := _passed_over(record):
        return reason, None
    few = messages(record, len(record.samples) or 1)[:_LOOKED_AT]
    if any(isinstance(one.document, dict) and one.document.keys() >= _PREDICTION for one in few):
        return OWN, None
    if len({one.encoding for one in few}) > 1:
        return VARIED_ENCODINGS, None
    for number, recogniser in enumerate(known):
        kinds = [recogniser.family(one) for one in few]
        if kinds and kinds[0] is not None and kinds.count(kinds[0]) == len(kinds):
            return "", (number, few[0].encoding, kinds[0])
    return _why_not_read(few), None


def _passed_over(record: Record) -> str:
    """Why nobody looks at the payloads of a topic; empty if somebody does."""
    if record.topic.split("/")[0] == PREFIX or "/_inference/" in f"/{record.topic}/":
        return OWN
    if is_metadata(record.topic):
        return METADATA
    return "" if record.live else RETAINED


def _why_not_read(few: Sequence[Message]) -> str:
    missing = missing_for(few[0].payload) if few else ()
    if not missing:
        return NOT_READ
    return f"{NOT_READ} here; for {' and '.join(missing)} install 'millhand[{','.join(missing)}]'"


def _clusters(recogniser: Recogniser, records: Sequence[Record]) -> list[list[Record]]:
    """Topics of one family, put together by what they have in common.

    Documents belong together by their keys; topics of one signal each by the words of their last
    level, below the same first one.
    """
    found: list[tuple[set[object], list[Record]]] = []
    for marks, members in _alike(recogniser, records).items():
        own = set(marks)
        for common, cluster in found[:_MOST_CLUSTERS]:
            if len(own & common) > _ALIKE * len(own | common) or own == common:
                common.update(own)
                cluster.extend(members)
                break
        else:
            found.append((own, list(members)))
    return [cluster for _, cluster in found]


def _alike(
    recogniser: Recogniser, records: Sequence[Record]
) -> Mapping[frozenset[object], list[Record]]:
    found: dict[frozenset[object], list[Record]] = {}
    if recogniser.dialect in ("scalar", "umh") or not _has_documents(records):
        by_first: dict[str, list[Record]] = {}
        for record in records:
            by_first.setdefault(_first(record.topic), []).append(record)
        for members in by_first.values():
            words = frozenset(record.topic.rpartition("/")[2] for record in members)
            found.setdefault(words, []).extend(members)
        return found
    if recogniser.dialect != "json":
        return {frozenset(): list(records)}
    for record in records:
        found.setdefault(frozenset(_keys(messages(record, _LOOKED_AT))), []).append(record)
    return found


def _has_documents(records: Sequence[Record]) -> bool:
    few = messages(records[0], 1)
    return bool(few) and isinstance(few[0].document, dict | list)


def _first(topic: str) -> str:
    """The first level that is not empty."""
    return topic.lstrip("/").partition("/")[0]


def _keys(few: Iterable[Message]) -> Iterator[Path]:
    for one in few:
        yield from (path for path, _ in leaves(one.document))


def _left_out(reason: str, records: Sequence[Record]) -> LeftOut:
    if reason == OWN:
        return LeftOut(reason, len(records), ())
    examples = []
    for record in records[:2]:
        few = messages(record, 1)
        payload = record.samples[0].payload if record.samples else record.stored or b""
        document = few[0].document if few else None
        shown_payload = shown.payload(payload, record.topic, document)
        examples.append(f"{shown.shortened(record.topic)}: {shown_payload}")
    return LeftOut(reason, len(records), tuple(examples))
