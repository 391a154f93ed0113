"""PUBLISH and PUBACK on a socket: one `recv` for many packets in, one `send` for many packets out.

It works on plain and on TLS sockets, which must be non-blocking, so that no call here waits.
Packets of other types are handed to the caller. Errors of the socket are not raised: `ended` says
that the other side is gone, and the connection finds the cause.
"""

import socket as sockets
import ssl
import sys
from collections.abc import Callable
from time import monotonic, time_ns
from typing import Final, Protocol

from serving.mqtt.errors import reason_of
from serving.mqtt.packets import PINGREQ, Block, Publish, Writer, puback, pubcomp, pubrec
from serving.mqtt.reader import Reader

RECV_BYTES: Final = 1 << 16
"""Bytes that one `recv` takes at most, 64 KiB: hundreds of readings."""
# What a non-blocking socket raises where a blocking one would wait. TLS may have to read in order
# to write, and to write in order to read (SSL_get_error(3)).
_LATER = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


_LAST_DATA = slice(52, 56)  # tcpi_last_data_recv of struct tcp_info, in linux/tcp.h


def silent_s(opened: sockets.socket) -> float:
    """How long ago the kernel has last received bytes of a connection, in seconds (tcp(7))."""
    info = opened.getsockopt(sockets.IPPROTO_TCP, sockets.TCP_INFO, _LAST_DATA.stop)
    return int.from_bytes(info[_LAST_DATA], sys.byteorder) / 1000


def is_read_to_the_end(opened: sockets.socket, wait_s: float) -> bool:
    """Send no more on a connection, and wait until the other side has read all and closed it.

    A socket that is closed while bytes still arrive answers them by a reset (RFC 9293, 3.6.1), and
    the other side may then leave unread what was sent before.

    Args:
        opened: a plain socket, or a copy of the plain one below TLS.
        wait_s: seconds to wait at most.

    Returns:
        Whether the other side has closed the connection in time, and without a reset.
    """
    end_s = monotonic() + wait_s
    try:
        opened.shutdown(sockets.SHUT_WR)
        while (left_s := end_s - monotonic()) > 0:
            opened.settimeout(left_s)
            if not opened.recv(RECV_BYTES):
                return True
    except OSError:  # reset, or nothing came in time
        return False
    return False


class Socket(Protocol):
    """The part of a non-blocking socket that is needed here."""

    def recv(self, buffer_size: int, /) -> bytes:
        """Read what has arrived; empty at the end of the stream."""

    def send(self, content: bytes | bytearray, /) -> int:
        """Write as much as the socket takes, and return how many bytes that were."""


class Transport:
    """Receives and sends PUBLISH and PUBACK for one connection.

    Args:
        version: `MQTT_5` or `MQTT_3_1_1` of `serving.mqtt.packets`.
        max_packet_bytes: bytes of the longest packet that is accepted.

    Attributes:
        ended: whether the other side has closed the connection, or it is broken.
        has_heard: whether bytes have arrived; the caller resets it.
    """

    def __init__(self, version: int, max_packet_bytes: int) -> None:
        self.ended = False
        self.has_heard = False
        self._broken_by: OSError | None = None
        self._reader = Reader(version, max_packet_bytes)
        self._writer = Writer(version)
        self._unsent = bytearray()

    @property
    def has_packets(self) -> bool:
        """Whether received bytes may contain a packet that `receive` has not returned yet."""
        return self._reader.has_packets

    @property
    def has_unsent(self) -> bool:
        """Whether packets are queued that the socket has not taken yet."""
        return len(self._unsent) > 0

    @property
    def cause(self) -> str:
        """Why the connection has ended, in words."""
        return reason_of(self._broken_by) if self._broken_by else "closed by the other side"

    def find_cause(self, socket: Socket) -> None:
        """Read once more before the socket is closed: a TLS alert may say why a write failed."""
        try:
            socket.recv(1)
        except _LATER:
            return
        except ssl.SSLError as exc:
            if not isinstance(self._broken_by, ssl.SSLError):
                self._broken_by = exc
        except OSError:
            return

    def receive(self, socket: Socket, limit: int, clock: Callable[[], int] = time_ns) -> Block:
        """Return packets that have arrived, at most `limit` PUBLISH packets among them.

        The socket is read only once all packets of the last read were returned, so that no more
        than one read and one packet are buffered here. The rest stays in the kernel, and TCP slows
        the broker down.

        Args:
            socket: the socket of the connection.
            limit: number of PUBLISH packets to return at most.
            clock: time of arrival to note in them, nanoseconds since 1970.

        Raises:
            MalformedError: the bytes are not MQTT; the connection has to be closed.
        """
        reader = self._reader
        if not reader.has_packets:
            try:
                chunk = socket.recv(RECV_BYTES)
            except _LATER:
                return Block()
            except OSError as exc:  # reset, timed out or a TLS failure: gone, as is a plain end
                self._broken_by, chunk = exc, b""
            self.ended = not chunk
            self.has_heard = True
            reader.feed(chunk)
        return reader.read(limit, clock())

    def publish(self, message: Publish) -> None:
        """Queue one PUBLISH; `send` writes it."""
        self._unsent += self._writer.publish(message)

    def acknowledge(self, packet_id: int) -> None:
        """Queue one PUBACK; `send` writes it."""
        self._unsent += puback(packet_id)

    def receive_at_qos_2(self, packet_id: int) -> None:
        """Queue one PUBREC; `send` writes it."""
        self._unsent += pubrec(packet_id)

    def complete(self, packet_id: int) -> None:
        """Queue one PUBCOMP; `send` writes it."""
        self._unsent += pubcomp(packet_id)

    def ping(self) -> None:
        """Queue one PINGREQ; `send` writes it."""
        self._unsent += PINGREQ

    def send(self, socket: Socket) -> None:
        """Write as much of the queue as the socket takes now; the rest waits for the next call."""
        try:
            while self._unsent:
                sent = socket.send(self._unsent)
                del self._unsent[:sent]
        except _LATER:
            return
        except OSError as exc:
            self._broken_by, self.ended = exc, True
