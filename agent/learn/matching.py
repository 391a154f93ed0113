"""Which of the signals that were seen a model means, by name and unit."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Final

from agent.learn.seen.units import same, without_unit
from agent.learn.source import Signal, Source
from models.bundle.manifest import Channel

SURE: Final = 1.0
_ALIKE: Final = 0.82
_MOST_NEAR: Final = 3
_PART: Final = 0.9
_SHORTEST_WORD: Final = 3


@dataclass(frozen=True, slots=True)
class Match:
    """A signal of the model, and what it is on the wire.

    Attributes:
        channel: the signal of the model.
        signal: the signal that was seen.
        certainty: `SURE` where the names are the same, less where they are alike.
    """

    channel: Channel
    signal: Signal
    certainty: float

    @property
    def has_other_unit(self) -> bool:
        """Whether both tell a unit, and not the same one."""
        units = (self.channel.unit, self.signal.unit)
        return all(units) and not same(*units)

    @property
    def is_outside(self) -> bool:
        """Whether values were seen outside the range that the model states."""
        limits, values = self.channel.valid_range, self.signal.values
        if limits is None or values.kind != "number":
            return False
        return values.low < limits[0] or values.high > limits[1]


@dataclass(frozen=True, slots=True)
class Fit:
    """How far a source serves a model.

    Attributes:
        source: the source.
        matches: the signals of the model that it carries, by name.
        refused: signals of the same name in another unit, or that the model cannot read.
    """

    source: Source
    matches: Mapping[str, Match]
    refused: Mapping[str, Match]


def fit(channels: Sequence[Channel], source: Source) -> Fit:
    """The signals of a source that a model means.

    A signal in another unit is none of them: it would be read as a wrong value.
    """
    pairs = [
        Match(channel, signal, certainty)
        for channel in channels
        for signal in source.signals
        if (certainty := _likeness(channel, signal)) >= _ALIKE
    ]
    pairs.sort(key=lambda one: (-one.certainty, one.is_outside))
    matches: dict[str, Match] = {}
    refused: dict[str, Match] = {}
    taken: set[str] = set()
    for pair in pairs:
        name = pair.channel.name
        if name in matches or pair.signal.where in taken or _is_doubled(pair, pairs):
            continue
        if pair.has_other_unit or not _is_readable(pair):
            refused.setdefault(name, pair)
            continue
        matches[name] = pair
        taken.add(pair.signal.where)
    return Fit(source, matches, {k: one for k, one in refused.items() if k not in matches})


def near(channel: Channel, signals: Iterable[Signal]) -> list[Signal]:
    """Signals that a person may mean by a channel that was not found, the likeliest first.

    Args:
        channel: the signal of the model.
        signals: those that were seen and are not bound.
    """
    found: list[tuple[float, Signal]] = []
    for signal in signals:
        pair = Match(channel, signal, 0.0)
        if pair.has_other_unit or not _is_readable(pair):
            continue
        is_of_unit = bool(channel.unit and signal.unit)
        found.append((2 * is_of_unit + _likeness(channel, signal) - pair.is_outside, signal))
    found.sort(key=lambda one: -one[0])
    return [signal for _, signal in found[:_MOST_NEAR]]


def _is_readable(pair: Match) -> bool:
    """Whether the model reads such values: numbers and booleans, and states by its codes."""
    return pair.signal.values.is_numeric or bool(pair.channel.codes)


def _is_doubled(pair: Match, pairs: Sequence[Match]) -> bool:
    """Whether two signals are as likely; nothing is chosen then, unless both are sure."""
    if pair.certainty == SURE:
        return False
    return any(
        other.channel is pair.channel
        and other.signal is not pair.signal
        and other.certainty == pair.certainty
        and not other.has_other_unit
        for other in pairs
    )


def _likeness(channel: Channel, signal: Signal) -> float:
    return max((_alike(channel.name, word) for word in (signal.name, *signal.words)), default=0.0)


def _alike(wanted: str, found: str) -> float:
    if wanted == found:
        return SURE
    one, other = _squeezed(wanted), _squeezed(found)
    if one == other or _squeezed(without_unit(wanted)) == _squeezed(without_unit(found)):
        return SURE
    if not one or not other:
        return 0.0
    words, others = _words(wanted), _words(found)
    if len(one) >= _SHORTEST_WORD and (words <= others or others <= words):
        return _PART
    return min(SequenceMatcher(None, one, other).ratio(), _PART - 0.01)


def _squeezed(text: str) -> str:
    return re.sub(r"[\W_]+", "", text).casefold()


def _words(text: str) -> frozenset[str]:
    parts = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+", text)
    return frozenset(part.casefold() for part in parts) or frozenset({text.casefold()})
