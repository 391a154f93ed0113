"""A connection to the broker for commands: publish and wait for the confirmation, subscribe.

The only file of the trainer that imports paho. It speaks MQTT 5, or 3.1.1 with an older broker.
Everything runs on the caller's thread, while one of the methods runs. `publish` blocks while too
many messages are not confirmed, so the broker sets the pace, and no queue grows without limit.
"""

import argparse
import contextlib
import select
import socket
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from types import TracebackType
from typing import Any, NamedTuple, Self

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from trainer.errors import BrokerError

# Most messages that are sent and not confirmed; the broker's Receive Maximum may be lower.
MAX_IN_FLIGHT = 200
CONNECT_S = 10.0
# How long the broker may be away before a lost connection is an error.
PATIENCE_S = 30.0
_RETRY_S = 0.5
# Longest waits for the socket, with unconfirmed messages and without.
_TURN_S = 0.05
_IDLE_S = 1.0
# Reason code "Unsupported Protocol Version" of CONNACK (MQTT 5, section 3.2.2.2).
_UNSUPPORTED_PROTOCOL = 0x84


@dataclass(frozen=True, slots=True)
class Address:
    """The broker's address, and the credentials for it.

    Attributes:
        host: host name or IP address.
        port: TCP port.
        username: name to log in with; None connects anonymously.
        password_file: path of the file with the password; None for none.
        ca_file: PEM file of the authority for the broker's certificate; None speaks no TLS.
    """

    host: str
    port: int
    username: str | None = None
    password_file: Path | None = None
    ca_file: Path | None = None

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Message(NamedTuple):
    """A message that has arrived.

    Attributes:
        retained: whether it is a retained message, which may have been published long ago.
        at_ns: time of arrival, nanoseconds since 1970 by the clock of this machine.
    """

    topic: str
    payload: bytes
    retained: bool
    at_ns: int


