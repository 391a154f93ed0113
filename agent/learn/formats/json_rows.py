"""Recognises payload format `json`: objects with several signals; and `thingsboard`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from agent.learn import group as groups
from agent.learn.group import Group
from agent.learn.seen import shown
from agent.learn.seen.columns import VALUE_KEYS, Column, columns, unit_beside
from agent.learn.seen.fields import ID, SEQUENCES, Stated, guess_asset, is_rising, stated
from agent.learn.seen.message import Message
from agent.learn.seen.topic_shape import Shape, open_shape, shape
from agent.learn.seen.units import unit_of_name
from agent.learn.source import Signal, Source, names_for

_NO_SIGNALS: Final = frozenset(["id", "uuid", "guid", "version", "qos", "retain", "schema"])


@dataclass(frozen=True, slots=True)
class JsonRows:
    """Objects with the signals of one moment, whatever their keys are."""

    dialect: str = "json"

    def family(self, message: Message) -> str | None:
        """Any object or array of objects."""
        document = message.document
        if isinstance(document, dict) and document:
            return "json"
        is_list = isinstance(document, list) and document
        return "json" if is_list and all(isinstance(one, dict) for one in document) else None

    def sources(self, group: Group) -> list[Source]:
        """One source, or one for each depth of the topics."""
        depths = groups.by_depth(group.records)
        if len(depths) == 1:
            found = shape(group.topics, group.others, by_signal=False)
            return _sources(self.dialect, group, found)
        if (found := open_shape(group.topics, group.others)) is not None:
            return _sources(self.dialect, group, found)
        parts = [Group(records, group.others) for records in depths.values()]
        return [source for part in parts for source in self.sources(part)]


def _sources(dialect: str, group: Group, found: Shape | None) -> list[Source]:
    if found is None:
        return []
    messages = group.messages()
    source = row_source(dialect, group, found, messages, columns(messages))
    return [source] if source.signals else []


def row_source(
    dialect: str, group: Group, found: Shape, messages: Sequence[Message], cells: list[Column]
) -> Source:
    """The source of rows whose values are bound by their paths."""
    fields = stated(cells, len(messages))
    guess_asset(cells, fields)
    if fields.assets is not None and not found.template.endswith("...}"):
        reshaped = shape(group.topics, group.others, by_signal=False, has_asset=True)
        found = found if reshaped is None else reshaped
    if fields.assets is not None and found.template.endswith("...}"):
        _leave_asset_out(fields)
    signals = signals_of([one for one in cells if one.path not in fields.used], cells)
    if any(one.values.is_quoted for one in signals):
        fields.options["numbers"] = "lenient"
    named = [*fields.assets.values] if fields.assets else []
    return completed(
        Source(found.template, dialect, fields.options, tuple(signals), tuple(fields.notes)),
        group,
        found,
        fields.times,
        named,
    )


def _leave_asset_out(fields: Stated) -> None:
    """A path of the asset cannot stand behind a level of variable depth."""
    path = fields.options.pop("asset")
    fields.notes.append(
        f"UNSURE: {shown.plain(str(path))} names several assets on one topic, which cannot be read "
        "under a topic of variable depth: write an input for each depth."
    )
    fields.assets = None


def completed(
    source: Source,
    group: Group,
    found: Shape,
    times: Sequence[tuple[str, int, int]] = (),
    named: Iterable[Any] = (),
) -> Source:
    """A source with all that follows from its topics and times."""
    notes = list(source.notes)
    if found.assumed:
        notes.append(
            f"UNSURE: only '{shown.plain(found.assumed)}' was seen at the level {{asset}}: write "
            "it in its place if nothing else is to be read."
        )
    waiting_ms, late_ms = (0, 0.0)
    if not source.options.get("asset") and source.dialect != "block":
        waiting_ms, late_ms = groups.disorder_ms(source.topic, times)
    if late_ms and not waiting_ms:
        notes.append(
            f"UNSURE: times arrive up to {late_ms / 1000:.0f} s out of order, which is more than "
            "disorder_ms may allow: later readings will be dropped as late."
        )
    return Source(
        source.topic,
        source.dialect,
        source.options,
        source.signals,
        tuple(notes),
        len(group.records),
        group.live,
        list(dict.fromkeys(map(str, named))) or groups.assets(source.topic, group.topics),
        None if {"asset", "signal"} & source.options.keys() else groups.pace(group.records),
        waiting_ms,
    )


def signals_of(cells: Sequence[Column], beside: Sequence[Column]) -> list[Signal]:
    """The columns that are signals, with names that differ."""
    summed = [(one, one.summary()) for one in cells]
    kept = [
        (one, values)
        for one, values in summed
        if values.kind in ("number", "boolean", "state")
        and not _is_label(one)
        and not shown.is_secret(one.text)
    ]
    plain = [one.name for one, _ in kept]
    wheres = [
        name if name and plain.count(name) == 1 else _joined(one)
        for name, (one, _) in zip(plain, kept, strict=True)
    ]
    return [
        Signal(
            name,
            one.text,
            values,
            values.unit or unit_beside(one, beside) or unit_of_name(one.name),
            (one.name, _joined(one)),
        )
        for name, (one, values) in zip(names_for(wheres), kept, strict=True)
    ]


def _is_label(column: Column) -> bool:
    """Whether values name or count the message, and measure nothing."""
    key = column.key.casefold()
    if key in SEQUENCES:
        return is_rising(column.values)
    return key in _NO_SIGNALS or ID.fullmatch(column.key) is not None


def _joined(column: Column) -> str:
    words = [step for step in column.path if isinstance(step, str)]
    if len(words) > 1 and words[-1].casefold() in VALUE_KEYS:
        words.pop()
    texts = [str(getattr(step, "text", step)) for step in column.path if not isinstance(step, str)]
    return "_".join([*words, *texts])
