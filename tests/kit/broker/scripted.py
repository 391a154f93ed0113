"""A broker that does what a test says, packet by packet, on a real socket.

with ScriptedBroker(version=5) as broker:       answers CONNECT, SUBSCRIBE, PUBLISH and PINGREQ
    broker.wait_for(SUBSCRIBE)
    broker.send(paho_publish(5, Message("plant/l1/p1/telemetry", b"...", 2, 7)))
    broker.wait_for(PUBREC)
"""

import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Final, NamedTuple, Self

from tests.kit.broker.brokers import HOST
from tests.kit.waiting import eventually

CONNECT: Final = 1
PUBLISH: Final = 3
PUBACK: Final = 4
PUBREC: Final = 5
PUBCOMP: Final = 7
SUBSCRIBE: Final = 8
UNSUBSCRIBE: Final = 10
PINGREQ: Final = 12
DISCONNECT: Final = 14
MQTT_5 = 5
_SHORT = struct.Struct(">H")


class Packet(NamedTuple):
    """One packet of the client.

    Attributes:
        connection: number of the connection, from 1.
        kind: type of the packet (MQTT 5, 2.1.2).
        flags: the lower four bits of its first byte.
        body: everything behind its length.
    """

    connection: int
    kind: int
    flags: int
    body: bytes

    @property
    def packet_id(self) -> int:
        """Packet id of an acknowledgement."""
        return int.from_bytes(self.body[:2])


class ScriptedBroker:
    """Serves one client at a time.

    Args:
        version: version of MQTT that the client speaks, 5 or 4.

    Attributes:
        port: port to connect to.
        packets: everything that the client has sent, in order.
        session_present: what CONNACK says.
        properties: the properties of CONNACK in MQTT 5.
        confirms: whether a PUBLISH at QoS 1 is answered by PUBACK.
        granted: reason code for each filter in a SUBSCRIBE.
    """

    def __init__(self, version: int) -> None:
        self.packets: list[Packet] = []
        self.session_present = False
        self.properties = b""
        self.confirms = True
        self.granted = 1
        self._version = version
        self._server = socket.create_server((HOST, 0))
        self.port: int = self._server.getsockname()[1]
        self._client: socket.socket | None = None
        self._connections = 0
        self._thread = threading.Thread(target=self._serve, name="scripted broker", daemon=True)

    def send(self, content: bytes) -> None:
        """Send bytes to the client."""
        assert self._client is not None
        self._client.sendall(content)

    def cut(self) -> None:
        """Close the connection."""
        assert self._client is not None
        with suppress(OSError):
            self._client.shutdown(socket.SHUT_RDWR)

    def sent(self, kind: int) -> list[Packet]:
        """The packets of a type that the client has sent."""
        return [one for one in list(self.packets) if one.kind == kind]

    def published(self, topic: str) -> list[bytes]:
        """The bodies of what the client has published on a topic, each from its topic on."""
        name = _SHORT.pack(len(topic)) + topic.encode()
        return [one.body for one in self.sent(PUBLISH) if one.body.startswith(name)]

    def wait_for(self, kind: int, count: int = 1) -> list[Packet]:
        """Wait until the client has sent so many packets of a type."""
        eventually(lambda: len(self.sent(kind)) >= count, 20, f"{count} packets of type {kind}")
        return self.sent(kind)

    def __enter__(self) -> Self:
        """Listen."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connection, and listen no more."""
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        if self._client is not None:
            self.cut()
        self._thread.join(10)

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            self._connections += 1
            with client, suppress(OSError, EOFError):
                self._client = client
                with client.makefile("rb") as stream:
                    while True:
                        self._take(client, self._packet(stream.read))

    def _packet(self, read: Callable[[int], bytes]) -> Packet:
        first = _exactly(read, 1)[0]
        length = shift = 0
        while True:
            byte = _exactly(read, 1)[0]
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        return Packet(self._connections, first >> 4, first & 0x0F, _exactly(read, length))

    def _take(self, client: socket.socket, packet: Packet) -> None:
        answer = self._answer(packet)
        self.packets.append(packet)
        if answer:
            client.sendall(answer)

    def _answer(self, packet: Packet) -> bytes:
        is_5 = self._version == MQTT_5
        if packet.kind == CONNECT:
            properties = bytes([len(self.properties)]) + self.properties if is_5 else b""
            body = bytes([self.session_present, 0]) + properties
            return b"\x20" + bytes([len(body)]) + body
        if packet.kind == PINGREQ:
            return b"\xd0\x00"
        if packet.kind == PUBLISH and packet.flags & 0x06 and self.confirms:
            (length,) = _SHORT.unpack(packet.body[:2])
            return b"\x40\x02" + packet.body[2 + length : 4 + length]
        if packet.kind in (SUBSCRIBE, UNSUBSCRIBE):
            codes = bytes([self.granted]) * self._filters(packet)
            body = packet.body[:2] + (b"\0" if is_5 else b"")
            if packet.kind == SUBSCRIBE:
                body += codes
            elif is_5:
                body += bytes(len(codes))
            return bytes([packet.kind + 1 << 4, len(body)]) + body
        return b""

    def _filters(self, packet: Packet) -> int:
        at, count = 3 if self._version == MQTT_5 else 2, 0
        while at < len(packet.body):
            at += 2 + _SHORT.unpack(packet.body[at : at + 2])[0] + (packet.kind == SUBSCRIBE)
            count += 1
        return count


def _exactly(read: Callable[[int], bytes], size: int) -> bytes:
    content = read(size)
    if len(content) < size:
        raise EOFError
    return content


def pubrel(packet_id: int) -> bytes:
    """The bytes of a PUBREL."""
    return b"\x62\x02" + packet_id.to_bytes(2)
