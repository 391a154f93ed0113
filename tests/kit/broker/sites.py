"""Sites of the contract tests: a fake or a real broker with a plant, behind one protocol."""

import os
import select
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import cycle
from pathlib import Path
from typing import Protocol, cast

from agent.config.settings import ConnectionSettings
from agent.mqtt.connection import Connection, Will
from serving.mqtt.packets import FIRST_PACKET_ID, Publish
from tests.kit.broker.brokers import HOST, Broker, Mosquitto, amqtt, mosquitto
from tests.kit.broker.fake_broker import NOT_AUTHORISED, FakeBroker, FakeConnection
from tests.kit.gateway.mqtt_client import PlantClient
from tests.kit.waiting import eventually

CLIENT = "millhand-gw"
WILL = Will("gw/status", b"offline")
RECEIVE_MAXIMUM = 10
MAX_PACKET_BYTES = 100_000
ACL = "topic readwrite #\n"


class Site(Protocol):
    """The broker and the plant that surround an agent in a test.

    Attributes:
        version: version of MQTT that the agent speaks: 5, or 4 for 3.1.1.
        keeps: whether the broker does what the standard says on QoS and sessions. amqtt does not:
            it raises the QoS of a message to that of the subscription, sends nothing again, and
            keeps no session.
    """

    version: int
    keeps: bool

    def connection(self, client_id: str = CLIENT) -> Connection:
        """Return a connection of the agent that is not open yet."""

    def publish(self, topic: str, payload: bytes, qos: int = 1, *, retain: bool = False) -> None:
        """Publish as the plant, and wait until the broker has it."""

    def published(self, topic: str) -> list[bytes]:
        """Return the payloads that the agent has published on a topic so far."""

    def cut(self, connection: Connection) -> None:
        """Lose the connection without DISCONNECT."""

    def forget_sessions(self) -> None:
        """Restart the broker, which then has no sessions any more."""

    def refuse(self, topic: str) -> None:
        """Refuse publishes on a topic from now on."""

    def grant(self) -> None:
        """Accept publishes on all topics again."""


class FakeSite:
    """A site without a socket."""

    keeps = True

    def __init__(self, version: int) -> None:
        self.version = version
        self.broker = FakeBroker(receive_maximum=RECEIVE_MAXIMUM, max_packet_bytes=MAX_PACKET_BYTES)

    def connection(self, client_id: str = CLIENT) -> Connection:
        """See Site. The fake has every member of the real one that the agent uses."""
        return cast("Connection", self.broker.connection(client_id, WILL, self.version))

    def publish(self, topic: str, payload: bytes, qos: int = 1, *, retain: bool = False) -> None:
        """See Site."""
        self.broker.publish(topic, payload, qos, retain=retain)

    def published(self, topic: str) -> list[bytes]:
        """See Site."""
        return [one.payload for one in self.broker.published if one.topic == topic]

    def cut(self, connection: Connection) -> None:
        """See Site."""
        self.broker.cut(cast("FakeConnection", connection).client_id)

    def forget_sessions(self) -> None:
        """See Site."""
        self.broker.forget_sessions()

    def refuse(self, topic: str) -> None:
        """See Site."""
        self.broker.refusals[topic] = NOT_AUTHORISED

    def grant(self) -> None:
        """See Site."""
        self.broker.refusals.clear()


