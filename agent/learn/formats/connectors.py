"""Recognises Siemens Industrial Edge, whose values have ids, which retained metadata name.

https://github.com/industrial-edge/common-databus-payload-format
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from agent.learn.formats import products
from agent.learn.formats.json_rows import completed
from agent.learn.formats.tag_lists import signals_of, timed
from agent.learn.group import Group, by_depth
from agent.learn.seen.encoding import document_of
from agent.learn.seen.message import Message
from agent.learn.seen.topic_shape import Shape
from agent.learn.seen.wire import Wire
from agent.learn.source import Source
from models.errors import DecodeError
from models.input.source import Input
from models.input.tags.connector import ConnectorNames
from models.input.topics import TopicTemplate

_TEMPLATE: Final = "ie/d/j/simatic/v1/{app}/dp/r/{connection}"
_LEVELS: Final = _TEMPLATE.count("/") + 1
_INPUT: Final = Input(topic=f"{_TEMPLATE}/{{collection}}", dialect="siemens")
_METADATA: Final = TopicTemplate(_INPUT.knowledge)
_UNNAMED: Final = (
    "UNSURE: the metadata, which name the ids of the values, were not heard on {topics}. They are "
    "retained: may this login read them, and do the topic filters of millhand-agent learn take "
    "them in? The agent drops the values until it has heard them."
)
_PARTLY: Final = (
    "UNSURE: {count} ids have no name in the metadata, such as {few}; the agent passes them over."
)


def is_metadata(topic: str) -> bool:
    """Whether a topic has the names of ids and no values."""
    return _METADATA.match(topic) is not None


def names_on(wire: Wire) -> ConnectorNames:
    """The names that all metadata have, retained ones and those that came while it was listened."""
    names = ConnectorNames(_INPUT)
    for topic, record in wire.topics.items():
        newest = record.samples[-1].payload if record.samples else record.stored
        if newest is None or not is_metadata(topic):
            continue
        try:
            names.learn(topic, document_of(newest)[1])
        except DecodeError:
            continue
    return names


@dataclass(frozen=True, slots=True)
class Connectors:
    """Values of the connectors.

    Attributes:
        names: the names of their ids.
    """

    names: ConnectorNames
    dialect: str = "siemens"

    def family(self, message: Message) -> str | None:
        """By the topic, and the list of values."""
        levels = message.topic.split("/")
        is_there = levels[:5] == _TEMPLATE.split("/")[:5] and levels[6:8] == ["dp", "r"]
        return "values" if is_there and len(levels) > _LEVELS and _values(message) else None

    def sources(self, group: Group) -> list[Source]:
        """One source for each depth of the topics."""
        return [
            self._source(Group(part, group.others)) for part in by_depth(group.records).values()
        ]

    def _source(self, group: Group) -> Source:
        further = group.topics[0].count("/") + 1 - _LEVELS
        levels = [f"{{part{number + 1}}}" for number in range(further - 1)]
        template = "/".join([_TEMPLATE, *levels, "{collection}"])
        values: dict[str, list[object]] = {}
        times: list[tuple[str, int, int]] = []
        nameless: dict[str, None] = {}
        for message in group.messages():
            names = self.names.of(message.topic) or {}
            for tag in _values(message):
                if tag.name not in names:
                    nameless[tag.name] = None
                    continue
                values.setdefault(names[tag.name], []).append(tag.value)
                times += timed(message, tag)
        notes: tuple[str, ...] = ()
        if not values:
            notes = (_UNNAMED.format(topics=_METADATA.filter),)
        elif nameless:
            notes = (_PARTLY.format(count=len(nameless), few=", ".join(list(nameless)[:2])),)
        source = Source(template, self.dialect, {}, tuple(signals_of(values, "")), notes)
        return completed(source, group, Shape(template), times)


def _values(message: Message) -> Sequence[products.Tag]:
    """The values of a message by their ids; none if it is none of a connector."""
    document = message.document
    listed = document.get("vals") if isinstance(document, dict) else None
    return [
        products.Tag(one["id"], one.get("val"), one.get("ts"))
        for one in (listed if isinstance(listed, list) else ())
        if isinstance(one, dict) and isinstance(one.get("id"), str)
    ]
