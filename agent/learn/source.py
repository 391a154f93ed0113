"""What was recognised: an input with its signals, and all that a person should know of it."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from agent.learn.seen.values import Values

_NOT_IN_A_NAME: Final = re.compile(r"[^A-Za-z0-9_-]+")
_MAX_NAME: Final = 64


@dataclass(frozen=True, slots=True)
class Signal:
    """A signal that was seen.

    Attributes:
        name: a name that the configuration allows, unique in its source.
        where: path in the payload, word at the level `{signal}`, or name of the tag.
        values: what its values are.
        unit: engineering unit; empty where none is told.
        words: what a person may call it, for the comparison with a model: its key, its path.
        period_s: median time from one value to the next, in seconds; None if it is not known.
    """

    name: str
    where: str
    values: Values
    unit: str = ""
    words: tuple[str, ...] = ()
    period_s: float | None = None


@dataclass(frozen=True, slots=True)
class Pace:
    """How often messages arrive on a topic.

    Attributes:
        median_s: median time from one message to the next, in seconds.
        low_s: the tenth part of the times is shorter.
        high_s: the tenth part of the times is longer.
    """

    median_s: float
    low_s: float
    high_s: float


@dataclass(frozen=True, slots=True)
class Source:
    """An input that can read what was seen on some topics.

    Attributes:
        topic: topic template.
        dialect: payload format.
        options: further keys of the input, by name.
        signals: the signals that were seen.
        notes: what a person should know or decide, a sentence each.
        topics: number of topics.
        messages: number of messages.
        assets: the assets that were seen.
        pace: how often a topic has a message; None if too few have arrived.
        disorder_ms: allowed lateness that would put what was seen in order; 0 for none.
    """

    topic: str
    dialect: str
    options: Mapping[str, object]
    signals: tuple[Signal, ...]
    notes: tuple[str, ...] = ()
    topics: int = 1
    messages: int = 0
    assets: Sequence[str] = field(default=())
    pace: Pace | None = None
    disorder_ms: int = 0


def names_for(wheres: Iterable[str]) -> list[str]:
    """Names that the configuration allows, one for each text, all different."""
    taken: dict[str, None] = {}
    for where in wheres:
        stem = _NOT_IN_A_NAME.sub("_", where).strip("_-")[:_MAX_NAME] or "signal"
        name, number = stem, 2
        while name in taken:
            name, number = f"{stem[: _MAX_NAME - 6]}_{number}", number + 1
        taken[name] = None
    return list(taken)
