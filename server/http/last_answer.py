"""The end of a connection: the client can read the last answer, and cannot hold the connection.

A socket that is closed while bytes of the client are still on their way answers them with a reset,
and a reset may destroy the answer before the client has read it (RFC 9112, 9.6). So where the
client may still be sending, only our side is closed at first, and what comes is read and thrown
away for a short time.
"""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from server.settings import Limits

_READ_ON_S: Final = 2.0


class LastAnswerTransport:
    """The transport of a connection, with an end of its own.

    Args:
        transport: the transport of the event loop.
        limits: how long a client may take to take the last answer, and how much is thrown away.
        is_sending: whether the client may still be sending; asked when the connection is closed.

    Attributes:
        write: writes bytes.
        abort: ends the connection at once; what is not sent yet is lost.
    """

    def __init__(
        self, transport: asyncio.Transport, limits: Limits, is_sending: Callable[[], bool]
    ) -> None:
        self.write, self.abort = transport.write, transport.abort
        self._transport, self._limits, self._is_sending = transport, limits, is_sending
        self._loop = asyncio.get_running_loop()
        self._timers: list[asyncio.TimerHandle] = []
        self._is_closing = False
        self._thrown_away_bytes = 0

    def begin(self, head: bytes) -> None:
        """Write the head of an answer without an end, and have the system watch over the client.

        What the client does not take stays with the system at first, and a computer that has gone
        without a word takes nothing for a quarter of an hour before the system gives it up
        (tcp_retries2 in tcp(7)). With a time of its own it does so after `limits.client_s`.
        """
        client, longest_ms = self._transport.get_extra_info("socket"), 1000 * self._limits.client_s
        with suppress(OSError, AttributeError):  # the connection has ended meanwhile
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(longest_ms))
        self.write(head)

    def close(self) -> None:
        """Send what is written, and end."""
        if self.is_closing():
            return
        self._is_closing = True
        # A client that takes nothing would keep what is written, and the connection, for ever.
        longest_s = self._limits.client_s + _READ_ON_S
        self._timers.append(self._loop.call_later(longest_s, self.abort))
        if not self._is_sending():
            self._transport.close()
            return
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._timers.append(self._loop.call_later(_READ_ON_S, self._transport.close))

    def throw_away(self, content: bytes) -> None:
        """Throw away what comes after the last answer; too much of it ends the connection."""
        self._thrown_away_bytes += len(content)
        if self._is_closing and self._thrown_away_bytes > self._limits.max_body_bytes:
            self._transport.close()

    def is_closing(self) -> bool:
        """Whether nothing is answered any more."""
        return self._is_closing or self._transport.is_closing()

    def lost(self) -> None:
        """Forget the timers, because the connection has ended."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