class Broker:
    """One connection to a broker, as a context that disconnects at its end.

    A lost connection is made again, and unconfirmed messages are sent again, so the broker may
    receive them twice (QoS 1). Messages that others publish meanwhile are missed.

    Args:
        address: the broker's address.
        filters: topic filters to subscribe to, at QoS 1.
        patience_s: seconds that the broker may be away; None takes `PATIENCE_S`.

    Attributes:
        losses: number of times that the connection was lost and made again.

    Raises:
        BrokerError: on entering: no connection, refused, or a subscription that is not granted.
    """

    def __init__(
        self, address: Address, filters: Sequence[str] = (), *, patience_s: float | None = None
    ) -> None:
        self.losses = 0
        self._address = address
        self._filters = list(filters)
        self._patience_s = PATIENCE_S if patience_s is None else patience_s
        self._received: list[Message] = []
        self._unconfirmed: set[int] = set()
        self._limit = MAX_IN_FLIGHT
        self._refused = ""
        self._lost = ""
        self._ready = False
        self._too_new = False
        self._client = self._build(MQTTProtocolVersion.MQTTv5)

    def __enter__(self) -> Self:
        """Connect, and wait until the subscriptions are granted."""
        self._open()
        try:
            self._until_ready()
        except BrokerError:
            if not self._too_new:
                raise
            self._client = self._build(MQTTProtocolVersion.MQTTv311)
            self._open()
            self._until_ready()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_write()

    def publish(self, topic: str, payload: bytes, qos: int = 1, *, retain: bool = False) -> None:
        """Send one message; blocks while too many messages before it are not confirmed.

        Raises:
            BrokerError: the broker refused a message, or cannot be reached for too long.
        """
        while len(self._unconfirmed) >= self._limit:
            self._turn(_TURN_S)
        packet_id = self._client.publish(topic, payload, qos, retain).mid
        if qos:
            self._unconfirmed.add(packet_id)
        elif self._client.want_write():
            self._turn(_TURN_S)

    def flush(self) -> None:
        """Wait until all messages are sent, and those of QoS 1 confirmed.

        Raises:
            BrokerError: see `publish`.
        """
        while self._unconfirmed or self._client.want_write():
            self._turn(_TURN_S)

    def wait(self, seconds: float) -> None:
        """Wait for a time, and keep the connection alive meanwhile.

        Raises:
            BrokerError: see `publish`.
        """
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._turn(min(left, _IDLE_S))

    def listen(self, timeout_s: float) -> None:
        """Wait until a message has arrived, at most `timeout_s` seconds; `receive` returns it.

        Raises:
            BrokerError: see `publish`.
        """
        deadline = time.monotonic() + timeout_s
        while not self._received and (left := deadline - time.monotonic()) > 0:
            self._turn(min(left, _IDLE_S))

    def receive(self, timeout_s: float = 0.0) -> list[Message]:
        """The messages that have arrived; waits at most `timeout_s` seconds for the first.

        Raises:
            BrokerError: see `publish`; never if `timeout_s` is 0.
        """
        self.listen(timeout_s)
        received, self._received = self._received, []
        return received

    def _build(self, version: MQTTProtocolVersion) -> Client:
        client = Client(CallbackAPIVersion.VERSION2, protocol=version)
        client.connect_timeout = CONNECT_S
        client.max_inflight_messages_set(0)  # no limit in paho: `publish` has its own
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        client.on_socket_open = _without_delay
        return client

    def _open(self) -> None:
        address = self._address
        self._too_new, self._lost, self._ready = False, "", False
        try:
            if address.username is not None:
                path = address.password_file
                secret = path.read_text().strip() if path else None
                self._client.username_pw_set(address.username, secret)
            if address.ca_file is not None:
                context = ssl.create_default_context(cafile=address.ca_file)
                self._client.tls_set_context(context)
            self._client.connect(address.host, address.port)
        except ssl.SSLError as exc:
            raise BrokerError(f"TLS with {address} fails: {exc.reason or exc}") from exc
        except OSError as exc:
            where = exc.filename or address
            raise BrokerError(f"{where} cannot be reached: {exc.strerror or exc}") from exc

    def _until_ready(self) -> None:
        deadline = time.monotonic() + CONNECT_S
        while not self._ready:
            if self._refused or self._lost:
                raise BrokerError(f"{self._address}: {self._refused or self._lost}")
            if time.monotonic() > deadline:
                raise BrokerError(f"{self._address} does not answer within {CONNECT_S:g} s")
            self._exchange(_TURN_S)

    def _turn(self, timeout_s: float) -> None:
        """Read and write once, and connect again if the connection was lost."""
        self._exchange(timeout_s)
        if self._lost:
            self._again()
        if self._refused:
            raise BrokerError(f"{self._address}: {self._refused}")

    def _exchange(self, timeout_s: float) -> None:
        opened = self._client.socket()
        if opened is None:
            self._lost = self._lost or "connection lost"
            return
        decrypted = isinstance(opened, ssl.SSLSocket) and opened.pending() > 0
        writing = [opened] if self._client.want_write() else []
        readable, writable, _ = select.select([opened], writing, [], 0 if decrypted else timeout_s)
        if readable or decrypted:
            self._client.loop_read()
        if writable:
            self._client.loop_write()
        self._client.loop_misc()

    def _again(self) -> None:
        """Connect again; paho then sends again what was not confirmed."""
        deadline = time.monotonic() + self._patience_s
        while not self._refused and time.monotonic() < deadline:
            self._lost, self._ready = "", False
            with contextlib.suppress(OSError, BrokerError):
                self._client.reconnect()
                self._until_ready()
                self.losses += 1
                return
            Event().wait(_RETRY_S)
        if self._refused:
            return
        lost = f"connection lost, and not back in {self._patience_s:g} s"
        raise BrokerError(f"{self._address}: {lost}")

    def _on_connect(
        self,
        client: Client,
        _userdata: object,
        _flags: ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            self._too_new = reason.value == _UNSUPPORTED_PROTOCOL
            self._lost = f"the broker refuses the connection: {reason}"
            return
        self._limit = min(MAX_IN_FLIGHT, getattr(properties, "ReceiveMaximum", MAX_IN_FLIGHT))
        if self._filters:
            client.subscribe([(one, 1) for one in self._filters])
        else:
            self._ready = True

    def _on_disconnect(
        self,
        _client: Client,
        _userdata: object,
        _flags: DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        # A broker that knows 3.1.1 only may close the connection without a CONNACK.
        self._too_new = self._too_new or not self._lost
        self._lost = self._lost or f"connection lost: {reason}"

    def _on_message(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        arrived = Message(message.topic, bytes(message.payload), message.retain, time.time_ns())
        self._received.append(arrived)

    def _on_publish(
        self,
        _client: Client,
        _userdata: object,
        packet_id: int,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        self._unconfirmed.discard(packet_id)
        if reason.is_failure:
            self._refused = f"the broker refuses a message: {reason}"

    def _on_subscribe(
        self,
        _client: Client,
        _userdata: object,
        _packet_id: int,
        reasons: list[ReasonCode],
        _properties: Properties | None,
    ) -> None:
        pairs = zip(self._filters, reasons, strict=False)
        refused = [wanted for wanted, reason in pairs if reason.is_failure]
        if refused:
            self._refused = f"the broker does not allow a subscription to {', '.join(refused)}"
        self._ready = not refused


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that describe a broker to a parser."""
    add = parser.add_argument
    add("--broker", required=True, metavar="HOST:PORT", help="address of the MQTT broker")
    add("--username", help="name to log in to the broker with")
    add("--password-file", type=Path, help="file that contains the password")
    add("--ca-file", type=Path, help="use TLS, and trust the authority in this PEM file")


def address_of(options: argparse.Namespace) -> Address:
    """The broker that the command line describes.

    Raises:
        BrokerError: `--broker` is not HOST:PORT.
    """
    host, colon, port = options.broker.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdecimal():
        raise BrokerError(f"--broker is '{options.broker}', which is not HOST:PORT")
    ca_file = options.ca_file
    return Address(host, int(port), options.username, options.password_file, ca_file)


def _without_delay(_client: Client, _userdata: object, opened: Any) -> None:  # noqa: ANN401  paho's own union of sockets
    """Send small packets at once: Nagle's algorithm costs 20 ms a message here (mosquitto#433)."""
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
