"""Recognises payload format `block`: many samples in one message."""

import base64
import binascii
import math
import struct
from dataclasses import dataclass
from typing import Final

from agent.learn.formats.json_rows import completed
from agent.learn.group import Group, by_depth
from agent.learn.seen.columns import Column, columns
from agent.learn.seen.encoding import NOT_JSON
from agent.learn.seen.fields import stated
from agent.learn.seen.message import LONG, Message, is_block, leaves
from agent.learn.seen.topic_shape import shape
from agent.learn.seen.units import unit_of_name
from agent.learn.seen.values import Values
from agent.learn.source import Signal, Source, names_for

_LARGEST: Final = 1e12
_SMALLEST: Final = 1e-12


@dataclass(frozen=True, slots=True)
class Blocks:
    """Arrays of numbers in JSON, base64 text of float32, or float32 alone."""

    dialect: str = "block"

    def family(self, message: Message) -> str | None:
        """By how the samples are written."""
        if message.document is NOT_JSON:
            return "float32" if are_floats(message.payload) else None
        if not isinstance(message.document, dict):
            return None
        kinds = {_kind(value) for _, value in leaves(message.document)}
        if message.encoding:  # base64 within another encoding is not read
            return "json" if "json" in kinds else None
        return next((kind for kind in ("json", "base64") if kind in kinds), None)

    def sources(self, group: Group) -> list[Source]:
        """One source for each depth of the topics."""
        found = []
        for records in by_depth(group.records).values():
            source = _source(Group(records, group.others))
            found += [source] if source is not None else []
        return found


def _source(group: Group) -> Source | None:
    messages = group.messages()
    cells = columns(messages) if messages[0].document is not NOT_JSON else []
    long = [one for one in cells if one.values and _kind(one.values[0])]
    by_signal = not long
    shaped = shape(group.topics, group.others, by_signal=by_signal)
    if shaped is None:
        return None
    if by_signal:
        words = [topic.split("/")[shaped.signal_level or -1] for topic in group.topics]
        signals = _named(list(dict.fromkeys(words)))
        note = "UNSURE: the payload is taken for float32 values, because its numbers look sensible."
        source = Source(shaped.template, "block", {"encoding": "float32"}, signals, (note,))
        return completed(source, group, shaped)
    fields = stated([one for one in cells if one not in long], len(messages))
    options = {"encoding": _kind(long[0].values[0]), **fields.options}
    options.pop("asset", None)
    notes = list(fields.notes)
    signals = _of_columns(long)
    if len(long) == 1 and isinstance(long[0].values[0], list) and _is_of_rows(long[0].values[0]):
        options["value"] = long[0].text
        width = len(long[0].values[0][0])
        signals = _named([f"signal{number + 1}" for number in range(width)])
        notes.append(
            f"UNSURE: each sample has {width} numbers, whose names are not told: give them in "
            "their order."
        )
    source = Source(shaped.template, "block", options, signals, tuple(notes))
    return completed(source, group, shaped, fields.times)


def _kind(value: object) -> str:
    """How a value writes samples; empty if it does not. CBOR and MessagePack have bytes, too."""
    if isinstance(value, bytes):
        return "json" if are_floats(value) else ""
    if is_block(value):
        return "json"
    if isinstance(value, str) and len(value) >= 4 * LONG:
        try:
            content = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            return ""
        return "base64" if are_floats(content) else ""
    return ""


def are_floats(content: bytes) -> bool:
    """Whether bytes look like float32 values: a few at least, all of a size that sensors have."""
    if len(content) < 4 * LONG or len(content) % 4:
        return False
    few = struct.unpack(f"<{min(len(content) // 4, 256)}f", content[: 4 * 256])
    return all(math.isfinite(one) and (one == 0 or _SMALLEST < abs(one) < _LARGEST) for one in few)


def _is_of_rows(value: list[object]) -> bool:
    return isinstance(value[0], list)


def _of_columns(cells: list[Column]) -> tuple[Signal, ...]:
    names = names_for(one.name for one in cells)
    return tuple(
        Signal(name, one.text, _SAMPLES, unit_of_name(one.name), (one.name,))
        for name, one in zip(names, cells, strict=True)
    )


def _named(words: list[str]) -> tuple[Signal, ...]:
    names = names_for(words)
    return tuple(
        Signal(name, word, _SAMPLES, unit_of_name(word), (word,))
        for name, word in zip(names, words, strict=True)
    )


_SAMPLES: Final = Values("number", LONG, -math.inf, math.inf)
