"""Calls whose messages have not arrived: a limited number, which keep nobody else from an answer.

A message usually comes with its call. Once as many calls wait for theirs as may, a further one
takes the place of the one that has waited for the longest at the address that has the most of them.
So calls without a message are given up for one another, and those of other clients are read.
"""

import asyncio
from collections import Counter
from typing import Any

from server.http.refusals import LateError, OverloadError


class Arrivals:
    """Reads messages as they arrive.

    Args:
        most: calls that may wait for their messages at a time.
        client_s: seconds that a client may take to send a message.
    """

    def __init__(self, most: int, client_s: float) -> None:
        self._most, self._client_s = most, client_s
        self._waits = dict[asyncio.Timeout, str]()  # with addresses; the longest wait is the first

    async def read(self, context: Any) -> Any:  # noqa: ANN401  gRPC's, without types
        """What a call sends: a message in bytes, or `grpc.aio.EOF`.

        Args:
            context: the call, as gRPC gives it.

        Raises:
            LateError: no message came in time.
            OverloadError: none had come when the place was needed for another call.
        """
        if len(self._waits) >= self._most:
            self._give_up_one()
        wait = asyncio.timeout(self._client_s)
        try:
            async with wait:
                self._waits[wait] = context.peer().rpartition(":")[0]  # without the port
                return await context.read()
        except TimeoutError:
            raise self._refusal(wait) from None
        finally:
            self._waits.pop(wait, None)

    def _give_up_one(self) -> None:
        (address, _), *_ = Counter(self._waits.values()).most_common(1)
        wait = next(one for one, waits_at in self._waits.items() if waits_at == address)
        del self._waits[wait]
        wait.reschedule(asyncio.get_running_loop().time())

    def _refusal(self, wait: asyncio.Timeout) -> LateError | OverloadError:
        if wait in self._waits:
            return LateError(f"no message came within {self._client_s:g} s (limits.client_s)")
        return OverloadError(
            f"no message came before another call needed the place; {self._most} calls may wait "
            "for their messages (grpc.max_calls)"
        )
