"""Recognises one topic for each signal: payload formats `scalar` and `umh`."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from agent.learn.formats.json_rows import completed
from agent.learn.group import Group, by_depth, pace
from agent.learn.seen import shown
from agent.learn.seen.clock import is_time_name
from agent.learn.seen.columns import UNIT_KEYS, VALUE_KEYS, Column, columns
from agent.learn.seen.encoding import NOT_JSON
from agent.learn.seen.fields import SEQUENCES, names_signal, stated
from agent.learn.seen.message import Message, key_of, leaves
from agent.learn.seen.quality_choice import QUALITIES
from agent.learn.seen.topic_shape import Shape, shape
from agent.learn.seen.units import unit_of_name
from agent.learn.seen.values import Values, summary
from agent.learn.source import Signal, Source, names_for
from models.input.codecs.scalar import MAX_PLAIN_BYTES

_WORD: Final = re.compile(r"[^\x00-\x1f\x7f{}\[\]<>=;|]{1,32}")
_BESIDE: Final = QUALITIES | SEQUENCES | {"id", "qos", "type", "datatype", "registerid", "address"}
_UMH_KEYS: Final = {"timestamp_ms", "value"}


@dataclass(frozen=True, slots=True)
class PlainScalars:
    """A payload that is one value as text."""

    dialect: str = "scalar"

    def family(self, message: Message) -> str | None:
        """A number, a truth value, or a short word."""
        return None if plain_value(message) is None else "plain"

    def sources(self, group: Group) -> list[Source]:
        """One source for each depth of the topics."""
        return _by_signal(self.dialect, group, is_plain=True)


@dataclass(frozen=True, slots=True)
class ObjectScalars:
    """An object with one value, and perhaps its time and quality."""

    dialect: str = "scalar"

    def family(self, message: Message) -> str | None:
        """An object with one value under a usual key."""
        if not isinstance(message.document, dict):
            return None
        if "fields" in message.document or len(message.document) > _MOST_KEYS:
            return None
        return None if value_path(message.document) is None else "object"

    def sources(self, group: Group) -> list[Source]:
        """One source for each depth of the topics."""
        return _by_signal(self.dialect, group, is_plain=False)


_MOST_KEYS: Final = 24


@dataclass(frozen=True, slots=True)
class Umh:
    """The payload of United Manufacturing Hub: exactly time and value."""

    dialect: str = "umh"

    def family(self, message: Message) -> str | None:
        """Exactly the two keys."""
        document = message.document
        return "umh" if isinstance(document, dict) and document.keys() == _UMH_KEYS else None

    def sources(self, group: Group) -> list[Source]:
        """One source for each depth of the topics."""
        return [
            replace(source, options=_only(source.options, "numbers"))
            for source in _by_signal(self.dialect, group, is_plain=False)
        ]


def plain_value(message: Message) -> object | None:
    """The value that a payload is; None if it is none."""
    document, payload = message.document, message.payload
    if type(document) in (int, float, bool):
        return document  # type: ignore[no-any-return]  # one of the three
    if document is not NOT_JSON or not 0 < len(payload) <= MAX_PLAIN_BYTES:
        return None
    try:
        text = payload.decode().strip()
    except UnicodeDecodeError:
        return None
    return text if _WORD.fullmatch(text) and text.isprintable() else None


def value_path(document: dict[str, Any]) -> str | None:
    """The path of the one value in an object; None if there is none, or several."""
    found = leaves(document)
    named = [path for path, value in found if _is_value(key_of(path), value)]
    if len(named) != 1:
        return None
    others = [
        path
        for path, value in found
        if isinstance(value, int | float) and path != named[0] and not _is_beside(key_of(path))
    ]
    return None if others else ".".join(map(str, named[0]))


def _is_value(key: str, value: object) -> bool:
    return key.casefold() in VALUE_KEYS and isinstance(value, int | float | str)


def _is_beside(key: str) -> bool:
    """Whether a number stands beside a value: its time, its quality, its number or its source."""
    return is_time_name(key) or key.casefold() in _BESIDE


def _by_signal(dialect: str, group: Group, *, is_plain: bool) -> list[Source]:
    found: list[Source] = []
    for records in by_depth(group.records).values():
        part = Group(records, group.others)
        shaped = shape(part.topics, part.others, by_signal=True)
        if shaped is None:
            continue
        messages = part.messages()
        source = (
            _plain_source(part, shaped, messages)
            if is_plain
            else _object_source(dialect, part, shaped, messages)
        )
        found += [source] if source is not None and source.signals else []
    return found


def _plain_source(group: Group, shaped: Shape, messages: Sequence[Message]) -> Source:
    values: dict[str, list[object]] = {}
    for message in messages:
        values.setdefault(_word(message.topic, shaped), []).append(plain_value(message))
    signals = _signals(values, group, shaped)
    options: dict[str, object] = {}
    if any(one.values.is_quoted and one.values.unit for one in signals) or any(
        _has_comma(one.values) for one in signals
    ):
        options["numbers"] = "lenient"
    note = "The payload is the value alone, without a time: the time of arrival counts."
    source = Source(shaped.template, "scalar", options, tuple(signals), (note,))
    return completed(source, group, shaped)


def _has_comma(values: Values) -> bool:
    return values.is_quoted and any("," in one for one in values.examples)


def _object_source(
    dialect: str, group: Group, shaped: Shape, messages: Sequence[Message]
) -> Source | None:
    cells = columns(messages)
    value = _value_column(cells)
    if value is None:
        return None
    cells = [one for one in cells if one is not value]
    namer = names_signal(cells)
    fields = stated([one for one in cells if one is not namer], len(messages))
    if dialect != "scalar":
        namer = None
    if namer is not None:
        fields.options["signal"] = namer.text
    if namer is not None or fields.assets is not None:
        reshaped = shape(
            group.topics,
            group.others,
            by_signal=namer is None,
            has_asset=fields.assets is not None,
        )
        shaped = reshaped if reshaped is not None else shaped
    fields.options["value"] = value.text
    by_name: dict[str, list[object]] = {}
    names = {one.row: str(one.value) for one in namer.found} if namer is not None else {}
    for one in value.found:
        name = names.get(one.row, "") if names else _word(one.topic, shaped)
        by_name.setdefault(name, []).append(one.value)
    signals = _signals(by_name, group, shaped)
    signals = _with_units(signals, cells, shaped)
    if any(one.values.is_quoted for one in signals):
        fields.options["numbers"] = "lenient"
    source = Source(shaped.template, dialect, fields.options, tuple(signals), tuple(fields.notes))
    named = fields.assets.values if fields.assets else ()
    return completed(source, group, shaped, fields.times, named)


def _value_column(cells: Sequence[Column]) -> Column | None:
    named = [one for one in cells if one.key.casefold() in VALUE_KEYS]
    return max(named, key=lambda one: len(one.values)) if named else None


def _word(topic: str, shaped: Shape) -> str:
    levels = topic.split("/")
    return levels[shaped.signal_level] if shaped.signal_level is not None else levels[-1]


def _signals(values: dict[str, list[object]], group: Group, shaped: Shape) -> list[Signal]:
    records: dict[str, list[Any]] = {}
    for record in group.records:
        records.setdefault(_word(record.topic, shaped), []).append(record)
    kept = {
        word: summed
        for word, found in values.items()
        if (summed := summary(found, word)).kind in ("number", "boolean", "state")
        and word
        and not shown.is_secret(word)
    }
    return [
        Signal(
            name,
            word,
            values_of,
            values_of.unit or unit_of_name(word),
            (word,),
            found.median_s if (found := pace(records.get(word, ()))) else None,
        )
        for name, (word, values_of) in zip(names_for(kept), kept.items(), strict=True)
    ]


def _with_units(signals: list[Signal], cells: Sequence[Column], shaped: Shape) -> list[Signal]:
    """Signals with the units that stand beside their values."""
    column = next((one for one in cells if one.key.casefold() in UNIT_KEYS), None)
    if column is None:
        return signals
    units: dict[str, Counter[str]] = {}
    for one in column.found:
        if isinstance(one.value, str):
            units.setdefault(_word(one.topic, shaped), Counter())[one.value[:32]] += 1
    return [
        replace(
            one,
            unit=one.unit or (units[one.where].most_common(1)[0][0] if one.where in units else ""),
        )
        for one in signals
    ]


def _only(options: Any, *names: str) -> dict[str, object]:  # noqa: ANN401  a mapping of TOML values
    return {name: value for name, value in options.items() if name in names}