class RealSite:
    """A site with a real broker; the plant is a client of its own."""

    def __init__(self, broker: Broker, version: int) -> None:
        self.version = version
        self.keeps = isinstance(broker, Mosquitto)
        self._broker = broker
        self._stack = ExitStack()
        self._opened: list[Connection] = []
        self._enter_plant()

    def connection(self, client_id: str = CLIENT) -> Connection:
        """See Site."""
        settings = ConnectionSettings(
            host=HOST, port=self._broker.port, receive_maximum=RECEIVE_MAXIMUM
        )
        made = Connection(settings, client_id, WILL, self.version)
        self._opened.append(made)
        return made

    def publish(self, topic: str, payload: bytes, qos: int = 1, *, retain: bool = False) -> None:
        """See Site."""
        self._plant.publish(topic, payload, qos, retain=retain)
        self._plant.flush()

    def published(self, topic: str) -> list[bytes]:
        """See Site."""
        return [payload for found, payload in list(self._plant.messages) if found == topic]

    def cut(self, connection: Connection) -> None:
        """See Site."""
        descriptor = connection.fileno()
        assert descriptor is not None
        with socket.socket(fileno=os.dup(descriptor)) as copy:
            copy.shutdown(socket.SHUT_RDWR)
        until(connection, lambda: connection.lost)

    def forget_sessions(self) -> None:
        """See Site."""
        self._stack.close()
        self._broker.restart()
        for connection in self._opened:
            if connection.fileno() is not None:
                until(connection, lambda connection=connection: connection.lost)  # type: ignore[misc]  # mypy takes the default for a parameter
        self._enter_plant()

    def refuse(self, topic: str) -> None:
        """See Site."""
        self._acl(f"topic deny {topic}\n{ACL}")

    def grant(self) -> None:
        """See Site."""
        self._acl(ACL)

    def close(self) -> None:
        """Close all connections."""
        for connection in self._opened:
            connection.close()
        self._stack.close()

    def _acl(self, text: str) -> None:
        assert isinstance(self._broker, Mosquitto)
        reloads = self._broker.log.count("Reloading config")
        self._broker.write_acl(text)
        self._broker.reload()
        eventually(lambda: self._broker.log.count("Reloading config") > reloads)

    def _enter_plant(self) -> None:
        plant = PlantClient(self._broker.port, ["out/#", "gw/#"], version=4)
        self._plant = self._stack.enter_context(plant)


SITES_OF_5 = ("fake-5", "mosquitto-5")
"""MQTT 3.1.1 has no Receive Maximum, no Maximum Packet Size and no reason code in PUBACK."""

KEEPING_SITES = (*SITES_OF_5, "fake-3.1.1", "mosquitto-3.1.1")
"""All but amqtt, which keeps no session of a client and sends nothing again."""

SITES = (*KEEPING_SITES, "amqtt-3.1.1")


@contextmanager
def site(name: str, folder: Path) -> Iterator[Site]:
    """Open the site with a name of SITES until the context is left."""
    kind, _, spoken = name.partition("-")
    version = 5 if spoken == "5" else 4
    if kind == "fake":
        yield FakeSite(version)
        return
    running = (
        amqtt(folder)
        if kind == "amqtt"
        else mosquitto(
            folder, acl=ACL, max_packet_size=MAX_PACKET_BYTES, max_queued_messages=10_000
        )
    )
    with running as broker:
        real = RealSite(broker, version)
        try:
            yield real
        finally:
            real.close()


_PACKET_IDS = cycle(range(FIRST_PACKET_ID // 2, FIRST_PACKET_ID))


def publish(connection: Connection, topic: str, payload: bytes, qos: int = 1) -> int:
    """Publish with a packet id that neither the agent's delivery nor paho uses; returns the id."""
    packet_id = next(_PACKET_IDS)
    connection.publish(Publish(topic, payload, qos, packet_id=packet_id))
    return packet_id


def until(connection: Connection, condition: Callable[[], object]) -> None:
    """Read and write on a connection until a condition is true."""

    def turned() -> bool:
        connection.flush()
        descriptor = connection.fileno()
        if descriptor is not None:
            select.select([descriptor], [], [], 0.01)
        connection.read(256)
        return bool(condition())

    eventually(turned, 10, "the connection to do what it should")


def opened(connection: Connection) -> Connection:
    """Open a connection and wait until the broker has accepted it."""
    connection.open()
    until(connection, lambda: connection.accepted)
    return connection
