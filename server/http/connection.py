"""One connection of a client: its requests are read, bounded, and answered one after the other.

llhttp (by httptools) parses. A client may send requests ahead of their answers; each is answered in
its turn (RFC 9112, 9.3.2). Where bytes cannot be read as a request, those before them are answered
first, so that no answer is taken for that of another request.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from math import inf
from time import perf_counter_ns
from typing import Final

import httptools

from server.http.answer import Answer, Parts
from server.http.application import Application
from server.http.faults import Fault, too_large, too_long, too_many, too_slow, unreadable
from server.http.head import checked, without_upgrade
from server.http.last_answer import LastAnswerTransport
from server.http.refusals import BUG, CONNECTIONS
from server.http.request import ClientGoneError, Link, Request
from server.http.shared import Shared
from server.http.tally import UNSENT, Kind
from server.http.wire import CONTINUE, framed, head_of, refusal_of

_SMALL_BODY_BYTES: Final = 64 << 10


class Connection(asyncio.Protocol):
    """One connection.

    Args:
        application: answers requests.
        shared: what all connections share.

    Attributes:
        deadline_s: time of the event loop's clock after which the client is given up; `expire` is
            then called.
    """

    def __init__(self, application: Application, shared: Shared) -> None:
        self._application, self._shared = application, shared
        self._limits, self._tally = shared.limits, application.tally
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._url, self._headers = b"", list[tuple[bytes, bytes]]()
        self._arriving: Request | None = None  # whose body is not whole yet
        self._pending: deque[Request] = deque()
        self._task: asyncio.Task[None] | None = None
        self._unanswered = self._silent_bytes = 0
        self._is_ended = self._is_cut = self._has_eof = False
        self._is_lost = self._is_streaming = False
        self._last_answer = b""
        self._taken: asyncio.Future[None] | None = None  # done once the client has taken answers
        self.deadline_s = inf
        self._expired: Callable[[], None] = self._give_up

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # the only kind there is
        """Begin, and make room where there are too many connections."""
        peer = transport.get_extra_info("peername")
        scheme = "https" if transport.get_extra_info("sslcontext") else "http"
        is_certified = bool(transport.get_extra_info("peercert"))
        self._link = Link(peer[0] if peer else "", scheme, is_certified)
        self._transport = LastAnswerTransport(transport, self._limits, self._is_sending)
        self._shared.add(self)
        if len(self._shared.connections) > self._limits.max_connections:
            self._tally.refuse_unread(CONNECTIONS, UNSENT)
            idle = next(iter(self._shared.waiting), self)
            self._shared.waiting.pop(idle, None)
            idle.abort()
        if not self._transport.is_closing():
            self._shared.waiting[self] = None
            self._wait(self._limits.client_s, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  the signature is asyncio's
        """Forget the connection, and the requests that nobody waits for any more."""
        self._is_lost = True
        self.deadline_s = inf
        self._transport.lost()
        self._shared.remove(self)
        if self._arriving is not None:
            self._pending.append(self._arriving)
            self._arriving = None
        while self._pending:
            self._count(self._pending.popleft(), UNSENT, ClientGoneError.reason)
        if self._taken is not None and not self._taken.done():
            self._taken.set_result(None)
        self.cancel()

    def data_received(self, data: bytes) -> None:
        """Take bytes; headers or trailers that are too long are refused before they are whole."""
        if self._is_ended or self._transport.is_closing():
            self._transport.throw_away(data)
            return
        self._silent_bytes += len(data)
        try:
            self._feed(data)
        except httptools.HttpParserError as exc:
            self._refuse(unreadable(f"this is no HTTP request that can be read: {exc}"))
        if self._silent_bytes > self._limits.max_header_bytes:
            self._refuse(too_long(self._limits.max_header_bytes))
        if self._expired == self.abort and not self._unanswered and self._taken is None:
            self._wait(self._limits.client_s, self._give_up)  # line ends alone are no request

    def eof_received(self) -> bool | None:
        """The client has closed its side; what it has asked is answered, where it may read on."""
        self._has_eof = True
        is_asked = self._unanswered and self._arriving is None and not self._is_streaming
        if not is_asked or self._link.scheme == "https" or self._transport.is_closing():
            return None
        self._is_ended = True
        return True

    def pause_writing(self) -> None:
        """The client does not take its answers; it has a while to do so."""
        self._taken = self._loop.create_future()
        self._wait(self._limits.client_s, self.abort)

    def resume_writing(self) -> None:
        """The client has taken its answers."""
        if self._taken is not None and not self._taken.done():
            self._taken.set_result(None)
        self._taken, self.deadline_s = None, inf
        self._rest()

    def abort(self) -> None:
        """End the connection at once."""
        self._transport.abort()

    def expire(self) -> None:
        """The client is given up: it has not done in time what it was waited for."""
        self.deadline_s = inf
        self._expired()

    def shut_down(self) -> None:
        """End as soon as what was asked is answered."""
        self._is_ended = True
        self._rest()

    def cancel(self) -> None:
        """Answer what is under way by a refusal, because the time for an orderly stop is over."""
        if self._task is not None:
            self._task.cancel()

    def on_message_begin(self) -> None:
        """A request begins."""
        self._url = b""
        self._headers = []
        if self._taken is None:
            self._wait(self._limits.client_s, self._give_up)

    def on_url(self, url: bytes) -> None:
        """Take a part of the target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; a trailer comes too late to change what the request means."""
        if self._arriving is None:
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The headers are there: refuse the request, or expect its body."""
        parser = self._parser
        if parser.should_upgrade():
            return  # it is parsed again
        version = parser.get_http_version()
        head = checked(version, self._url, self._headers, self._limits.max_header_bytes)
        if isinstance(head, Fault):
            self._refuse(head)
        if isinstance(head, Fault) or self._is_ended:
            raise ValueError("nothing more is read")  # it ends the parser
        self._unanswered += 1
        self._tally.begin()
        request = Request(parser.get_method().decode(), *head, self._link)
        request.is_of_1_0 = version == "1.0"
        request.keeps_alive = parser.should_keep_alive()
        self._arriving = request
        if self._unanswered > self._limits.max_pipelined:
            request.keeps_alive, self._is_cut = False, True  # it asks again (RFC 9112, 9.3.2)
        self._application.begin(request)
        announced, most = request.header(b"content-length"), self._limits.max_body_bytes
        if announced.isdigit() and int(announced) > most:
            self._refuse(too_large(int(announced), most))
        elif request.header(b"expect").lower() == b"100-continue":
            self._permit(request)

    def on_body(self, body: bytes) -> None:
        """Take a part of the body, unless it is too long."""
        self._silent_bytes = 0
        request = self._arriving
        if request is None:
            return
        request.length += len(body)
        self._shared.body_bytes += len(body)
        if request.refusal is None:
            request.parts.append(body)
        if request.length > self._limits.max_body_bytes:
            self._refuse(too_large(request.length, self._limits.max_body_bytes))
        found, most = self._shared.body_bytes, self._limits.max_bodies_bytes
        if found > most and request.length > _SMALL_BODY_BYTES:
            self._refuse(too_many(found, most))
        if self._is_ended:
            raise ValueError("nothing more is read")  # it ends the parser

    def on_message_complete(self) -> None:
        """The request is whole; it is answered once those before it are."""
        request = self._arriving
        if request is None:
            return
        self._silent_bytes = 0
        self._arriving = None
        self._shared.waiting.pop(self, None)
        if self._taken is None:
            self.deadline_s = inf
        self._accept(request)

    def _feed(self, data: bytes) -> None:
        """Have bytes parsed. A wish to change the protocol is ignored (RFC 9110, 7.8).

        The parser takes what follows such a wish for the other protocol, the body included, so the
        request is parsed again without it. Java's HTTP client sends one with its first request.
        """
        while data and not self._is_ended:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as exc:
                method, version = self._parser.get_method(), self._parser.get_http_version()
                if method == b"CONNECT":
                    self._refuse(unreadable("CONNECT is for proxies, and this is none", 501))
                head = without_upgrade(method, self._url, version, self._headers)
                data = head + data[exc.args[0] :]
                self._parser = httptools.HttpRequestParser(self)
            else:
                return

    def _accept(self, request: Request) -> None:
        """Have a request answered in its turn."""
        if not request.keeps_alive:
            self._is_ended = True
        self._pending.append(request)
        self._next()

    def _permit(self, request: Request) -> None:
        """Ask for the body that the client has announced, or refuse the request without it."""
        if request.refusal is not None:
            request.keeps_alive, self._is_cut = False, True
            self._arriving = None
            self._accept(request)
        elif self._unanswered == 1:
            self._transport.write(CONTINUE)

    def _next(self) -> None:
        """Begin to answer, unless that has begun already."""
        if self._task is None:
            self._task = self._loop.create_task(self._answer_pending())

    async def _answer_pending(self) -> None:
        try:
            while self._pending:
                await self._answer(self._pending.popleft())
        finally:
            self._task = None
            self._rest()

    async def _answer(self, request: Request) -> None:
        status, reason = UNSENT, BUG
        try:
            answer, reason = await self._application.answer(request)
            if self._taken is not None:
                await self._taken
            if answer.parts is not None:
                await self._send_parts(request, answer, answer.parts)
            elif not self._is_lost:
                self._send(request, answer)
            status = answer.status
        finally:
            if self._is_lost:
                status, reason = UNSENT, ClientGoneError.reason
            self._count(request, status, reason)

    def _send(self, request: Request, answer: Answer) -> None:
        """Send an answer by one write; the body of one to HEAD is left out (RFC 9110, 9.3.2)."""
        is_last = self._is_ended and not self._pending and not self._last_answer
        head = head_of(answer, self._shared.date, keeps_alive=request.keeps_alive and not is_last)
        self._transport.write(head if request.method == "HEAD" else head + answer.body)

    async def _send_parts(self, request: Request, answer: Answer, parts: Parts) -> None:
        """Send one part after the other; the next is made once the client has taken the last."""
        self._is_streaming = self._is_ended = True  # it is the last answer of the connection
        is_framed = not request.is_of_1_0
        try:
            self._transport.begin(head_of(answer, self._shared.date, is_framed=is_framed))
            if request.method != "HEAD" and not self._is_lost:
                async for part in framed(parts, is_framed=is_framed):
                    self._transport.write(part)
                    if self._taken is not None:
                        await self._taken
        finally:
            await parts.aclose()

    def _count(self, request: Request, status: int, reason: str) -> None:
        """Count what a request has come to."""
        self._unanswered -= 1
        self._shared.body_bytes -= request.length
        kind = Kind(request.model, request.version, request.route, status)
        self._tally.end(kind, perf_counter_ns() - request.began_ns, reason)

    def _rest(self) -> None:
        """Where all is answered: end the connection, or wait for the next request."""
        if self._is_lost or self._task is not None or self._pending or self._taken is not None:
            return
        if self._is_ended and self._arriving is None:
            self._end()
        elif not self._unanswered and self.deadline_s == inf:
            self._shared.waiting[self] = None
            self._wait(self._limits.idle_s, self.abort)

    def _is_sending(self) -> bool:
        return not self._has_eof and (self._is_cut or self._arriving is not None)

    def _wait(self, seconds: float, expired: Callable[[], None]) -> None:
        self.deadline_s = self._loop.time() + seconds
        self._expired = expired

    def _give_up(self) -> None:
        arrived = None if self._arriving is None else self._arriving.length
        self._refuse(too_slow(self._limits.client_s, arrived))

    def _refuse(self, fault: Fault) -> None:
        """Refuse what is no whole request: those before it are answered first, nothing after."""
        if self._is_ended or self._transport.is_closing():
            return
        self._is_ended = self._is_cut = True
        if self._arriving is not None:
            request, self._arriving = self._arriving, None
            self._count(request, fault.status, fault.reason)
        else:
            self._tally.refuse_unread(fault.reason, fault.status)
        self._last_answer = refusal_of(fault, self._shared.date)
        self._rest()

    def _end(self) -> None:
        """Write the last answer, if there is one, and end."""
        if not self._transport.is_closing():
            self.deadline_s = inf
            self._transport.write(self._last_answer)
            self._transport.close()
