"""The ASGI application: finds the handler of a request, and turns what it raises into an answer."""

import traceback
from collections import Counter
from time import monotonic
from typing import Any, Final

from server.http.answer import Answer, compressed, json, refusal
from server.http.refusals import RefusedError
from server.http.request import ClientGoneError, Receive, Request
from server.http.routes import Routes
from server.http.sending import Send, send_answer
from serving import log

NO_ROUTE: Final = "none"
"""Label of requests whose path is not known."""


class Tally:
    """Requests, counted since the start: received = answered + refused.

    Attributes:
        received: requests whose headers were read.
        answered: requests that were answered, by path and status.
        refused: requests that were refused, by reason.
        seconds: time that requests took, by path: their number, and the sum.
    """

    def __init__(self) -> None:
        self.received = 0
        self.answered: Counter[tuple[str, int]] = Counter()
        self.refused: Counter[str] = Counter()


class Application:
    """Answers requests by ASGI 3.

    Args:
        routes: the paths, and their handlers.
        tally: counts requests.
        log_interval_s: seconds in which an unexpected error is logged at most once.
    """

    def __init__(self, routes: Routes, tally: Tally, log_interval_s: float) -> None:
        self._routes, self._tally = routes, tally
        self._log = log.Limited(log_interval_s, monotonic)

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:  # noqa: ANN401  ASGI's types are dictionaries
        """Answer one request."""
        if scope["type"] != "http":
            return
        self._tally.received += 1
        try:
            label, answer = await self._answer(scope, receive)
        except ClientGoneError as exc:
            self._tally.refused[exc.reason] += 1
            return
        except RefusedError as exc:
            self._tally.refused[exc.reason] += 1
            answer = refusal(exc)
        else:
            self._tally.answered[label, answer.status] += 1
        await send_answer(answer, receive, send)

    async def _answer(self, scope: Any, receive: Receive) -> tuple[str, Answer]:  # noqa: ANN401  as above
        route = self._routes.find(scope["raw_path"])
        handler = self._routes.handler(route, scope["method"])
        request = Request(scope, route.names, receive)
        try:
            answer = await handler(request)
        except RefusedError:
            raise
        except Exception as exc:  # noqa: BLE001  a bug must not reach the client, nor end the server
            self._log.warning(
                type(exc).__name__, "request failed by a bug", trace=traceback.format_exc()
            )
            self._tally.refused["bug"] += 1
            return route.pattern, json({"error": "the server has a bug; its log says which"}, 500)
        accepted = request.header(b"accept-encoding")
        return route.pattern, compressed(answer, accepted) if accepted else answer
