"""A connection of uvicorn with what it lacks: limits, and answers in order whatever a client sends.

uvicorn's protocol class on httptools parses requests and writes answers; its `http` option takes
another class, so what is added here is a subclass (ADR 30). An idle connection is closed after
`limits.idle_s` by uvicorn itself; one whose client does not take its answer is cut off after
`limits.client_s`. Where bytes cannot be read as a request, the requests before them are answered
first, so that no answer is taken for that of another request.
"""

import asyncio
from typing import Any, ClassVar, Final

import httptools
import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from server.http.last_answer import LastAnswerTransport
from server.settings import Limits

_PHRASES: Final = {
    400: "Bad Request",
    408: "Request Timeout",
    431: "Request Header Fields Too Large",
    501: "Not Implemented",
    505: "HTTP Version Not Supported",
}
_UPGRADING: Final = frozenset({b"upgrade", b"http2-settings"})
_VERSIONS: Final = ("1.1", "1.0")


class BoundedConnection(HttpToolsProtocol):
    """One connection of a client.

    Attributes:
        limits: limits of all connections, set once before the server starts.
        refused: called with the reason of each request that is refused here, before it becomes
            one; set once before the server starts.
        waiting: connections without a request under way, that which waits for the longest first;
            shared by all connections of a server.
    """

    limits: Limits = Limits()
    refused: Any = staticmethod(lambda _reason: None)
    waiting: ClassVar[dict["BoundedConnection", None]] = {}

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Begin, and make room where there are too many connections."""
        super().connection_made(transport)
        self.app_state = {"has_certificate": bool(transport.get_extra_info("peercert"))}
        closing = LastAnswerTransport(transport, self.limits, self._is_sending)
        self.transport = self._closing = closing  # type: ignore[assignment]  # what uvicorn uses of it
        self._silent_bytes = 0
        self._in_body = self._is_ended = self._has_eof = False
        self._unanswered = 0
        self._last_answer = b""
        self._deadline: asyncio.TimerHandle | None = None
        self._write_deadline: asyncio.TimerHandle | None = None
        if len(self.connections) > self.limits.max_connections:
            self._make_room()
        if not self.transport.is_closing():
            self.waiting[self] = None
            self._await_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._end_wait()
        self.resume_writing()
        self._unset_keepalive_if_required()
        self._closing.lost()
        self.waiting.pop(self, None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes; headers or trailers that are too long are refused before they are whole."""
        self._unset_keepalive_if_required()
        if self._is_ended or self.transport.is_closing():
            self._closing.throw_away(data)
            return
        self._silent_bytes += len(data)
        try:
            self._feed(data)
        except httptools.HttpParserError as exc:
            self._refuse(400, "not_http", f"this is no HTTP request that can be read: {exc}")
        if self._silent_bytes > self.limits.max_header_bytes:
            self._refuse_headers()
        if not self._unanswered and self._deadline is None:
            self._await_headers()  # line ends without a request do not keep a connection open

    def _feed(self, data: bytes) -> None:
        """Have bytes parsed. A wish to change the protocol is ignored (RFC 9110, 7.8).

        The parser takes what follows such a wish for the other protocol, the body included, so the
        request is parsed again without it. Java's HTTP client sends one with its first request.
        """
        while data:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as exc:
                data = self._without_upgrade() + data[exc.args[0] :]
            else:
                return

    def _without_upgrade(self) -> bytes:
        """The request line and headers that were parsed last, without that wish."""
        version = self.parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, version)]
        for name, value in self.headers:
            if name == b"connection":
                options = [one.strip().lower() for one in value.split(b",")]
                value = b", ".join(one for one in options if one not in _UPGRADING)  # noqa: PLW2901  the value that is kept
            if name not in _UPGRADING:
                lines.append(name + b": " + value)
        return b"\r\n".join([*lines, b"", b""])

    def eof_received(self) -> bool | None:  # type: ignore[override]  # as in asyncio
        """The client has closed its side; what it has asked is answered, where it may read on."""
        self._has_eof = True
        is_asked = self._unanswered and not self._in_body and not self.cycle.response_started
        if not is_asked or self.scheme == "https" or self.transport.is_closing():
            return None
        self._end_after(self.cycle)
        return True

    def on_message_begin(self) -> None:
        """A request begins."""
        if self._deadline is None:
            self._await_headers()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The headers are there: the request is answered, or waits for those before it."""
        if self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT":
            return  # it is parsed again
        self._end_wait()
        self._check_headers()
        if self._unanswered > self.limits.max_pipelined:
            # The client asks for the others again, on another connection (RFC 9112, 9.3.2).
            self._end_after(self.cycle)
        if self._is_ended:
            raise ValueError("nothing more is read")  # it ends the parser
        self.waiting.pop(self, None)
        self._unanswered += 1
        self._in_body = True
        super().on_headers_complete()
        self.headers = []  # trailers come too late to change what the request means
        self._keeps_alive, self.cycle.keep_alive = self.cycle.keep_alive, False

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._silent_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole, so that another one may follow on the connection."""
        if self.parser.should_upgrade():
            return
        self._silent_bytes = 0
        self._in_body = False
        # Else what is left of the body could be taken for a request.
        self.cycle.keep_alive = self._keeps_alive
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """A request is answered; the next one has its turn."""
        self._unanswered -= 1
        super().on_response_complete()
        if not self._unanswered and not self.transport.is_closing():
            if self._is_ended:
                self._end()
            else:
                self.waiting[self] = None

    def shutdown(self) -> None:
        """End as soon as what was asked is answered."""
        self._keeps_alive = False
        super().shutdown()

    def pause_writing(self) -> None:
        """The client does not take its answers; it has a while to do so."""
        super().pause_writing()
        self._write_deadline = self.loop.call_later(self.limits.client_s, self.transport.abort)

    def resume_writing(self) -> None:
        """The client has taken its answers."""
        if self._write_deadline is not None:
            self._write_deadline.cancel()
            self._write_deadline = None
        super().resume_writing()

    def _is_sending(self) -> bool:
        return not self._has_eof and (self._is_ended or self._in_body)

    def _make_room(self) -> None:
        """End the connection that has been without a request for the longest, or else this one."""
        self.refused("connections")
        idle = next(iter(self.waiting), self)
        self.waiting.pop(idle, None)
        idle.transport.abort()

    def _check_headers(self) -> None:
        """Refuse what is too long, or does not say in one way what is asked of whom."""
        version = self.parser.get_http_version()
        length, hosts = len(self.url), 0
        for name, value in self.headers:
            length += len(name) + len(value) + 4
            if name == b"host":
                hosts += 1
            elif name == b"transfer-encoding" and (value.lower() != b"chunked" or version == "1.0"):
                # RFC 9112, 6.1: whoever understands it otherwise finds another end of the body.
                self._refuse(501, "not_http", "Transfer-Encoding may only be chunked, in HTTP 1.1")
        if length > self.limits.max_header_bytes:
            self._refuse_headers()
        if version not in _VERSIONS:
            self._refuse(505, "not_http", f"this is HTTP {version}; allowed are 1.1 and 1.0")
        if hosts != 1 and (hosts or version == "1.1"):  # RFC 9112, 3.2
            self._refuse(400, "not_http", f"the request has {hosts} headers Host; it needs one")
        if version == "1.0":
            self.expect_100_continue = False  # RFC 9110, 10.1.1
        if not self.url.startswith(b"/"):
            self._take_whole_address()

    def _take_whole_address(self) -> None:
        """Take a whole address apart, whose host counts instead of the header (RFC 9112, 3.2.2)."""
        try:
            parts = httptools.parse_url(self.url)
        except httptools.HttpParserInvalidURLError:
            parts = None
        if parts is None or not parts.host:
            self._refuse(400, "not_http", "the request is neither for a path nor for an address")
            return
        port = b"" if parts.port is None else b":%d" % parts.port
        host = b"[%b]" % parts.host if b":" in parts.host else parts.host
        self.headers[:] = [one for one in self.headers if one[0] != b"host"]
        self.headers.append((b"host", host + port))
        self.url = (parts.path or b"/") + (b"" if parts.query is None else b"?" + parts.query)

    def _await_headers(self) -> None:
        self._deadline = self.loop.call_later(self.limits.client_s, self._give_up)

    def _end_wait(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        if self.flow.read_paused:  # the request may be there, behind others that are not answered
            self._await_headers()
            return
        self._refuse(
            408, "slow", f"no request came within {self.limits.client_s:g} s (limits.client_s)"
        )

    def _refuse_headers(self) -> None:
        self._refuse(
            431,
            "headers",
            "the request's line and headers, or its trailers, have more than "
            f"{self.limits.max_header_bytes} bytes (limits.max_header_bytes)",
        )

    def _refuse(self, status: int, reason: str, message: str) -> None:
        """Refuse what is no request: requests before it are answered first, and nothing after."""
        if self._is_ended or self.transport.is_closing():
            return
        self._is_ended = True
        if self._in_body:
            if self.cycle.response_started:
                return  # the connection ends behind that answer
            self._drop_request()
        self.refused(reason)
        body = orjson.dumps({"error": message})
        head = (
            f"HTTP/1.1 {status} {_PHRASES[status]}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self._last_answer = head.encode() + body
        if not self._unanswered:
            self._end()

    def _drop_request(self) -> None:
        """Let nobody answer the request whose body cannot be read."""
        self._unanswered -= 1
        if self.pipeline and self.pipeline[0][0] is self.cycle:
            self.pipeline.popleft()
        else:
            self.cycle.disconnected = True
            self.cycle.message_event.set()

    def _end_after(self, cycle: Any) -> None:  # noqa: ANN401  uvicorn's class is not documented
        """Read nothing more; the connection ends after the answer to this request."""
        self._is_ended = True
        cycle.keep_alive = False

    def _end(self) -> None:
        """Write the last answer, if there is one, and end."""
        self.flow.resume_reading()
        self.transport.write(self._last_answer)
        self.transport.close()
