"""What waits for one pipeline, and what of it is given up when more comes than can be answered.

A backlog is gathered and taken within moments: all that the broker has for us, up to a bound. Where
no more waits than a turn answers, all of it is taken. Otherwise the policy says what is: `latest`
gives up the oldest readings of which there is a newer one on the same topic, until a turn's worth
is left; `decimate` keeps each n-th of a topic, evenly. Both keep the newest of every topic, so that
no signal falls silent, and mark what they keep behind a gap.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

from agent.delivery.inputs import Input
from agent.mqtt.packets import Received
from models.input.quality import Quality
from models.input.routes import Route

_UNCERTAIN = Quality.UNCERTAIN
Shed = Callable[[Sequence[str], int], list[bool]]


class Waiting(NamedTuple):
    """One message that waits for a pipeline.

    Attributes:
        route: where it leads.
        message: as it came.
        source: what is acknowledged and counted.
        follows_gap: whether messages between it and the one before on its topic were given up.
    """

    route: Route
    message: Received
    source: Input
    follows_gap: bool = False


class Backlog:
    """The messages that wait for one pipeline.

    Args:
        policy: `latest` or `decimate`.
        limit: of the messages that a turn answers; the newest of each topic is beyond it.

    Attributes:
        shed: messages that were given up.
    """

    def __init__(self, policy: str, limit: int) -> None:
        self.shed = 0
        self._reason, self._keep = POLICIES[policy]
        self._limit = limit
        self._waiting: list[Waiting] = []

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def add(self, route: Route, message: Received, source: Input) -> None:
        """Have a message wait."""
        self._waiting.append(Waiting(route, message, source))

    def take(self) -> list[Waiting]:
        """Hand over what is to be answered, in order of arrival, and drop all else that waits."""
        waiting, self._waiting = self._waiting, []
        if len(waiting) <= self._limit:
            return waiting
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
        return taken


def doubted(route: Route) -> Route:
    """The same way, on which readings are UNCERTAIN at best."""
    decode: Callable[[bytes], Sequence[Any]] = route.decode

    def decode_doubted(payload: bytes) -> Sequence[Any]:
        return [one._replace(quality=max(one.quality, _UNCERTAIN)) for one in decode(payload)]

    return replace(route, decode=decode_doubted)


def latest(topics: Sequence[str], limit: int) -> list[bool]:
    """Which to keep: all but the oldest that a newer one on their topic supersedes."""
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
    """Which to keep: each n-th of a topic, counted from its newest, n as small as will do."""
    every = -(-len(topics) // limit)
    seen: Counter[str] = Counter()
    keep = []
    for topic in reversed(topics):
        keep.append(seen[topic] % every == 0)
        seen[topic] += 1
    return keep[::-1]


POLICIES: Final[Mapping[str, tuple[str, Shed]]] = {
    "latest": ("superseded", latest),
    "decimate": ("decimated", decimate),
}
"""Reason and choice by policy."""
