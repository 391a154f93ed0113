"""What is done with each call: it is let in or refused, answered, and counted."""

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from time import monotonic, perf_counter_ns
from typing import Any, ClassVar, Final, NamedTuple

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

_BUG_S: Final = 60.0


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
            call = Call(context.time_remaining())
            try:
                with self._counted(method.route, call, context):
                    return await self._answered(method, call, context)
            except RefusedError as exc:
                return await context.abort(status(exc), printable(str(exc)))  # which raises

        return answer

    @contextmanager
    def _counted(self, route: str, call: Call, context: Any) -> Iterator[None]:  # noqa: ANN401  as above
        """Count a call, and what it comes to."""
        began_ns, code, reason = perf_counter_ns(), 200, ""
        self._tally.begin()
        try:
            yield
        except RefusedError as exc:
            code, reason = exc.status, exc.reason
            raise
        except asyncio.CancelledError:  # gRPC has ended the call already
            if call.is_late(context.time_remaining()):
                code, reason = LateError.status, LateError.reason
            else:
                code, reason = UNSENT, ClientGoneError.reason
            raise
        finally:
            kind = Kind(call.model, call.version, route, code)
            self._tally.end(kind, perf_counter_ns() - began_ns, reason)

    async def _answered(self, method: Method, call: Call, context: Any) -> Any:  # noqa: ANN401  as above
        task = asyncio.current_task()
        self._tasks.add(task)
        try:
            if method.scope is None:
                return await method.handler(method.message(), call)
            self._check(method.scope, method.route, context)
            async with self._inbox.message(method.message, context) as message:
                return await method.handler(message, call)
        except RefusedError:
            raise
        except asyncio.CancelledError:
            if not self._is_over:
                raise
            text = "the server stops, and did not get to the call in time"
            raise UnavailableError(text) from None
        except Exception as exc:
            trace = traceback.format_exc()
            self._log.warning(type(exc).__name__, "call failed by a bug", trace=trace)
            raise BugError("the server has a bug; its log says which") from exc
        finally:
            self._tasks.discard(task)

    def _check(self, scope: Scope, route: str, context: Any) -> None:  # noqa: ANN401  as above
        sent = dict(context.invocation_metadata()).get("authorization")
        try:
            self._guard.check_call(scope, sent.encode() if isinstance(sent, str) else sent)
        except RefusedError as exc:
            self._guard.tell(exc, route, context.peer())
            raise
