"""What is done with each call: it is let in or refused, answered, and counted."""

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from time import monotonic, perf_counter_ns
from typing import Any, ClassVar, NamedTuple

from models.printable import printable
from server.access.guard import Guard
from server.access.settings import Scope
from server.http.refusals import BUG, LateError, RefusedError, UnavailableError
from server.http.request import ClientGoneError
from server.http.tally import UNSENT, Kind, Tally
from server.rpc.call import Call
from server.rpc.inbox import Inbox
from server.rpc.statuses import status
from serving import log

_BUG_S = 60.0


class BugError(RefusedError):
    """A mistake in this program."""

    status: ClassVar[int] = 500
    reason: ClassVar[str] = BUG


class Method(NamedTuple):
    """One of the calls that there are.

    Attributes:
        route: its full name, under which it is counted.
        scope: the scope that it needs; None where everybody may ask, and its message is empty.
        message: type of its message.
        handler: answers it.
    """

    route: str
    scope: Scope | None
    message: Any
    handler: Callable[[Any, Call], Awaitable[Any]]


class Answering:
    """Answers calls by their handlers.

    Args:
        guard: knows who may ask what.
        tally: counts calls; the status is that which the same answer has over HTTP.
        inbox: takes messages within its limits.
    """

    def __init__(self, guard: Guard, tally: Tally, inbox: Inbox) -> None:
        self._guard, self._tally, self._inbox = guard, tally, inbox
        self._tasks = set[asyncio.Task[Any] | None]()
        self._is_over = False
        self._log = log.Limited(_BUG_S, monotonic)

    def cancel(self) -> None:
        """Refuse what is under way, because the time for an orderly stop is over."""
        self._is_over = True
        for task in self._tasks:
            if task is not None:
                task.cancel()

    def wrapped(self, method: Method) -> Callable[[Any, Any], Awaitable[Any]]:
        """What gRPC calls for each call, with its messages and its context."""

        async def answer(_: Any, context: Any) -> Any:  # noqa: ANN401  gRPC's, without types
            call, began_ns = Call(context.time_remaining()), perf_counter_ns()
            self._tally.begin()
            found, refusal, task = None, None, asyncio.current_task()
            self._tasks.add(task)
            try:
                found = await self._answered(method, call, context)
            except RefusedError as exc:
                refusal = exc
            except asyncio.CancelledError:
                refusal = self._why_ended(context)
                if not self._is_over:
                    raise  # gRPC has ended the call already
            except Exception as exc:  # noqa: BLE001  a bug must not reach the client
                trace = traceback.format_exc()
                self._log.warning(type(exc).__name__, "call failed by a bug", trace=trace)
                refusal = BugError("the server has a bug; its log says which")
            finally:
                self._tasks.discard(task)
                kind = Kind(call.model, call.version, method.route, _code(refusal))
                reason = refusal.reason if refusal is not None else ""
                self._tally.end(kind, perf_counter_ns() - began_ns, reason)
            if refusal is not None:
                await context.abort(status(refusal), printable(str(refusal)))
            return found

        return answer

    async def _answered(self, method: Method, call: Call, context: Any) -> Any:  # noqa: ANN401  as above
        if method.scope is None:
            return await method.handler(method.message(), call)
        self._check(method.scope, method.route, context)
        async with self._inbox.message(method.message, context) as message:
            return await method.handler(message, call)

    def _check(self, scope: Scope, route: str, context: Any) -> None:  # noqa: ANN401  as above
        sent = dict(context.invocation_metadata()).get("authorization")
        try:
            self._guard.check_call(scope, sent.encode() if isinstance(sent, str) else sent)
        except RefusedError as exc:
            self._guard.tell(exc, route, context.peer())
            raise

    def _why_ended(self, context: Any) -> RefusedError:  # noqa: ANN401  as above
        """Why a call was ended from outside: by the stop, by its deadline, or by its client."""
        if self._is_over:
            return UnavailableError("the server stops, and did not get to the call in time")
        if context.time_remaining() == 0:
            return LateError("the call's deadline has passed")
        return ClientGoneError("the client has ended the call")


def _code(refusal: RefusedError | None) -> int:
    """The status over HTTP, under which a call is counted."""
    if refusal is None:
        return 200
    return UNSENT if isinstance(refusal, ClientGoneError) else refusal.status
