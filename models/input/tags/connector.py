"""Payloads of Siemens Industrial Edge: lists of tags whose ids the metadata of a connector name.

    ie/d/j/simatic/v1/<app>/dp/r/<connection>/<collection>   {"vals": [{"id": "101", "val": 4.2}]}
    ie/m/j/simatic/v1/<app>/dp                               which name each id has, retained

An id may mean another tag after the connector was configured anew, so the agent follows the
metadata (https://github.com/industrial-edge/common-databus-payload-format).
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from models.errors import DecodeError
from models.input.source import Input
from models.input.tags.decoder import Find, Found, TagsDecoder
from models.input.topics import Levels, TopicTemplate

MAX_TOPICS: Final = 10_000
"""Collections whose names an input remembers; those beyond are read as if none had been heard."""
MAX_NAMES: Final = 100_000
"""Names of one collection that are remembered."""
_Names = dict[str, str]


class ConnectorNames:
    """The names of tags, by the topic of their collection and their id.

    Args:
        source: the input, which is not asked anything.
    """

    def __init__(self, source: Input) -> None:
        del source
        self._by_topic: dict[str, _Names] = {}
        self._topics: dict[str, list[str]] = {}  # of each connector, by the topic of its metadata

    def of(self, topic: str) -> Mapping[str, str] | None:
        """Names of the tags of a collection by their id; None before its metadata."""
        return self._by_topic.get(topic)

    def learn(self, topic: str, document: object) -> None:
        """Take the metadata of a connector, in place of all that it has said before.

        Args:
            topic: topic of the metadata.
            document: the metadata.

        Raises:
            DecodeError: `not_an_object`.
        """
        if not isinstance(document, dict):
            raise DecodeError("not_an_object")
        for old in self._topics.pop(topic, ()):
            self._by_topic.pop(old, None)
        found = self._topics[topic] = []
        for connection in _objects(document.get("connections")):
            for collection in _objects(connection.get("dataPoints")):
                name = collection.get("topic")
                if isinstance(name, str) and len(self._by_topic) < MAX_TOPICS:
                    self._by_topic[name] = _names(collection.get("dataPointDefinitions"))
                    found.append(name)

    def dump(self) -> list[Any]:
        """All names, by the topics of metadata and of collections."""
        return [
            [topic, [[one, list(self._by_topic[one].items())] for one in found]]
            for topic, found in self._topics.items()
        ]

    def load(self, dumped: list[Any]) -> None:
        """Restore the names as they were."""
        self._by_topic, self._topics = {}, {}
        for topic, collections in dumped:
            self._topics[topic] = [name for name, _ in collections]
            self._by_topic.update({name: dict(names) for name, names in collections})

    def requests(self, now_s: float) -> Sequence[tuple[str, bytes]]:
        """Nothing: the broker keeps the metadata."""
        del now_s
        return ()


class ConnectorDecoder:
    """Decoder of the messages of one input.

    Args:
        source: the input.
        names: what the metadata have said; messages change it.
        tags: decoder of lists whose items have their names.
    """

    def __init__(self, source: Input, names: ConnectorNames, tags: TagsDecoder) -> None:
        self._template, self._parse = TopicTemplate(source.topic), source.parse
        self._names, self._tags = names, tags
        self.knowledge = TopicTemplate(source.knowledge)

    def match(self, topic: str) -> tuple[Levels, Find] | None:
        """The named levels of a topic of values, and what finds their readings."""
        levels = self._template.match(topic)
        return None if levels is None else (levels, partial(self._read, topic))

    def learn(self, topic: str, payload: bytes) -> Iterable[Any]:
        """Take the metadata that a message has; they are no readings.

        Raises:
            DecodeError: see `ConnectorNames.learn`.
        """
        self._names.learn(topic, self._parse(payload))
        return ()

    def _read(self, topic: str, payload: bytes) -> Found:
        """The readings of a message.

        Raises:
            DecodeError: `names_missing` before the metadata of the collection; see `TagsDecoder`.
        """
        document, names = self._parse(payload), self._names.of(topic)
        if not isinstance(document, dict):
            raise DecodeError("not_an_object")
        if names is None:
            raise DecodeError("names_missing")
        values = [
            {**one, "id": names.get(written) if isinstance(written := one.get("id"), str) else None}
            for one in _objects(document.get("vals"))
        ]
        return self._tags.read([{**document, "vals": values}])


def _objects(value: object) -> list[dict[str, Any]]:
    """The objects in an array; none in what is no array."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _names(definitions: object) -> _Names:
    pairs = [(one.get("id"), one.get("name")) for one in _objects(definitions)[:MAX_NAMES]]
    return {key: name for key, name in pairs if isinstance(key, str) and isinstance(name, str)}
