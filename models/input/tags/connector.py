"""Payloads of Siemens Industrial Edge: lists of tags whose ids the metadata of a connector name.

    ie/d/j/simatic/v1/<app>/dp/r/<connection>/<collection>   {"vals": [{"id": "101", "val": 4.2}]}
    ie/m/j/simatic/v1/<app>/dp                               which name each id has, retained

An id may mean another tag after the connector was configured anew, so the agent follows the
metadata (https://github.com/industrial-edge/common-databus-payload-format).
"""

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, Final

from models.errors import DecodeError
from models.input.memory import Requests
from models.input.source import Input
from models.input.tags.decoder import TagsDecoder
from models.input.tags.rows import Find, Found
from models.input.topics import Levels, TopicTemplate, metadata_topic

MAX_CONNECTORS: Final = 1_000
"""Connectors whose names an input remembers; metadata of others are refused."""
MAX_NAMES: Final = 100_000
"""Names of one connector that are remembered; metadata with more are refused."""
_Names = dict[str, str]


class ConnectorNames:
    """The names of tags by their ids, of each collection of each connector.

    Args:
        source: the input, which is not asked anything.
    """

    def __init__(self, source: Input) -> None:
        del source
        # By the topic of the metadata, and then by that of the values.
        self._connectors: dict[str, dict[str, _Names]] = {}

    def of(self, topic: str) -> Mapping[str, str] | None:
        """Names of the tags of a collection by their id; None before its metadata.

        Args:
            topic: topic of the values.
        """
        return self._connectors.get(metadata_topic(topic), {}).get(topic)

    def learn(self, topic: str, document: object) -> None:
        """Take the metadata of a connector, in place of all that it has said before.

        Args:
            topic: topic of the metadata.
            document: the metadata.

        Raises:
            DecodeError: `not_an_object` or `unknown_layout` if they are no metadata;
                `too_many_entries` beyond `MAX_CONNECTORS` or `MAX_NAMES`. What was known is kept.
        """
        if not isinstance(document, dict):
            raise DecodeError("not_an_object")
        if not isinstance(connections := document.get("connections"), list):
            raise DecodeError("unknown_layout")
        found = {
            name: _names(collection.get("dataPointDefinitions"))
            for connection in _objects(connections)
            for collection in _objects(connection.get("dataPoints"))
            if isinstance(name := collection.get("topic"), str)
        }
        is_new = topic not in self._connectors
        if is_new and len(self._connectors) >= MAX_CONNECTORS:
            raise DecodeError("too_many_entries")
        if sum(1 + len(names) for names in found.values()) > MAX_NAMES:
            raise DecodeError("too_many_entries")
        self._connectors[topic] = found

    def dump(self) -> list[Any]:
        """All names, by the topics of metadata and of values."""
        return [
            [topic, [[one, list(names.items())] for one, names in collections.items()]]
            for topic, collections in self._connectors.items()
        ]

    def load(self, dumped: list[Any]) -> None:
        """Restore the names as they were."""
        self._connectors = {
            topic: {one: dict(names) for one, names in collections} for topic, collections in dumped
        }

    def requests(self, now_s: float, most: int) -> Requests:
        """Nothing: the broker keeps the metadata."""
        del now_s, most
        return Requests()


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
            DecodeError: `names_missing` before the metadata of the collection, and if none of the
                ids has a name; see `TagsDecoder`.
        """
        document, names = self._parse(payload), self._names.of(topic)
        if not isinstance(document, dict):
            raise DecodeError("not_an_object")
        if names is None:
            raise DecodeError("names_missing")
        items = _objects(document.get("vals"))
        named = [{**one, "id": names[one["id"]]} for one in items if _key(one) in names]
        refused = "names_missing" if len(named) < len(items) else ""
        return self._tags.read([{**document, "vals": named}], refused)


def _key(item: Mapping[str, Any]) -> str:
    """The id of a value; empty if it is no text."""
    return written if isinstance(written := item.get("id"), str) else ""


def _objects(value: object) -> list[dict[str, Any]]:
    """The objects in an array; none in what is no array."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _names(definitions: object) -> _Names:
    pairs = [(one.get("id"), one.get("name")) for one in _objects(definitions)]
    return {key: name for key, name in pairs if isinstance(key, str) and isinstance(name, str)}
