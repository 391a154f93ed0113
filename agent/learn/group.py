"""Topics whose messages are of one kind, and what they have in common."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Final

from agent.learn.seen.clock import lateness_ms
from agent.learn.seen.message import Message, messages
from agent.learn.seen.wire import Record
from agent.learn.source import Pace
from models.input.topics import TopicTemplate

MAX_MESSAGES: Final = 1_000
"""Messages of a group that are looked at."""
MAX_ASSETS: Final = 10_000
_FEWEST: Final = 3
_STEPS_MS: Final = (*(step * 10**power for power in range(1, 6) for step in (1, 2, 5)), 2_000_000)
_MOST_MS: Final = 3_600_000  # the largest disorder_ms


@dataclass(frozen=True, slots=True)
class Group:
    """Topics whose messages are of one kind.

    Attributes:
        records: what is kept of these topics.
        others: all other topics that are used.
    """

    records: Sequence[Record]
    others: Sequence[str]

    @property
    def topics(self) -> list[str]:
        """The topics."""
        return [record.topic for record in self.records]

    @property
    def live(self) -> int:
        """Number of messages that have arrived."""
        return sum(record.live for record in self.records)

    def messages(self) -> list[Message]:
        """Some messages of every topic, in the order of arrival."""
        most = max(1, MAX_MESSAGES // len(self.records))
        found = [one for record in self.records[:MAX_MESSAGES] for one in messages(record, most)]
        return sorted(found, key=lambda one: one.at_ns)


def pace(records: Sequence[Record]) -> Pace | None:
    """How often a topic has a message; None if too few have arrived."""
    gaps = [
        (later - sooner) / 1e9
        for record in records[:MAX_MESSAGES]
        for sooner, later in zip(record.arrivals, record.arrivals[1:], strict=False)
    ]
    if len(gaps) < _FEWEST:
        return None
    tenths = quantiles(gaps, n=10)
    return Pace(median(gaps), max(0.0, tenths[0]), tenths[-1])


def disorder_ms(template: str, times: Sequence[tuple[str, int, int]]) -> tuple[int, float]:
    """The allowed lateness that would have put all times in order, and the largest lateness.

    Args:
        template: the topic template, by which a topic belongs to an asset.
        times: topic, time of arrival and source time of messages, nanoseconds since 1970.

    Returns:
        Both in milliseconds; 0 for the first if all came in order, or if no setting is that large.
    """
    parsed = TopicTemplate(template)
    by_asset: dict[str, list[tuple[int, int]]] = {}
    for topic, at_ns, time_ns in times:
        levels = parsed.match(topic)
        by_asset.setdefault(levels.asset if levels else "", []).append((at_ns, time_ns))
    late = max(map(lateness_ms, by_asset.values()), default=0.0)
    if not late:
        return 0, 0.0
    return next((step for step in _STEPS_MS if step >= 2 * late and step <= _MOST_MS), 0), late


def assets(template: str, topics: Sequence[str]) -> list[str]:
    """The assets that topics belong to."""
    parsed, found = TopicTemplate(template), dict[str, None]()
    for topic in topics[:MAX_ASSETS]:
        levels = parsed.match(topic)
        if levels is not None and levels.asset:
            found[levels.asset] = None
    return list(found)


def by_depth(records: Sequence[Record]) -> Mapping[int, list[Record]]:
    """Topics by their number of levels."""
    found: dict[int, list[Record]] = {}
    for record in records:
        found.setdefault(record.topic.count("/"), []).append(record)
    return found
