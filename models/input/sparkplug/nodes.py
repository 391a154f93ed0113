"""What is known of the nodes of Sparkplug B: which metrics they have, and whether they are alive.

A birth names each metric and gives it an alias, and data have the alias alone (Sparkplug 3.0.0,
6.4.10). Births are not retained, so they are remembered across restarts.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from models.errors import DecodeError
from models.input.memory import Requests
from models.input.source import Input
from models.input.sparkplug.topic import NAMESPACE
from models.sparkplug.datatype import DataType
from models.sparkplug.encoder import encode
from models.sparkplug.frame import Frame
from models.sparkplug.payload import REBIRTH, Metric, Payload

MAX_NODES: Final = 10_000
"""Nodes that one input remembers; births of others are refused as `too_many_nodes`."""
MAX_METRICS: Final = 100_000
"""Metrics of a node or a device that are remembered; those beyond are not known by their alias."""
MAX_SHAPES: Final = 100
"""Lengths of payloads of one device for which it is remembered how they are read."""
_SEQUENCE: Final = 256  # numbers of messages go from 0 to 255, and begin with 0 at a birth


FIRST_WAIT_S: Final = 1.0
"""Seconds until a node is asked for its birth once more, the first time."""
MOST_WAIT_S: Final = 60.0
_REBIRTH: Final = encode(
    Payload(metrics=[Metric(REBIRTH, datatype=DataType.BOOLEAN, value=True)]), is_birth=True
)


class Known(NamedTuple):
    """What a birth has said of a metric.

    Attributes:
        name: its name.
        datatype: number of its data type.
    """

    name: str
    datatype: int


class Shape(NamedTuple):
    """How data of one length are read.

    Attributes:
        frame: takes their numbers out; None if they have to be read metric by metric.
        places: which of the bound signals have a value in them, ascending.
        pick: takes the values of these out of all, in the order of `places`.
    """

    frame: Frame | None
    places: tuple[int, ...]
    pick: Callable[[Sequence[float]], Sequence[float]]


NO_SHAPE: Final = Shape(None, (), tuple)


@dataclass(slots=True)
class Device:
    """A device of a node, or the node itself.

    Attributes:
        by_alias: the metrics by their alias; None for one that is not to be remembered.
        datatypes: data type of each metric by its name.
        last_ns: newest time of its readings, nanoseconds since 1970; 0 before the first.
        shapes: how data are read, by the length of their payload.
        reader: whose shapes these are.
    """

    by_alias: dict[int, Known | None] = field(default_factory=dict)
    datatypes: dict[str, int] = field(default_factory=dict)
    last_ns: int = 0
    shapes: dict[int, Shape] = field(default_factory=dict)
    reader: object = None


@dataclass(slots=True)
class Node:
    """A node.

    Attributes:
        bd_seq: number of its birth, by which its death is known; None if the birth had none.
        seq: number of its last message.
        is_sure: whether no message was missed since the birth, so that the aliases hold.
        is_alive: whether no death has come since the birth.
        devices: its devices by name; the node itself under the empty name.
    """

    bd_seq: int | None = None
    seq: int = 0
    is_sure: bool = True
    is_alive: bool = True
    devices: dict[str, Device] = field(default_factory=dict)

    def heard(self, seq: int | None) -> None:
        """Note the number of a message; after a gap, births may have been missed."""
        if seq is None or seq == self.seq:
            return  # the same message once more
        if seq != (self.seq + 1) % _SEQUENCE:
            self.is_sure = False
        self.seq = seq


class Nodes:
    """What an input knows of the nodes that it hears.

    Args:
        source: the input, whose signals are the metrics to remember; without any, all are.

    Attributes:
        unknown: nodes whose birth is missing, as group and name of the node.
        max_bytes: bytes that a compressed payload may have once it is inflated.
        own: group and name of the node that the gateway itself is, which is not read; None where it
            is none.
    """

    def __init__(self, source: Input) -> None:
        self.unknown: set[tuple[str, str]] = set()
        self.max_bytes, self.own = source.bounds
        self._asks = source.rebirth
        self._next_s: dict[tuple[str, str], tuple[float, float]] = {}
        self._names = frozenset(source.signals.values())
        self._nodes: dict[tuple[str, str], Node] = {}

    def get(self, group: str, name: str) -> Node | None:
        """A node; None before its birth."""
        return self._nodes.get((group, name))

    def born(self, group: str, name: str, payload: Payload) -> Node:
        """Note the birth of a node, which ends the births of its devices.

        Raises:
            DecodeError: `too_many_nodes`.
        """
        key = group, name
        if key not in self._nodes and len(self._nodes) >= MAX_NODES:
            raise DecodeError("too_many_nodes")
        before = self._nodes.get(key)
        node = self._nodes[key] = Node(payload.bd_seq, payload.seq or 0)
        if before is not None:
            node.devices = {one: Device(last_ns=old.last_ns) for one, old in before.devices.items()}
        self.unknown.discard(key)
        self._next_s.pop(key, None)
        return node

    def describe(self, node: Node, name: str, payload: Payload) -> Device:
        """Note the metrics that a birth has, of a device or of the node itself."""
        device = Device()
        if (before := node.devices.get(name)) is not None:
            device.last_ns = before.last_ns
        for metric in payload.metrics[:MAX_METRICS]:
            if metric.name is None:
                continue
            is_kept = not self._names or metric.name in self._names
            if is_kept:
                device.datatypes[metric.name] = metric.datatype
            if metric.alias is not None:
                known = Known(metric.name, metric.datatype)
                device.by_alias[metric.alias] = known if is_kept else None
        if name in node.devices or len(node.devices) < MAX_NODES:
            node.devices[name] = device
        return device

    def requests(self, now_s: float, most: int) -> Requests:
        """Requests for the births that are missing, where the input may ask for them.

        Each node is asked again after one second at the soonest, and after twice as long each time
        up to a minute, until it has sent its birth. Those that have waited longest come first.

        Args:
            now_s: monotonic seconds.
            most: how many requests are allowed now.
        """
        due = []
        for key in self.unknown if self._asks else ():
            due_s, wait_s = self._next_s.get(key, (0.0, FIRST_WAIT_S))
            if now_s >= due_s:
                due.append((due_s, key, wait_s))
        due.sort()
        asked = []
        for _, key, wait_s in due[: max(0, most)]:
            self._next_s[key] = now_s + wait_s, min(2 * wait_s, MOST_WAIT_S)
            asked.append((f"{NAMESPACE}/{key[0]}/NCMD/{key[1]}", _REBIRTH))
        return Requests(asked, len(due) - len(asked))

    def missed(self, group: str, name: str) -> None:
        """Note that the birth of a node is missing."""
        if len(self.unknown) < MAX_NODES:
            self.unknown.add((group, name))

    def dump(self) -> list[Any]:
        """All nodes, as lists of numbers and texts."""
        return [[*key, *_dumped(node)] for key, node in self._nodes.items()]

    def load(self, dumped: list[Any]) -> None:
        """Restore the nodes as they were; what they have sent since shows in the next number."""
        self._nodes = {}
        for group, name, bd_seq, seq, is_sure, is_alive, devices in dumped:
            node = self._nodes[group, name] = Node(bd_seq, seq, is_sure, is_alive)
            for device, last_ns, datatypes, by_alias in devices:
                found = node.devices[device] = Device({}, dict(datatypes), last_ns)
                for alias, metric, datatype in by_alias:
                    found.by_alias[alias] = Known(metric, datatype) if metric is not None else None


def _dumped(node: Node) -> list[Any]:
    devices = [
        [name, one.last_ns, list(one.datatypes.items()), _aliases(one.by_alias)]
        for name, one in node.devices.items()
    ]
    return [node.bd_seq, node.seq, node.is_sure, node.is_alive, devices]


def _aliases(by_alias: Mapping[int, Known | None]) -> list[list[Any]]:
    return [[alias, *(known or (None, 0))] for alias, known in by_alias.items()]
