"""The values of many documents by their paths."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from agent.learn.seen.message import Message, key_of, leaves
from agent.learn.seen.values import Values, summary
from models.input.codecs.paths import Path, rendered

MAX_COLUMNS: Final = 500
"""Paths of a group of messages that are looked at."""
VALUE_KEYS: Final = frozenset(
    ["value", "val", "v", "data", "reading", "measurement", "present_value", "pv"]
)
"""Keys of a value whose name is told by what stands above it."""
UNIT_KEYS: Final = frozenset(
    ["unit", "units", "uom", "engunit", "engineeringunit", "unitofmeasurement"]
)


class Found(NamedTuple):
    """A value in one message.

    Attributes:
        topic: the topic.
        at_ns: time of arrival in nanoseconds since 1970.
        value: the value.
        row: index of the message.
    """

    topic: str
    at_ns: int
    value: Any
    row: int


@dataclass(frozen=True, slots=True)
class Column:
    """The values at one path.

    Attributes:
        path: the path.
        found: the values, in the order of the messages.
    """

    path: Path
    found: list[Found] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The path as it is written in a configuration."""
        return rendered(self.path)

    @property
    def key(self) -> str:
        """The last key of the path."""
        return key_of(self.path)

    @property
    def name(self) -> str:
        """How a person would call the values: the last key, or what stands above `value`."""
        if self.key.casefold() in VALUE_KEYS and len(self.path) > 1:
            return key_of(self.path[:-1]) or self.key
        return self.key

    @property
    def values(self) -> list[Any]:
        """The values that are not null."""
        return [one.value for one in self.found if one.value is not None]

    @property
    def timed(self) -> list[tuple[int, Any]]:
        """Time of arrival and value, where it is not null."""
        return [(one.at_ns, one.value) for one in self.found if one.value is not None]

    def summary(self) -> Values:
        """What the values are."""
        return summary((one.value for one in self.found), self.key)


def columns(messages: Iterable[Message]) -> list[Column]:
    """The columns of documents, in the order in which their paths appear."""
    known: dict[Path, Column] = {}
    for row, message in enumerate(messages):
        for path, value in leaves(message.document):
            column = known.get(path)
            if column is None:
                if len(known) >= MAX_COLUMNS:
                    continue
                column = known[path] = Column(path)
            column.found.append(Found(message.topic, message.at_ns, value, row))
    return list(known.values())


def unit_beside(column: Column, others: Sequence[Column]) -> str:
    """The unit that stands beside a value, as in {"value": 4.2, "unit": "bar"}."""
    for other in others:
        if other.path[:-1] != column.path[:-1] or other.key.casefold() not in UNIT_KEYS:
            continue
        texts = {one for one in other.values if isinstance(one, str)}
        if len(texts) == 1:
            return texts.pop()[:32]
    return ""
