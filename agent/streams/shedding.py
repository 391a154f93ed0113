"""Load shedding: which messages are dropped when more arrive than the model can answer (ADR 12).

All that the broker has for a pipeline, up to a bound, is collected in a backlog before some of it
is answered. Up to `limits.max_batch` messages, nothing is dropped. Beyond, the pipeline's setting
`overload` decides:

    latest     drops the oldest messages that have a newer one on the same topic, until a batch is
               left
    decimate   keeps every n-th message of each topic

Both keep the newest message of every topic, so that no signal falls silent, and mark the messages
that follow a gap: their readings are UNCERTAIN at best.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

from agent.delivery.inputs import Input
from models.input.codecs.reading import Reading
from models.input.quality import Quality
from models.input.routes import Route
from serving.mqtt.packets import Received

_UNCERTAIN = Quality.UNCERTAIN
Policy = Callable[[Sequence[str], int], list[bool]]
"""Decides which messages to keep, from their topics in order of arrival and the size of a batch."""


class Waiting(NamedTuple):
    """One message that waits for a pipeline.

    Attributes:
        route: what its topic means to the pipeline.
        message: the message as it arrived.
        source: the input that is acknowledged and counted for it.
        follows_gap: whether messages of its topic that arrived before it were dropped.
    """

    route: Route
    message: Received
    source: Input
    follows_gap: bool = False


class Backlog:
    """The messages that wait for one pipeline; used by the hot thread alone.

    Args:
        policy: `latest` or `decimate`.
        limit: number of messages that one turn answers. With more topics than that, the newest
            message of each is answered all the same.

    Attributes:
        shed: how many messages were dropped.
    """

    def __init__(self, policy: str, limit: int) -> None:
        self.shed = 0
        self._reason, self._keep = POLICIES[policy]
        self._limit = limit
        self._waiting: list[Waiting] = []

    def __len__(self) -> int:
        """How many messages wait."""
        return len(self._waiting)

    def add(self, route: Route, message: Received, source: Input) -> None:
        """Append a message."""
        self._waiting.append(Waiting(route, message, source))

    @property
    def sources(self) -> Iterator[Input]:
        """The inputs of the messages that wait."""
        return (one.source for one in self._waiting)

    def take(self) -> list[Waiting]:
        """Take out the messages to answer, in order of arrival; all others are dropped."""
        self.thin()
        taken, self._waiting = self._waiting, []
        return taken

    def reroute(self, route_of: Callable[[str], Route | None]) -> list[Waiting]:
        """Give the messages that wait the routes of another model; returns those without one."""
        waiting, self._waiting = self._waiting, []
        without: list[Waiting] = []
        for one in waiting:
            route = route_of(one.message.topic)
            if route is None:
                without.append(one)
            else:
                self._waiting.append(one._replace(route=route))
        return without

    def thin(self) -> None:
        """Drop messages as the policy says, until no more wait than one turn answers."""
        waiting = self._waiting
        if len(waiting) <= self._limit:
            return
        taken: list[Waiting] = []
        gaps: set[str] = set()
        keep = self._keep([one.message.topic for one in waiting], self._limit)
        for one, is_kept in zip(waiting, keep, strict=True):
            topic = one.message.topic
            if not is_kept:
                one.source.drop(self._reason)
                gaps.add(topic)
            elif topic in gaps:
                gaps.discard(topic)
                taken.append(one._replace(follows_gap=True))
            else:
                taken.append(one)
        self.shed += len(waiting) - len(taken)
        self._waiting = taken


def doubted(route: Route) -> Route:
    """The same route with a decoder whose readings are UNCERTAIN at best."""
    if (split := route.split) is not None:
        return replace(route, split=lambda payload: map(_doubted_reading, split(payload)))
    decode: Callable[[bytes], Sequence[Any]] = route.decode

    def decode_doubted(payload: bytes) -> Sequence[Any]:
        return [one._replace(quality=max(one.quality, _UNCERTAIN)) for one in decode(payload)]

    return replace(route, decode=decode_doubted)


def _doubted_reading(found: tuple[Route, Reading]) -> tuple[Route, Reading]:
    route, reading = found
    return route, reading._replace(quality=max(reading.quality, _UNCERTAIN))


def latest(topics: Sequence[str], limit: int) -> list[bool]:
    """Keep all but the oldest messages that have a newer one on their topic."""
    surplus, left = len(topics) - limit, Counter(topics)
    keep = []
    for topic in topics:
        is_kept = surplus <= 0 or left[topic] == 1
        if not is_kept:
            surplus -= 1
            left[topic] -= 1
        keep.append(is_kept)
    return keep


def decimate(topics: Sequence[str], limit: int) -> list[bool]:
    """Keep every n-th message of each topic, counted from its newest; n is as small as possible."""
    every = -(-len(topics) // limit)
    seen: Counter[str] = Counter()
    keep = []
    for topic in reversed(topics):
        keep.append(seen[topic] % every == 0)
        seen[topic] += 1
    return keep[::-1]


POLICIES: Final[Mapping[str, tuple[str, Policy]]] = {
    "latest": ("superseded", latest),
    "decimate": ("decimated", decimate),
}
"""For each setting of `overload`, the reason under which it drops, and how it chooses."""
