"""Recognises payloads of named products, which are lists of tags.

A product has a function that takes a document apart into tags, and returns none for a document that
is not its own. Its payload format is used where this release reads it; otherwise the payload is
left to the formats behind it, such as `json` with a path for each tag.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from agent.learn.formats.json_rows import completed
from agent.learn.formats.products import Tag
from agent.learn.group import Group, by_depth
from agent.learn.seen import shown
from agent.learn.seen.clock import clock_of
from agent.learn.seen.message import Message
from agent.learn.seen.topic_shape import open_shape, shape
from agent.learn.seen.units import unit_of_name
from agent.learn.seen.values import summary
from agent.learn.source import Signal, Source, names_for
from models.errors import DecodeError
from models.input.codecs.times import to_time_ns
from models.input.source import Input
from models.input.tags.layout import NAMED

_BY_ASSET: Final = frozenset({"thingsboard-gateway"})
"""Payload formats whose payloads have an asset as the key of its tags."""
SEPARATOR: Final = "name_separator"
"""The setting by which the name of a tag is divided into asset and signal."""


Read = Callable[[Any], "Sequence[Tag]"]
"""Takes a document apart into its tags; none for a document that is not of the product."""


@dataclass(frozen=True, slots=True)
class TagList:
    """One product.

    Attributes:
        dialect: the payload format that reads it.
        read: takes its documents apart.
    """

    dialect: str
    read: Read

    def family(self, message: Message) -> str | None:
        """Whatever the product's function takes apart."""
        return self.dialect if self._tags(message) else None

    def _tags(self, message: Message) -> Sequence[Tag]:
        try:
            tags = self.read(message.document)
        except (KeyError, TypeError, AttributeError, DecodeError):
            return ()
        return [tag for tag in tags if isinstance(tag.name, str) and tag.name]

    def sources(self, group: Group) -> list[Source]:
        """One source, or one for each depth of the topics."""
        values: dict[str, list[object]] = {}
        times: list[tuple[str, int, int]] = []
        units: Counter[str] = Counter()
        for message in group.messages():
            for tag in self._tags(message):
                values.setdefault(tag.name, []).append(tag.value)
                times += timed(message, tag)
                units[unit_of(message, tag)] += 1
        separator, named = _divided(values)
        has_asset = bool(separator) or self.dialect in _BY_ASSET
        depths = by_depth(group.records)
        if len(depths) == 1:
            found = shape(group.topics, group.others, by_signal=False, has_asset=has_asset)
        elif has_asset or (found := open_shape(group.topics, group.others)) is None:
            parts = [Group(records, group.others) for records in depths.values()]
            return [source for part in parts for source in self.sources(part)]
        if found is None:
            return []
        source = Source(
            found.template,
            self.dialect,
            ({SEPARATOR: separator} if separator else {}) | _unit(self.dialect, units),
            tuple(signals_of(values, separator)),
            tuple(_notes(separator, named)),
        )
        if not source.signals:
            return []
        return [completed(source, group, found, () if has_asset else times, named)]


def timed(message: Message, tag: Tag) -> Iterator[tuple[str, int, int]]:
    """Topic, arrival and source time of a tag, nanoseconds since 1970; nothing without one."""
    if tag.time is None or (clock := clock_of("time", [(message.at_ns, tag.time)])) is None:
        return
    yield message.topic, message.at_ns, to_time_ns(tag.time, clock.unit)


def unit_of(message: Message, tag: Tag) -> str:
    """The unit of the time of a tag; empty where it has none that can be told."""
    clock = clock_of("time", [(message.at_ns, tag.time)]) if tag.time is not None else None
    return "" if clock is None else clock.unit


def _unit(dialect: str, units: Counter[str]) -> dict[str, str]:
    """The setting of the unit of times, where it is another than the payload format has."""
    usual = {form.timestamp_unit for form in NAMED.get(dialect, ()) if not form.nanoseconds}
    ((unit, _),) = units.most_common(1) or [("", 0)]
    return {"timestamp_unit": unit} if unit and usual and unit not in usual else {}


def _divided(names: Iterable[str]) -> tuple[str, list[str]]:
    """The sign behind the asset in names, and the assets; empty where the names have none.

    Names have an asset if the same signals stand behind several.
    """
    if SEPARATOR not in Input.model_fields:
        return "", []
    for sign in (".", "/", ":"):
        split = [name.rpartition(sign) for name in names]
        assets = list(dict.fromkeys(asset for asset, found, _ in split if found))
        counts = Counter(signal for _, found, signal in split if found)
        if len(assets) > 1 and 2 * sum(count > 1 for count in counts.values()) > len(counts):
            return sign, assets
    return "", []


def _notes(separator: str, named: Sequence[str]) -> Iterator[str]:
    if separator:
        written = shown.two(shown.value(name) for name in named)
        yield (
            f"The names of the tags begin with the asset, such as {written}: they are divided at "
            f"their last '{separator}'."
        )


def signals_of(values: Mapping[str, list[object]], separator: str) -> list[Signal]:
    """The signals of tags, by the values of each name; see `_divided` for the separator."""
    found: dict[str, list[object]] = {}
    for name, ones in values.items():
        where = name.rpartition(separator)[2] if separator else name
        found.setdefault(where, []).extend(ones)
    summed = {where: summary(ones, where) for where, ones in found.items()}
    kept = {
        where: one
        for where, one in summed.items()
        if one.kind in ("number", "boolean", "state") and not shown.is_secret(where)
    }
    last = {where: re.split(r"[./:|]", where)[-1] or where for where in kept}
    plain = [
        word if list(last.values()).count(word) == 1 else where for where, word in last.items()
    ]
    return [
        Signal(name, where, one, one.unit or unit_of_name(last[where]), (last[where], where))
        for name, (where, one) in zip(names_for(plain), kept.items(), strict=True)
    ]
