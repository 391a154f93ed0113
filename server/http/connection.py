"""A connection of uvicorn with the limits that it lacks: headers, slow clients, connections.

uvicorn's protocol class on httptools parses requests and writes answers; its `http` option takes
another class, so what is added here is a subclass (ADR 30). An idle connection is closed after
`limits.idle_s` by uvicorn itself.
"""

import asyncio
from typing import Final

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from server.http.refusals import CONNECTIONS, HEADERS, NOT_HTTP, SlowClientError
from server.http.request import ClientGoneError
from server.http.tally import UNSENT, Tally
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
        tally: counts requests; set once before the server starts.
        is_lost: whether the connection has ended, so that nothing can be answered any more.
        outcome: status and reason of a request that is under way when the connection is lost.
    """

    limits: Limits = Limits()
    tally: Tally = Tally()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Begin, unless there are too many connections already."""
        super().connection_made(transport)
        self.is_lost = False
        self.outcome = UNSENT, ClientGoneError.reason
        self._header_bytes, self._begun = 0, 0
        self._in_headers = True
        self._deadline: asyncio.TimerHandle | None = None
        self._taking: asyncio.TimerHandle | None = None
        self._refusal = b""
        if len(self.connections) > self.limits.max_connections:
            self.tally.refuse_unread(CONNECTIONS, UNSENT)
            transport.abort()
            return
        self._await_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection, and the requests that it has not begun with."""
        self.is_lost = True
        self._end_wait()
        if self._taking is not None:
            self._taking.cancel()
        for _ in self.pipeline:
            self.tally.drop(ClientGoneError.reason)
        self.pipeline.clear()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes; headers that are too long end the connection before they are whole."""
        if self._refusal:
            return
        is_between = not (self._in_headers and self._header_bytes) and not self._is_in_body
        self._begun = 0
        super().data_received(data)
        if not self._in_headers:
            if self._is_idle and self.timeout_keep_alive_task is None and self._deadline is None:
                self._await_headers()  # bytes that begin no request must not keep it open
        else:
            is_alone = self._begun == 0 or (self._begun == 1 and is_between)
            # An unknown part of the bytes belongs to requests before this one.
            self._header_bytes += len(data) if is_alone else 1
            if self._header_bytes > self.limits.max_header_bytes:
                self._refuse_headers()

    def on_message_begin(self) -> None:
        """A request begins."""
        self._begun += 1
        self._in_headers = True
        self._header_bytes = 0
        if self._deadline is None:
            self._await_headers()
        super().on_message_begin()
        self.scope["state"]["connection"] = self

    def on_headers_complete(self) -> None:
        """The headers are there; what is left of the limits concerns the body."""
        self._in_headers = False
        self._end_wait()
        length = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if length > self.limits.max_header_bytes:
            self._in_headers = True
            self._refuse_headers()
            raise ValueError("headers are too long")  # it ends the parser; uvicorn then closes
        super().on_headers_complete()
        self.tally.begin()

    def on_response_complete(self) -> None:
        """A request was answered; what was refused after it is answered now."""
        super().on_response_complete()
        if self._refusal and self._is_turn_of_refusal:
            self._end(self._refusal)

    def send_400_response(self, msg: str) -> None:
        """Answer bytes that are no request, as every refusal is answered."""
        self._refuse(400, NOT_HTTP, f"this is no HTTP request that can be read: {msg}")

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection; cut it off where its client does not take what is left."""
        super().timeout_keep_alive_handler()
        self.loop.call_later(self.limits.client_s, self.transport.abort)

    def pause_writing(self) -> None:
        """So much of the answers is left to be sent that the client has to take some first."""
        super().pause_writing()
        self._taking = self.loop.call_later(self.limits.client_s, self.transport.abort)

    def resume_writing(self) -> None:
        """The client has taken what waited for it."""
        if self._taking is not None:
            self._taking.cancel()
            self._taking = None
        super().resume_writing()

    @property
    def _is_idle(self) -> bool:
        """Whether all requests whose headers were read are answered."""
        return self.cycle is None or self.cycle.response_complete

    @property
    def _is_in_body(self) -> bool:
        """Whether the body of the request whose headers were read last is not whole yet."""
        return self.cycle is not None and self.cycle.more_body

    @property
    def _is_turn_of_refusal(self) -> bool:
        """Whether all requests before the one that is refused here are answered."""
        return self._is_idle or (self._is_in_body and not self.pipeline)

    def _await_headers(self) -> None:
        self._deadline = self.loop.call_later(self.limits.client_s, self._give_up)

    def _end_wait(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        seconds = f"{self.limits.client_s:g} s (limits.client_s)"
        self._refuse(408, SlowClientError.reason, f"no request came within {seconds}")

    def _refuse_headers(self) -> None:
        self._refuse(
            431,
            HEADERS,
            f"the request's line and headers have more than {self.limits.max_header_bytes} bytes "
            "(limits.max_header_bytes)",
        )

    def _refuse(self, status: int, reason: str, message: str) -> None:
        """Answer what is no request, or no longer one, in its turn, and close."""
        if self.transport.is_closing() or self._refusal:
            return
        body = orjson.dumps({"error": message})
        head = (
            f"HTTP/1.1 {status} {_PHRASES[status]}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        if self._in_headers:
            self.tally.refuse_unread(reason, status)
            self._refusal = head.encode() + body
        elif self._is_idle:  # what is left of the body of a request that was answered
            self._end(b"")
            return
        else:
            self.outcome = status, reason
            self._refusal = head.encode() + body
        if self._is_turn_of_refusal:
            self._end(self._refusal)
        else:
            # Answers have the order of the requests (RFC 9112, 9.3.2).
            self.flow.pause_reading()

    def _end(self, last: bytes) -> None:
        """Send what is left to say, and close."""
        self._end_wait()
        self.transport.write(last)
        self.transport.close()
        self.loop.call_later(self.limits.client_s, self.transport.abort)
