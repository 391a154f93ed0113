"""The ASGI application: finds the handler of a request, and turns what it raises into an answer."""

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from time import monotonic, perf_counter_ns
from typing import Any

from server.http.answer import Answer, compressed, json, refusal
from server.http.refusals import BUG, RefusedError, UnavailableError
from server.http.request import ClientGoneError, Receive, Request
from server.http.routes import Routes
from server.http.tally import UNSENT, Kind, Tally
from serving import log

Send = Callable[[Any], Awaitable[None]]


class Application:
    """Answers requests by ASGI 3.

    Args:
        routes: the paths, and their handlers.
        tally: counts requests; the connection has told it that they begin.
        log_interval_s: seconds in which an unexpected error is logged at most once.

    Attributes:
        tally: as given.
    """

    def __init__(self, routes: Routes, tally: Tally, log_interval_s: float) -> None:
        self._routes, self.tally = routes, tally
        self._log = log.Limited(log_interval_s, monotonic)

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:  # noqa: ANN401  ASGI's types are dictionaries
        """Answer one request."""
        began_ns = perf_counter_ns()
        request = Request(scope, receive)
        status, reason = UNSENT, BUG
        try:
            answer, reason = await self._outcome(scope["raw_path"], request)
            await _send(answer, send)
            connection = scope["state"]["connection"]
            if not connection.is_lost:
                status = answer.status
            elif reason in {"", ClientGoneError.reason}:
                status, reason = connection.outcome
        finally:
            kind = Kind(request.model, request.version, request.route, status)
            self.tally.end(kind, perf_counter_ns() - began_ns, reason)

    async def _outcome(self, path: bytes, request: Request) -> tuple[Answer, str]:
        """The answer to a request, and the reason if it is a refusal."""
        try:
            return await self._answer(path, request), ""
        except RefusedError as exc:
            return refusal(exc), exc.reason
        except asyncio.CancelledError:  # the time for an orderly stop is over
            late = UnavailableError("the server stops, and did not get to the request in time")
            return refusal(late), late.reason
        except Exception as exc:  # noqa: BLE001  a bug must not reach the client, nor end the server
            self._log.warning(
                type(exc).__name__, "request failed by a bug", trace=traceback.format_exc()
            )
            return json({"error": "the server has a bug; its log says which"}, 500), BUG

    async def _answer(self, path: bytes, request: Request) -> Answer:
        route = self._routes.find(path)
        request.route, request.names = route.pattern, route.names
        answer = await self._routes.handler(route, request.method)(request)
        accepted = request.header(b"accept-encoding")
        return compressed(answer, accepted) if accepted else answer


async def _send(answer: Answer, send: Send) -> None:
    headers = [
        (b"content-type", answer.content_type),
        (b"content-length", str(len(answer.body)).encode()),
        *answer.headers,
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
