"""Recognises Sparkplug B: nodes that publish metrics of their devices as protobuf.

Names of metrics are in the births of a device; its data have numbers (aliases) in their place. So
only what was born while it was listened to has signals here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from agent.learn.formats.json_rows import completed
from agent.learn.group import Group
from agent.learn.seen.message import Message
from agent.learn.seen.topic_shape import Shape
from agent.learn.seen.values import summary
from agent.learn.source import Signal, Source, names_for
from models.errors import DecodeError
from models.sparkplug.datatype import typed
from models.sparkplug.decoder import decode
from models.sparkplug.payload import Metric

_NAMESPACE: Final = "spBv1.0"
_TYPES: Final = frozenset(
    ["NBIRTH", "NDEATH", "NDATA", "NCMD", "DBIRTH", "DDEATH", "DDATA", "DCMD", "STATE"]
)
_NODE_LEVELS: Final = 4
_MOST_METRICS: Final = 1_000


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
        found = decode(content).metrics[:_MOST_METRICS]
    except DecodeError:
        return ()
    return [(one.name, _value(one)) for one in found if one.name is not None]


def _value(metric: Metric) -> object:
    """The value as its data type means it; None for one that is not read."""
    try:
        return typed(metric.value, metric.datatype)
    except DecodeError:
        return None
