"""Payload format `sparkplug`: messages of edge nodes become readings of their devices.

What is uncertain is said: after a gap in a node's sequence its births may have been missed, and an
alias may stand for another metric. Until the next birth such data are UNCERTAIN.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from math import isfinite
from operator import itemgetter
from typing import Final

from models.errors import DecodeError
from models.input.codecs.qualities import quality_reader
from models.input.codecs.reading import Reading
from models.input.codecs.values import MISSING, Unread, ValueReader, to_number
from models.input.quality import Quality
from models.input.sparkplug.nodes import MAX_SHAPES, NO_SHAPE, Device, Known, Node, Nodes, Shape
from models.input.sparkplug.topic import Address, SparkplugTemplate
from models.input.tags.rows import Find, Found, Key, Rows, Tagged
from models.input.topics import Levels
from models.sparkplug.datatype import DataType, typed
from models.sparkplug.decoder import decode
from models.sparkplug.frame import Frame
from models.sparkplug.payload import Metric, Payload

_GOOD, _UNCERTAIN = Quality.GOOD, Quality.UNCERTAIN
_NS_PER_MS: Final = 1_000_000
_QUALITY: Final = "Quality"
_BIRTHS: Final = frozenset({"NBIRTH", "DBIRTH"})
_DATA: Final = frozenset({"NDATA", "DDATA"})
_COMMANDS: Final = frozenset({"NCMD", "DCMD"})
_NOTHING: Final = Found(())
_NO_STAMP: Final = -1
_NO_KEY: Final = Key("", None, Quality.BAD, "")
_UNKNOWN: Final = Known("", 0)


class SparkplugDecoder:
    """Decoder of the messages of one input.

    Args:
        template: the topics of the input.
        nodes: what is known of the nodes; messages change it.
        names: name of the metric of each bound signal.
        readers: what reads the value of each signal.
    """

    def __init__(
        self,
        template: SparkplugTemplate,
        nodes: Nodes,
        names: Sequence[str],
        readers: Sequence[ValueReader],
    ) -> None:
        self._template, self._nodes = template, nodes
        self._places: Mapping[str, int] = {name: place for place, name in enumerate(names)}
        self._readers = readers
        self._to_quality = quality_reader("sparkplug")

    def match(self, topic: str) -> tuple[Levels, Find] | None:
        """The named levels of group and node in a topic, and what finds the readings there."""
        matched = self._template.match(topic)
        return None if matched is None else (matched[0], partial(self, matched[1]))

    def __call__(self, address: Address, payload: bytes) -> Found:
        """The readings of a message; none of those that only say what is known of a node.

        Args:
            address: what the topic names.
            payload: the payload.

        Raises:
            DecodeError: `birth_missing` if the node or device has not been born as far as is known,
                `alias_unknown` if no birth has named the metric; `no_signal` in data without any of
                the signals; `too_many_nodes`; see `models.sparkplug.decoder.decode`.
        """
        kind = address.kind
        if kind in _COMMANDS or (address.group, address.node) == self._nodes.own:
            return _NOTHING  # what other hosts ask of the node, and what this gateway has predicted
        if kind == "DDATA" and (found := self._plain_data(address, payload)) is not None:
            return found
        content = decode(payload, self._nodes.max_bytes)
        if kind in _DATA:
            return self._data(address, content)
        if kind in _BIRTHS:
            return self._birth(address, content)
        if kind in {"NDEATH", "DDEATH"}:
            return self._death(address, content)
        raise DecodeError("unknown_layout")

    def _birth(self, address: Address, content: Payload) -> Found:
        kind, group, name, device = address
        if kind == "NBIRTH":
            node = self._nodes.born(group, name, content)
        else:
            node = self._alive(address)
            node.heard(content.seq)
        if not self._template.takes(device):
            return _NOTHING
        born = self._nodes.describe(node, device, content)
        readings = self._readings(node, born, device, content)
        return readings if readings.readings or readings.refused else _NOTHING

    def _data(self, address: Address, content: Payload) -> Found:
        node = self._alive(address)
        node.heard(content.seq)
        if not self._template.takes(address.device):
            return _NOTHING
        device = node.devices.get(address.device)
        if device is None:
            self._nodes.missed(address.group, address.node)
            raise DecodeError("birth_missing")
        found = self._readings(node, device, address.device, content)
        if found.refused == "alias_unknown" or not node.is_sure:
            self._nodes.missed(address.group, address.node)
        if not found.readings and found.refused:
            raise DecodeError(found.refused)
        return found

    def _plain_data(self, address: Address, payload: bytes) -> Found | None:
        """The readings of data that nearly all messages have; None if they are others.

        Every metric has a double and the same time, and the node and its aliases are known. Gives
        what `_data` would, in a third of the time.
        """
        node = self._nodes.get(address.group, address.node)
        device = node.devices.get(address.device) if node is not None and node.is_alive else None
        if node is None or device is None or not self._template.takes(address.device):
            return None
        if device.reader is not self:  # another model binds other signals
            device.reader, device.shapes = self, {}
        shape = device.shapes.get(len(payload)) or self._shape(device, payload)
        content = shape.frame.read(payload) if shape.frame is not None else None
        if content is None or not all(map(isfinite, values := shape.pick(content.values))):
            return None
        node.heard(content.seq)
        if not node.is_sure:
            self._nodes.missed(address.group, address.node)
        time_ns = content.at * _NS_PER_MS
        device.last_ns = max(device.last_ns, time_ns)
        reading = Reading(time_ns, values, _GOOD if node.is_sure else _UNCERTAIN)
        return Found([Tagged(self._asset(address.device), shape.places, reading)])

    def _shape(self, device: Device, payload: bytes) -> Shape:
        """How data of this length are read, as the first of them tells."""
        frame = Frame.of(payload)
        known = (
            [] if frame is None else [device.by_alias.get(one, _UNKNOWN) for one in frame.aliases]
        )
        bound = sorted(
            (place, index)
            for index, one in enumerate(known)
            if one is not None and (place := self._places.get(one.name)) is not None
        )
        places = tuple(place for place, _ in bound)
        is_numeric = all(self._readers[place] is to_number for place in places)
        is_double = all(one is None or one.datatype == DataType.DOUBLE for one in known)
        shape = NO_SHAPE
        if is_numeric and is_double and len(set(places)) == len(places) > 1:
            shape = Shape(frame, places, itemgetter(*(index for _, index in bound)))
        if len(device.shapes) < MAX_SHAPES:
            device.shapes[len(payload)] = shape
        return shape

    def _death(self, address: Address, content: Payload) -> Found:
        kind, group, name, dead = address
        node = self._nodes.get(group, name)
        if node is None:
            return _NOTHING
        if kind == "DDEATH":
            node.heard(content.seq)
            devices = [dead] if dead in node.devices else []
        elif content.bd_seq != node.bd_seq:
            return _NOTHING  # of an earlier session, whose will the broker publishes late
        else:
            node.is_alive = False
            devices = list(node.devices)
        taken = [one for one in devices if self._template.takes(one)]
        return Found([self._stale(node.devices[one], one) for one in taken])

    def _alive(self, address: Address) -> Node:
        node = self._nodes.get(address.group, address.node)
        if node is None or not node.is_alive:
            self._nodes.missed(address.group, address.node)
            raise DecodeError("birth_missing")
        return node

    def _stale(self, device: Device, name: str) -> Tagged:
        """A reading that takes the certainty from all that the device has said before."""
        places = tuple(range(len(self._places)))
        # Right behind its last data: the clock of the node need not be that of this machine.
        time_ns = device.last_ns + 1 if device.last_ns else None
        values = [MISSING] * len(places)
        return Tagged(self._asset(name), places, Reading(time_ns, values, _UNCERTAIN))

    def _asset(self, device: str) -> str:
        return device if self._template.device_name else ""

    def _readings(self, node: Node, device: Device, name: str, content: Payload) -> Found:
        rows, asset, places = Rows(len(self._places)), self._asset(name), self._places
        by_alias, readers, key = device.by_alias, self._readers, _NO_KEY
        stamp: int | None = _NO_STAMP
        for metric in content.metrics:
            known = by_alias.get(metric.alias, _UNKNOWN) if metric.name is None else None  # type: ignore[arg-type]  # no alias is no key
            if metric.name is not None:
                known = Known(metric.name, device.datatypes.get(metric.name, 0))
            elif known is _UNKNOWN:
                rows.refused = "alias_unknown"
                continue
            if known is None or (place := places.get(known.name)) is None:
                continue
            if metric.timestamp_ms != stamp or metric.properties or key.quality is not _GOOD:
                try:
                    key = self._key(asset, metric, content, is_sure=node.is_sure)
                except DecodeError as exc:
                    rows.refused, stamp = exc.reason, _NO_STAMP
                    continue
                stamp = metric.timestamp_ms
            value = metric.value
            # Most values are finite numbers, and take less time this way.
            if type(value) is float and value - value == 0.0 and readers[place] is to_number:
                rows.add(key, place, value)
            else:
                rows.add(key, place, *self._read(metric, known, place))
        readings = rows.readings()
        for one in readings:
            device.last_ns = max(device.last_ns, one.reading.time_ns or 0)
        return Found(readings, rows.refused)

    def _key(self, asset: str, metric: Metric, content: Payload, *, is_sure: bool) -> Key:
        """Time and quality of a metric.

        Raises:
            DecodeError: `quality_unknown`.
        """
        at_ms = content.timestamp_ms if metric.timestamp_ms is None else metric.timestamp_ms
        quality = _GOOD
        if stated := metric.properties.get(_QUALITY):
            quality = self._to_quality(stated.value)
        if not (is_sure or metric.name is not None):
            quality = max(quality, _UNCERTAIN)
        return Key(asset, None if at_ms is None else at_ms * _NS_PER_MS, quality, "")

    def _read(self, metric: Metric, known: Known, place: int) -> tuple[float, Unread | None]:
        try:
            value = typed(metric.value, metric.datatype or known.datatype)
            return self._readers[place](value), None
        except DecodeError as exc:
            return MISSING, Unread(place, exc.reason, exc.word)
