"""A connection to the broker for people's commands: publish, wait for the confirmation, listen.

The only file on the trainer's side that knows paho. MQTT 5, and 3.1.1 where the broker has no
more. Everything runs on the caller's thread: `publish` sends, and goes on reading while too many
confirmations are missing, so the broker sets the pace and nothing is queued without end.
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

MAX_IN_FLIGHT = 200
CONNECT_S = 10.0
PATIENCE_S = 30.0
"""How long a connection that was lost may be away."""
_RETRY_S = 0.5
_TURN_S = 0.05
_IDLE_S = 1.0
_UNSUPPORTED_PROTOCOL = 0x84


@dataclass(frozen=True, slots=True)
class Address:
    """Where the broker is, and who we are there."""

    host: str
    port: int
    username: str | None = None
    password_file: Path | None = None
    ca_file: Path | None = None

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Message(NamedTuple):
    """What has arrived.

    Attributes:
        retained: whether the broker had kept it, for nobody knows how long.
        at_ns: when, nanoseconds since 1970 by the clock of this machine.
    """

    topic: str
    payload: bytes
    retained: bool
    at_ns: int


class Broker:
    """One connection; a context that ends it in order.

    Args:
        address: where to.
        filters: topics to listen to, at QoS 1.
        patience_s: how long a connection that was lost may be away.

    Attributes:
        losses: how often the connection was lost and made again; what others published meanwhile
            has not been heard.

    Raises:
        BrokerError: on entering: no connection, refused, or a topic that is not granted.
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
        """Connect, and wait until the topics are granted."""
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
        """Say goodbye."""
        self._client.disconnect()
        self._client.loop_write()

    def publish(self, topic: str, payload: bytes, qos: int = 1, *, retain: bool = False) -> None:
        """Send one message; waits while too many before it are not confirmed.

        Raises:
            BrokerError: the broker refused a message, or is gone for too long.
        """
        while len(self._unconfirmed) >= self._limit:
            self._turn(_TURN_S)
        packet_id = self._client.publish(topic, payload, qos, retain).mid
        if qos:
            self._unconfirmed.add(packet_id)
        elif self._client.want_write():
            self._turn(_TURN_S)

    def flush(self) -> None:
        """Wait until everything is sent and confirmed.

        Raises:
            BrokerError: see `publish`.
        """
        while self._unconfirmed or self._client.want_write():
            self._turn(_TURN_S)

    def wait(self, seconds: float) -> None:
        """Let time pass without losing the connection.

        Raises:
            BrokerError: see `publish`.
        """
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._turn(min(left, _IDLE_S))

    def listen(self, timeout_s: float) -> None:
        """Wait until something has arrived, at most `timeout_s`; `receive` hands it over.

        Raises:
            BrokerError: see `publish`.
        """
        deadline = time.monotonic() + timeout_s
        while not self._received and (left := deadline - time.monotonic()) > 0:
            self._turn(min(left, _IDLE_S))

    def receive(self, timeout_s: float = 0.0) -> list[Message]:
        """What has arrived; waits for the first at most `timeout_s`.

        Raises:
            BrokerError: see `publish`; never without a wait.
        """
        self.listen(timeout_s)
        received, self._received = self._received, []
        return received

    def _build(self, version: MQTTProtocolVersion) -> Client:
        client = Client(CallbackAPIVersion.VERSION2, protocol=version)
        client.connect_timeout = CONNECT_S
        client.max_inflight_messages_set(0)  # the limit is `publish`'s
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
        """Read and write once; connect again if the connection was lost."""
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
        """Connect again; paho sends what was not confirmed once more."""
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
        # A broker that knows 3.1.1 only may close the connection without a word.
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
        refused = [
            wanted
            for wanted, reason in zip(self._filters, reasons, strict=False)
            if reason.is_failure
        ]
        if refused:
            self._refused = f"the broker does not allow to subscribe {', '.join(refused)}"
        self._ready = not refused


def arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the broker on a command line."""
    parser.add_argument("--broker", required=True, metavar="HOST:PORT")
    parser.add_argument("--username")
    parser.add_argument("--password-file", type=Path)
    parser.add_argument("--ca-file", type=Path, help="speak TLS, and believe this authority")


def address_of(options: argparse.Namespace) -> Address:
    """The broker that a command line describes.

    Raises:
        BrokerError: HOST:PORT is not that.
    """
    host, colon, port = options.broker.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdecimal():
        raise BrokerError(f"--broker is '{options.broker}', which is not HOST:PORT")
    ca_file = options.ca_file
    return Address(host, int(port), options.username, options.password_file, ca_file)


def _without_delay(_client: Client, _userdata: object, opened: Any) -> None:  # noqa: ANN401  paho's own union of sockets
    """Send small packets at once: Nagle's algorithm costs 20 ms a message here (mosquitto#433)."""
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
