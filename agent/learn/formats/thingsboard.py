"""Recognises payload format `thingsboard`: rows with `ts` and `values`, alone or in an array."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from agent.learn.formats.json_rows import completed, signals_of
from agent.learn.group import Group, by_depth
from agent.learn.seen.columns import columns
from agent.learn.seen.message import Message
from agent.learn.seen.topic_shape import shape
from agent.learn.source import Source

_MOST_ROWS = 100
_TOPICS = ("v1/devices/me/telemetry", "v2/t")


@dataclass(frozen=True, slots=True)
class ThingsBoard:
    """The telemetry upload of ThingsBoard."""

    dialect: str = "thingsboard"

    def family(self, message: Message) -> str | None:
        """Rows with their time; without one, rows on a topic of ThingsBoard."""
        rows = _rows(message.document)
        if not rows:
            return None
        if all(one.keys() == {"ts", "values"} and isinstance(one["values"], dict) for one in rows):
            return "thingsboard"
        return "thingsboard" if message.topic in _TOPICS else None

    def sources(self, group: Group) -> list[Source]:
        """One source for each depth of the topics."""
        found = []
        for records in by_depth(group.records).values():
            source = _source(Group(records, group.others))
            found += [source] if source is not None and source.signals else []
        return found


def _source(group: Group) -> Source | None:
    shaped = shape(group.topics, group.others, by_signal=False)
    if shaped is None:
        return None
    flat = [one for message in group.messages() for one in _flat(message)]
    cells = columns(flat)
    signals = tuple(signals_of(cells, cells))
    numbers = {"numbers": "lenient"} if any(one.values.is_quoted for one in signals) else {}
    times = [
        (message.topic, message.at_ns, row["ts"] * 1_000_000)
        for message in group.messages()
        for row in _rows(message.document)
        if type(row.get("ts")) is int
    ]
    source = Source(shaped.template, "thingsboard", numbers, signals)
    return completed(source, group, shaped, times)


def _flat(message: Message) -> Iterator[Message]:
    for row in _rows(message.document):
        values = row.get("values") if "ts" in row else row
        yield message._replace(document=values)


def _rows(document: Any) -> list[Any]:  # noqa: ANN401  any JSON value
    rows = document[:_MOST_ROWS] if isinstance(document, list) else [document]
    return [one for one in rows if isinstance(one, dict)]
