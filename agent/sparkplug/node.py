"""The edge node: a connection of its own, births, data, deaths, and commands of hosts.

    CONNECT with NDEATH as the will ──► SUBSCRIBE ──► wait for the primary host, if there is one
        ──► NBIRTH ──► DBIRTH of every device ──► NDATA, DDATA, further DBIRTH and DDEATH

Runs on the hot thread, behind everything else of a turn. It never blocks, and one turn publishes
only what takes a few milliseconds (ADR 44).
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

from agent.mqtt.connection import Connection
from agent.mqtt.reconnect import Reconnector, State
from agent.mqtt.subscription import Subscription
from agent.sparkplug.commands import Commands
from agent.sparkplug.device import Device
from agent.sparkplug.devices import Devices
from agent.sparkplug.messages import Messages
from agent.sparkplug.primary_host import PrimaryHost
from agent.sparkplug.stream import Stream
from agent.sparkplug.topics import NodeTopics
from models.control.documents import SparkplugMetrics
from models.input.routes import Route
from models.sparkplug.payload import Metric
from serving import log
from serving.mqtt.packets import Received

_AT_ONCE: Final = 256  # predictions, births or deaths that one turn publishes
_GOODBYE_S: Final = 1.0


class Parts(NamedTuple):
    """What the node works with.

    Attributes:
        link: the connection to the broker.
        messages: builds the messages of the node.
        commands: reads what hosts want.
        host: the primary host application; None: none is waited for.
    """

    link: Reconnector
    messages: Messages
    commands: Commands
    host: PrimaryHost | None


class EdgeNode:
    """Publishes the predictions of the gateway; only the hot thread uses it.

    Args:
        topics: topics of the node.
        streams: the streams of the gateway.
        devices: keeps what is to be published.
        parts: what the node works with.

    Attributes:
        is_behind: whether the next turn has something to do at once.
    """

    def __init__(
        self, topics: NodeTopics, streams: Sequence[Stream], devices: Devices, parts: Parts
    ) -> None:
        self.is_behind = False
        self._published: Counter[str] = Counter()  # messages, by kind
        self._predictions = self._unchanged = 0
        self._topics, self._streams, self._devices = topics, streams, devices
        self._by_name = {stream.name: stream for stream in streams}
        self._link, self._messages, self._commands, self._host = parts
        self._is_up = self._is_born = False

    @property
    def connection(self) -> Connection | None:
        """The connection to wait on; None while there is none, or a worker opens it."""
        is_open = self._link.state in (State.HANDSHAKE, State.UP)
        return self._link.connection if is_open else None

    @property
    def trouble(self) -> str:
        """What the node waits for, in words; empty while all is well."""
        connection = self.connection
        if not self._is_up or connection is None:
            return f"Sparkplug: {self._link.trouble}" if self._link.trouble else ""
        if connection.refused_filters:
            return f"Sparkplug: the broker refuses {', '.join(connection.refused_filters)}"
        if self._host is not None and not self._host.is_online:
            return f"Sparkplug: the primary host is not online, by {self._host.topic}"
        return self._link.takeover.trouble

    def snapshot(self) -> SparkplugMetrics:
        """All counters since the start."""
        return SparkplugMetrics.model_construct(
            connects=self._link.connects,
            messages=dict(self._published),
            predictions=self._predictions,
            unchanged=self._unchanged,
            waiting=len(self._devices.waiting),
            dropped=dict(self._devices.dropped),
            commands_refused=dict(self._commands.refused),
        )

    def heard(self, stream: str, route: Route, message: Received) -> None:
        """Note that an input has arrived, by which its device is alive."""
        for asset in route.assets(message.payload):
            self._devices.heard(self._by_name[stream], asset)

    def turn(self) -> None:
        """Read what has arrived, and publish what waits; call it once a turn of the hot loop."""
        self._follow_link()
        self.is_behind = False
        connection = self.connection
        if connection is None:
            return
        connection.read(_AT_ONCE)
        self._hear(connection)
        if self._is_up and not connection.lost:
            self._publish(connection)
        connection.flush()
        is_turning = bool(connection.lost) or (connection.accepted and not self._is_up)
        self.is_behind = is_turning or (self.is_behind and not connection.wants_write)

    def tick(self) -> None:
        """Look after the connection and the age of the inputs; call it about once a second."""
        self._link.keep_alive()
        if self._is_born and not self._devices.waiting and not self._devices.unborn:
            connection = self._link.connection
            for slot in self._devices.age():
                if connection is not None:
                    self._send(connection, "DDATA", slot.device, slot.stale())

    def leave(self) -> None:
        """Publish the death of the node, and end its connection; blocks for a second at most."""
        connection = self._link.connection
        if self._is_up and connection is not None:
            self._die(connection, "the agent stops", _GOODBYE_S)
        self._is_up = self._is_born = False

    def _follow_link(self) -> None:
        is_up = self._link.advance() is State.UP
        connection = self._link.connection
        if is_up == self._is_up:
            return
        self._is_up, self._is_born = is_up, False
        if not is_up or connection is None:
            return
        log.info("connected for Sparkplug", bdSeq=self._messages.number.current)
        wanted = [
            Subscription(self._topics.node_commands, 1),
            Subscription(self._topics.device_commands, 1),
        ]
        if self._host is not None:
            self._host.forget()
            wanted.append(Subscription(self._host.topic, 1, state=True))
        connection.subscribe(wanted)

    def _hear(self, connection: Connection) -> None:
        received, connection.received = connection.received, []
        connection.confirmed.clear()
        for message in received:
            if message.packet_id:
                connection.acknowledge(message.packet_id)
            if self._host is None or message.topic != self._host.topic:
                self._commands.take(message)
            elif self._host.hear(message.payload) and self._is_born:
                self._die(connection, "the primary host is offline")

    def _die(self, connection: Connection, reason: str, wait_s: float = 0.0) -> None:
        """Publish NDEATH, and end the connection as Sparkplug 3.0.0, 5.7 demands."""
        if self._is_born:
            connection.publish(self._messages.death())
        connection.lost = reason
        connection.close(wait_s=wait_s)
        self._is_born = False

    def _publish(self, connection: Connection) -> None:
        """Publish a part of what waits: births before data, so that hosts know every alias."""
        is_heard = self._host is None or self._host.is_online
        if connection.subscribing or connection.wants_write or not is_heard:
            return
        if self._commands.take_rebirth():
            self._is_born = False
        elif self._is_born and self._commands.is_rebirth_wanted:
            return  # data stop at once (rebirth-action-1); births come once a second at most
        devices = self._devices
        if not self._is_born and not self._bear(connection):
            return
        room = _AT_ONCE
        while devices.dying and room:
            self._send(connection, "DDEATH", devices.dying.popleft(), [])
            room -= 1
        while devices.unborn and room:
            _, device = devices.unborn.popitem(last=False)
            device.is_born = self._send(connection, "DBIRTH", device, list(device.birth()))
            room -= 1
        if not devices.unborn and not devices.dying:
            self._publish_data(connection, room)
        self.is_behind = bool(devices.waiting or devices.unborn or devices.dying)

    def _bear(self, connection: Connection) -> bool:
        for stream in self._streams:
            stream.follow()
        metrics = [metric for stream in self._streams for metric in stream.metrics()]
        birth = self._messages.birth(metrics)
        self._is_born = self._messages.publish(connection, birth)
        if self._is_born:
            self._published["NBIRTH"] += 1
            self._devices.bear_all()
        return self._is_born

    def _publish_data(self, connection: Connection, room: int) -> None:
        swapped = [stream for stream in self._streams if stream.follow()]
        if swapped:
            metrics = [metric for stream in swapped for metric in stream.metrics()]
            self._send(connection, "NDATA", None, metrics)
        changed: dict[Device, list[Metric]] = {}
        devices = self._devices
        for _ in range(min(room, len(devices.waiting))):
            slot, prediction = devices.waiting.popleft()
            device = slot.device
            if not device.is_born:
                devices.dropped["no_device"] += 1
                continue
            metrics = device.slots[slot.stream].news(prediction)
            self._predictions += bool(metrics)
            self._unchanged += not metrics
            changed.setdefault(device, []).extend(metrics)
        for device, metrics in changed.items():
            if metrics:
                self._send(connection, "DDATA", device, metrics)

    def _send(
        self, connection: Connection, kind: str, device: Device | None, metrics: Sequence[Metric]
    ) -> bool:
        is_sent = self._messages.publish(
            connection, self._messages.of(kind, device.id if device else "", metrics)
        )
        counter = self._published if is_sent else self._devices.dropped
        counter[kind if is_sent else "too_large"] += 1
        return is_sent
