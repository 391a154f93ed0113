"""A connection of uvicorn with the limits that it lacks: headers, slow clients, connections.

uvicorn's protocol class on httptools parses requests and writes answers; its `http` option takes
another class, so what is added here is a subclass (ADR 30). An idle connection is closed after
`limits.idle_s` by uvicorn itself; one whose client does not take its answer, or the next part of a
stream, is cut off after `limits.client_s`.
"""

import asyncio
from typing import Any, Final

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from server.settings import Limits

_PHRASES: Final = {
    400: "Bad Request",
    408: "Request Timeout",
    431: "Request Header Fields Too Large",
}


class BoundedConnection(HttpToolsProtocol):
    """One connection of a client.

    Attributes:
        limits: limits of all connections, set once before the server starts.
        refused: called with the reason of each request that is refused here, before it becomes
            one; set once before the server starts.
    """

    limits: Limits = Limits()
    refused: Any = staticmethod(lambda _reason: None)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Begin, unless there are too many connections already."""
        super().connection_made(transport)
        self._header_bytes = 0
        self._in_headers = True
        self._deadline: asyncio.TimerHandle | None = None
        self._untaken: asyncio.TimerHandle | None = None
        if len(self.connections) > self.limits.max_connections:
            self.refused("connections")
            transport.abort()
            return
        self._await_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._end_wait()
        self._end_untaken()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes; headers that are too long end the connection before they are whole."""
        super().data_received(data)
        if self._in_headers:
            self._header_bytes += len(data)
            if self._header_bytes > self.limits.max_header_bytes:
                self._refuse_headers()

    def on_message_begin(self) -> None:
        """A request begins."""
        self._in_headers = True
        self._header_bytes = 0
        if self._deadline is None:
            self._await_headers()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The headers are there; what is left of the limits concerns the body."""
        self._in_headers = False
        self._end_wait()
        length = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if length > self.limits.max_header_bytes:
            self._refuse_headers()
            raise ValueError("headers are too long")  # it ends the parser; uvicorn then closes
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer bytes that are no request, as every refusal is answered."""
        self._refuse(400, "not_http", f"this is no HTTP request that can be read: {msg}")

    def pause_writing(self) -> None:
        """The client does not take what is sent: wait for it, but not for ever."""
        super().pause_writing()
        self._end_untaken()
        self._untaken = self.loop.call_later(self.limits.client_s, self.transport.abort)

    def resume_writing(self) -> None:
        """The client has taken most of it."""
        self._end_untaken()
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection; cut it off where its client does not take what is left."""
        super().timeout_keep_alive_handler()
        self.loop.call_later(self.limits.client_s, self.transport.abort)

    def _await_headers(self) -> None:
        self._deadline = self.loop.call_later(self.limits.client_s, self._give_up)

    def _end_wait(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _end_untaken(self) -> None:
        if self._untaken is not None:
            self._untaken.cancel()
            self._untaken = None

    def _give_up(self) -> None:
        self._refuse(
            408, "slow", f"no request came within {self.limits.client_s:g} s (limits.client_s)"
        )

    def _refuse_headers(self) -> None:
        self._refuse(
            431,
            "headers",
            f"the request's line and headers have more than {self.limits.max_header_bytes} bytes "
            "(limits.max_header_bytes)",
        )

    def _refuse(self, status: int, reason: str, message: str) -> None:
        """Answer without a request, and close."""
        if self.transport.is_closing():
            return
        self.refused(reason)
        body = orjson.dumps({"error": message})
        head = (
            f"HTTP/1.1 {status} {_PHRASES[status]}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()
        self.loop.call_later(self.limits.client_s, self.transport.abort)
