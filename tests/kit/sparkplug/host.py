"""A host application that reads a node by the runtime of Protocol Buffers and by paho.

It follows a node as every host does: aliases are those of the last births, and each message has the
sequence number after that of the one before. What does not fit is kept in `faults`.
"""

import json
import time
from typing import Any, NamedTuple

from paho.mqtt.client import Client, MQTTMessage

from tests.kit.gateway.mqtt_client import MqttClient
from tests.kit.sparkplug.protobuf_schema import payload_class
from tests.kit.waiting import eventually

GROUP, NODE = "press-shop", "gw1"
Payload = payload_class()


class Seen(NamedTuple):
    """One message of a node.

    Attributes:
        kind: `NBIRTH`, `DDATA` and so on.
        device: name of the device; empty for the node.
        flags: QoS and RETAIN flag.
        payload: as the runtime of Protocol Buffers has parsed it.
        content: its bytes.
    """

    kind: str
    device: str
    flags: tuple[int, bool]
    payload: Any
    content: bytes


class Told(NamedTuple):
    """One value of a metric.

    Attributes:
        value: the value; None for null.
        quality: the property `Quality`, 192 without one.
        at_ms: time of the metric.
        is_historical: the flag of the metric.
    """

    value: object
    quality: int
    at_ms: int
    is_historical: bool


class Host(MqttClient):
    """Reads one node.

    Args:
        port: port of the broker on the loopback.

    Attributes:
        seen: all messages of the node, in order of arrival.
        told: values of each metric since the start, by device and name; the node's device is empty.
        faults: what no host could read.
    """

    def __init__(self, port: int) -> None:
        super().__init__(port, [f"spBv1.0/{GROUP}/#"])
        self.seen: list[Seen] = []
        self.told: dict[tuple[str, str], list[Told]] = {}
        self.faults: list[str] = []
        self._names: dict[int, tuple[str, str]] = {}
        self._seq = -1
        self._alive: set[str] = set()

    def kinds(self) -> list[str]:
        """The kind of each message, with the device behind it."""
        return [f"{one.kind} {one.device}".strip() for one in list(self.seen)]

    def wait_for(self, kind: str, count: int = 1, timeout_s: float = 20.0) -> list[Seen]:
        """Wait for so many messages of a kind, such as `DBIRTH l1:p0`, and return all of them."""
        eventually(
            lambda: self.kinds().count(kind) >= count,
            timeout_s,
            f"{count} x {kind}, after {self.kinds()[-20:]}",
        )
        return [one for one in list(self.seen) if f"{one.kind} {one.device}".strip() == kind]

    def values(self, device: str, name: str) -> list[object]:
        """The values of a metric since the start, in order."""
        return [told.value for told in list(self.told.get((device, name), []))]

    def wait_for_value(self, device: str, name: str, value: object) -> Told:
        """Wait until a metric has a value, and return it with its quality."""
        eventually(
            lambda: value in self.values(device, name),
            20.0,
            f"{device} {name} to be {value}, after {self.values(device, name)[-5:]}",
        )
        return [one for one in self.told[device, name] if one.value == value][-1]

    def command(self, kind: str, name: str, value: object, *, retain: bool = False) -> None:
        """Write a metric, as hosts do: `NCMD`, or `DCMD l1:p0`."""
        word, _, device = kind.partition(" ")
        payload = Payload(timestamp=time.time_ns() // 1_000_000)
        metric = payload.metrics.add(name=name, timestamp=payload.timestamp, datatype=11)
        metric.boolean_value = value
        topic = f"spBv1.0/{GROUP}/{word}/{NODE}" + (f"/{device}" if device else "")
        self.publish(topic, payload.SerializeToString(), 0, retain=retain)

    def state(self, host: str, *, online: bool, at_ms: int) -> None:
        """Say that a host application is online or not."""
        document = json.dumps({"online": online, "timestamp": at_ms})
        self.publish(f"spBv1.0/STATE/{host}", document, retain=True)

    def _on_message(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        _, _, kind, _, *device = message.topic.split("/")
        if kind in {"NCMD", "DCMD"}:
            return
        payload = Payload.FromString(message.payload)
        flags = message.qos, message.retain
        seen = Seen(kind, "".join(device), flags, payload, bytes(message.payload))
        self._follow(seen)
        self.seen.append(seen)

    def _follow(self, seen: Seen) -> None:
        kind, device, _, payload, _ = seen
        if kind == "NBIRTH":
            self._seq, self._names, self._alive = -1, {}, set()
        if kind != "NDEATH":
            if payload.seq != (self._seq + 1) % 256:
                self.faults.append(f"{kind} {device} has seq {payload.seq} after {self._seq}")
            self._seq = payload.seq
        if kind == "DDATA" and device not in self._alive:
            self.faults.append(f"DDATA of {device}, which is not born")
        if kind == "DBIRTH":
            self._alive.add(device)
        if kind == "DDEATH":
            self._alive.discard(device)
        for metric in payload.metrics:
            self._take(kind, device, metric)

    def _take(self, kind: str, device: str, metric: Any) -> None:  # noqa: ANN401  of the runtime
        if kind.endswith("BIRTH") and metric.HasField("alias"):
            self._names[metric.alias] = (device, metric.name)
        key = self._names.get(metric.alias) if metric.HasField("alias") else (device, metric.name)
        if key is None or key[0] != device:
            self.faults.append(f"{kind} {device} has alias {metric.alias} without a birth")
            return
        field = metric.WhichOneof("value")
        if (field is None) != metric.is_null:
            self.faults.append(f"{kind} {device} has {key[1]} neither null nor with a value")
        properties = dict(zip(metric.properties.keys, metric.properties.values, strict=True))
        quality = properties["Quality"].int_value if "Quality" in properties else 192
        value = None if metric.is_null else getattr(metric, field)
        told = Told(value, quality, metric.timestamp, metric.is_historical)
        self.told.setdefault(key, []).append(told)
