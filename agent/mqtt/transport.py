"""The hot packets on a socket: one `recv` for many that came, one `send` for many that go.

Works on plain and TLS sockets that do not block. What is not PUBLISH or PUBACK is handed on.
"""

import ssl
from collections.abc import Callable
from time import time_ns
from typing import Final, Protocol

from agent.mqtt.packets import Block, Publish, Reader, Writer, puback

RECV_BYTES: Final = 1 << 16
_LATER = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Socket(Protocol):
    """The part of a socket that is needed here."""

    def recv(self, buffer_size: int, /) -> bytes:
        """Read what is there."""

    def send(self, content: bytes | bytearray, /) -> int:
        """Write as much as goes."""


class Transport:
    """PUBLISH and PUBACK of one connection, both ways.

    Args:
        version: 5, or 4 for MQTT 3.1.1.
        max_packet_bytes: longest packet taken in.

    Attributes:
        ended: whether the other side is gone.
    """

    def __init__(self, version: int, max_packet_bytes: int) -> None:
        self.ended = False
        self._reader = Reader(version, max_packet_bytes)
        self._writer = Writer(version)
        self._unsent = bytearray()

    @property
    def has_packets(self) -> bool:
        """Whether packets that were received are not yet handed over."""
        return self._reader.has_packets

    @property
    def has_unsent(self) -> bool:
        """Whether something waits to be sent."""
        return len(self._unsent) > 0

    def receive(self, socket: Socket, limit: int, clock: Callable[[], int] = time_ns) -> Block:
        """Take in what is there, and hand over packets until `limit` PUBLISHes are among them.

        They are stamped by `clock`, in nanoseconds since 1970.

        Raises:
            MalformedError: what came is no MQTT.
        """
        reader = self._reader
        if not reader.has_packets:
            try:
                chunk = socket.recv(RECV_BYTES)
            except _LATER:
                return Block()
            except OSError:
                chunk = b""
            self.ended = not chunk
            reader.feed(chunk)
        return reader.read(limit, clock())

    def publish(self, message: Publish) -> None:
        """Queue one PUBLISH."""
        self._unsent += self._writer.publish(message)

    def acknowledge(self, packet_id: int) -> None:
        """Queue one PUBACK."""
        self._unsent += puback(packet_id)

    def send(self, socket: Socket) -> None:
        """Write as much of what is queued as the socket takes."""
        try:
            while self._unsent:
                sent = socket.send(self._unsent)
                del self._unsent[:sent]
        except _LATER:
            return
        except OSError:
            self.ended = True
