"""What is done with a request: it is let in or refused, handled, and compressed."""

import asyncio
import traceback
from collections.abc import Callable
from time import monotonic

from server.http.answer import Answer, compressed, json, refusal
from server.http.refusals import BUG, RefusedError, UnavailableError
from server.http.request import Request
from server.http.routes import Routes
from server.http.tally import Tally
from serving import log

Check = Callable[[Request], None]
"""Refuses a request that may not be answered, once its route is known."""


class Application:
    """Answers requests.

    Args:
        routes: the paths, and their handlers.
        tally: counts requests; connections tell it that they begin and end.
        check: refuses requests that may not be answered.
        log_interval_s: seconds in which an unexpected error is logged at most once.

    Attributes:
        tally: as given.
    """

    def __init__(self, routes: Routes, tally: Tally, check: Check, log_interval_s: float) -> None:
        self._routes, self.tally, self._check = routes, tally, check
        self._log = log.Limited(log_interval_s, monotonic)

    def begin(self, request: Request) -> None:
        """Find what answers a request, or why it is refused, before its body has arrived."""
        try:
            route = self._routes.find(request.path)
            request.route, request.names = route.pattern, route.names
            request.handler = self._routes.handler(route, request.method)
            self._check(request)
        except RefusedError as exc:
            request.refusal = exc

    async def answer(self, request: Request) -> tuple[Answer, str]:
        """The answer to a whole request, and the reason if it is a refusal."""
        try:
            return await self._answer(request), ""
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

    async def _answer(self, request: Request) -> Answer:
        if request.refusal is not None or request.handler is None:
            raise request.refusal or AssertionError("a request was answered before it was begun")
        answer = await request.handler(request)
        accepted = request.header(b"accept-encoding")
        return compressed(answer, accepted) if accepted and answer.parts is None else answer
