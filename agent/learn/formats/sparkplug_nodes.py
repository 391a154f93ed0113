"""Recognises Sparkplug B: nodes that publish metrics of their devices as protobuf.

Names of metrics are in the births of a device; its data have numbers (aliases) in their place. So
only what was born while it was listened to has signals here. Only names and kinds of values are
read: Eclipse Tahu, sparkplug_b.proto.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from agent.learn.formats.json_rows import completed
from agent.learn.group import Group
from agent.learn.seen.message import Message
from agent.learn.seen.topic_shape import Shape
from agent.learn.seen.values import summary
from agent.learn.source import Signal, Source, names_for

_NAMESPACE: Final = "spBv1.0"
_TYPES: Final = frozenset(
    ["NBIRTH", "NDEATH", "NDATA", "NCMD", "DBIRTH", "DDEATH", "DDATA", "DCMD", "STATE"]
)
_NODE_LEVELS: Final = 4
_METRIC: Final = 2
_NAME, _INT, _LONG, _FLOAT, _DOUBLE, _BOOLEAN, _TEXT = 1, 10, 11, 12, 13, 14, 15
_VARINT, _EIGHT, _LENGTH, _FOUR = 0, 1, 2, 5
_MOST_METRICS: Final = 1_000
_MORE: Final = 0x80
_MOST_BITS: Final = 63


@dataclass(frozen=True, slots=True)
class SparkplugNodes:
    """Topics of Sparkplug B with payloads in protobuf."""

    dialect: str = "sparkplug"

    def family(self, message: Message) -> str | None:
        """Metrics of devices, or of the nodes themselves."""
        levels = message.topic.split("/")
        if levels[0] != _NAMESPACE or levels[2:3] == [] or levels[2] not in _TYPES:
            return None
        if message.payload.lstrip()[:1] == b"{":
            return None
        return "device" if len(levels) > _NODE_LEVELS else "node"

    def sources(self, group: Group) -> list[Source]:
        """One source for all devices, or for all nodes."""
        has_device = group.topics[0].count("/") == _NODE_LEVELS
        template = f"{_NAMESPACE}/{{group}}/{{type}}/{{node}}{'/{device}' if has_device else ''}"
        values: dict[str, list[object]] = {}
        devices: dict[str, None] = {}
        for message in group.messages():
            levels = message.topic.split("/")
            if levels[2] in ("DBIRTH", "DDATA", "NBIRTH", "NDATA"):
                devices["/".join((levels[1], *levels[3:]))] = None
                for name, value in metrics(message.payload):
                    values.setdefault(name, []).append(value)
        signals = _signals(values)
        notes = () if signals or not has_device else (_UNBORN,)
        source = Source(template, self.dialect, {}, signals, notes)
        return [replace(completed(source, group, Shape(template)), assets=list(devices))]


_UNBORN: Final = (
    "UNSURE: data were seen and no birth, so that the names of the metrics are not known: restart "
    "the node, or have it born again (Node Control/Rebirth), while millhand-agent learn listens."
)


def _signals(values: Mapping[str, list[object]]) -> tuple[Signal, ...]:
    kept = {
        name: one
        for name, found in values.items()
        if (one := summary(found, name)).kind in ("number", "boolean", "state")
        and name != "bdSeq"
        and not name.startswith("Node Control/")
    }
    last = {name: name.rpartition("/")[2] or name for name in kept}
    plain = [word if list(last.values()).count(word) == 1 else name for name, word in last.items()]
    return tuple(
        Signal(name, where, values_of, words=(last[where], where))
        for name, (where, values_of) in zip(names_for(plain), kept.items(), strict=True)
    )


def metrics(content: bytes) -> Sequence[tuple[str, object]]:
    """Name and value of the metrics of a payload that have a name; none if it cannot be read."""
    try:
        return [
            found
            for field, raw in _fields(content)
            if field == _METRIC and isinstance(raw, bytes) and (found := _metric(raw)) is not None
        ][:_MOST_METRICS]
    except (ValueError, IndexError, struct.error):
        return ()


def _metric(content: bytes) -> tuple[str, object] | None:
    found = dict(_fields(content))
    name = found.get(_NAME)
    if not isinstance(name, bytes):
        return None
    value: object = next((found[at] for at in (_INT, _LONG, _FLOAT, _DOUBLE) if at in found), None)
    if _BOOLEAN in found:
        value = bool(found[_BOOLEAN])
    text = found.get(_TEXT)
    if isinstance(text, bytes):
        value = text.decode()
    return name.decode(), value


def _fields(content: bytes) -> Iterator[tuple[int, int | float | bytes]]:
    """Number and value of each field of a protobuf message (Protocol Buffers, Encoding).

    Raises:
        ValueError, IndexError, struct.error: the bytes are no such message.
    """
    at = 0
    while at < len(content):
        key, at = _varint(content, at)
        kind = key & 7
        if kind == _VARINT:
            number, at = _varint(content, at)
            yield key >> 3, number
        elif kind == _LENGTH:
            size, at = _varint(content, at)
            if at + size > len(content):
                raise ValueError("a field is longer than its message")
            yield key >> 3, content[at : at + size]
            at += size
        elif kind in (_EIGHT, _FOUR):
            form, size = ("<d", 8) if kind == _EIGHT else ("<f", 4)
            yield key >> 3, struct.unpack_from(form, content, at)[0]
            at += size
        else:
            raise ValueError("an unknown kind of field")


def _varint(content: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = content[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < _MORE:
            return number, at
        if shift > _MOST_BITS:
            raise ValueError("a number of more than 64 bits")
