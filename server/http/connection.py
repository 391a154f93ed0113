"""A connection of uvicorn with what it lacks: limits, and answers in order whatever a client sends.

uvicorn's protocol class on httptools parses requests and writes answers; its `http` option takes
another class, so what is added here is a subclass (ADR 30). An idle connection is closed after
`limits.idle_s` by uvicorn itself; one whose client does not take its answer is cut off after
`limits.client_s`. Where bytes cannot be read as a request, the requests before them are answered
first, so that no answer is taken for that of another request.
"""

import asyncio
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, ClassVar, Final

import httptools
import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from server.http.head import Fault, fault_of, taken_apart, too_long, unreadable, without_upgrade
from server.http.last_answer import LastAnswerTransport
from server.settings import Limits

_SMALL_BODY_BYTES: Final = 64 << 10


@dataclass(slots=True)
class Shared:
    """What all connections of a server share.

    Attributes:
        waiting: connections whose client has no whole request under way, that which has gone
            without one for the longest first.
        body_bytes: bytes of all bodies whose requests are not answered yet.
    """

    waiting: dict["BoundedConnection", None] = field(default_factory=dict)
    body_bytes: int = 0


class BoundedConnection(HttpToolsProtocol):
    """One connection of a client.

    Attributes:
        limits: limits of all connections, set once before the server starts.
        refused: called with the reason of each request that is refused here, before it becomes
            one; set once before the server starts.
        shared: what all connections share; set once before the server starts.
    """

    limits: Limits = Limits()
    refused: Any = staticmethod(lambda _reason: None)
    shared: ClassVar[Shared] = Shared()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Begin, and make room where there are too many connections."""
        super().connection_made(transport)
        self.app_state = {"has_certificate": bool(transport.get_extra_info("peercert"))}
        closing = LastAnswerTransport(transport, self.limits, self._is_sending)
        self.transport = self._closing = closing  # type: ignore[assignment]  # what uvicorn uses of it
        self._silent_bytes = self._body_bytes = 0
        self._in_body = self._is_ended = self._has_eof = False
        self._unanswered = 0
        self._last_answer = b""
        self._deadline: asyncio.TimerHandle | None = None
        self._write_deadline: asyncio.TimerHandle | None = None
        if len(self.connections) > self.limits.max_connections:
            self._make_room()
        if not self.transport.is_closing():
            self.shared.waiting[self] = None
            self._await_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._end_wait()
        self.resume_writing()
        self._unset_keepalive_if_required()
        self._closing.lost()
        self._forget_bodies()
        self.shared.waiting.pop(self, None)
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
            self._refuse(unreadable(f"this is no HTTP request that can be read: {exc}"))
        if self._silent_bytes > self.limits.max_header_bytes:
            self._refuse(too_long(self.limits.max_header_bytes))
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
                parser = self.parser
                head = parser.get_method(), self.url, parser.get_http_version(), self.headers
                data = without_upgrade(*head) + data[exc.args[0] :]
            else:
                return

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
        self._check_head()
        if self._unanswered > self.limits.max_pipelined:
            # The client asks for the others again, on another connection (RFC 9112, 9.3.2).
            self._end_after(self.cycle)
        if self._is_ended:
            raise ValueError("nothing more is read")  # it ends the parser
        self._unanswered += 1
        self._in_body = True
        super().on_headers_complete()
        self.headers = []  # trailers come too late to change what the request means
        self._keeps_alive, self.cycle.keep_alive = self.cycle.keep_alive, False

    def on_body(self, body: bytes) -> None:
        """Take a part of the body, unless there are too many long ones."""
        self._silent_bytes = 0
        self._body_bytes += len(body)
        self.shared.body_bytes += len(body)
        if (
            self.shared.body_bytes > self.limits.max_bodies_bytes
            and self._body_bytes > _SMALL_BODY_BYTES
        ):
            found, allowed = self.shared.body_bytes, self.limits.max_bodies_bytes
            message = (
                f"bodies of {found} bytes are under way; allowed are {allowed} "
                "(limits.max_bodies_bytes)"
            )
            self._refuse(Fault(503, "bodies", message))
            raise ValueError("nothing more is read")  # it ends the parser
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole, so that another one may follow on the connection."""
        if self.parser.should_upgrade():
            return
        self._silent_bytes = 0
        self._in_body = False
        self.shared.waiting.pop(self, None)
        # Else what is left of the body could be taken for a request.
        self.cycle.keep_alive = self._keeps_alive
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """A request is answered; the next one has its turn."""
        self._unanswered -= 1
        super().on_response_complete()
        if not self._unanswered:
            self._forget_bodies()
        if not self._unanswered and not self.transport.is_closing():
            if self._is_ended:
                self._end()
            else:
                self.shared.waiting[self] = None

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

    def _forget_bodies(self) -> None:
        self.shared.body_bytes -= self._body_bytes
        self._body_bytes = 0

    def _is_sending(self) -> bool:
        return not self._has_eof and (self._is_ended or self._in_body)

    def _make_room(self) -> None:
        """End the connection that has been without a whole request for the longest, or this one."""
        self.refused("connections")
        idle = next(iter(self.shared.waiting), self)
        self.shared.waiting.pop(idle, None)
        idle.transport.abort()

    def _check_head(self) -> None:
        """Refuse what is too long, or does not say in one way what is asked of whom."""
        version = self.parser.get_http_version()
        fault = fault_of(version, self.url, self.headers, self.limits.max_header_bytes)
        if fault is not None:
            self._refuse(fault)
        if version == "1.0":
            self.expect_100_continue = False  # RFC 9110, 10.1.1
        if not self.url.startswith(b"/"):
            parts = taken_apart(self.url)
            if parts is None:
                self._refuse(unreadable("the request is neither for a path nor for an address"))
                return
            host, self.url = parts
            self.headers[:] = [one for one in self.headers if one[0] != b"host"]
            self.headers.append((b"host", host))

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
        allowed = f"{self.limits.client_s:g} s (limits.client_s)"
        self._refuse(Fault(408, "slow", f"no request came within {allowed}"))

    def _refuse(self, fault: Fault) -> None:
        """Refuse what is no request: requests before it are answered first, and nothing after."""
        if self._is_ended or self.transport.is_closing():
            return
        self._is_ended = True
        if self._in_body:
            if self.cycle.response_started:
                return  # the connection ends behind that answer
            self._drop_request()
        self.refused(fault.reason)
        body = orjson.dumps({"error": fault.message})
        head = (
            f"HTTP/1.1 {fault.status} {HTTPStatus(fault.status).phrase}\r\n"
            "content-type: application/json\r\n"
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
