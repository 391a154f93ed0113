"""Takes the messages of calls, within limits on their number, their bytes and their time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar, Final

import grpc
from google.protobuf.message import DecodeError

from server.http.refusals import (
    BODIES,
    LateError,
    OverloadError,
    RefusedError,
    TooLargeError,
    UnavailableError,
)
from server.rpc.settings import Grpc

_SMALL_BYTES: Final = 64 << 10


class MessagesError(UnavailableError):
    """The messages of all calls have more bytes than `grpc.max_messages_bytes`."""

    reason: ClassVar[str] = BODIES


class Inbox:
    """Takes messages. A call beyond the limit is refused before its message is taken.

    Args:
        limits: of calls and of bytes.
        client_s: seconds that a client may take to send a message.
    """

    def __init__(self, limits: Grpc, client_s: float) -> None:
        self._limits, self._client_s = limits, client_s
        self._calls = self._bytes = 0

    @asynccontextmanager
    async def message(self, kind: Any, context: Any) -> AsyncIterator[Any]:  # noqa: ANN401  gRPC's, without types
        """The message of a call, which counts as long as the context is open.

        Args:
            kind: type of the message.
            context: the call, as gRPC gives it.

        Raises:
            OverloadError: too many calls are under way.
            MessagesError: their messages have too many bytes.
            LateError: the message did not arrive in time.
            TooLargeError: there is no message, or gRPC has not taken it because of its length.
            RefusedError: it is of another type.
        """
        if self._calls >= self._limits.max_calls:
            raise OverloadError(
                f"{self._calls} calls are under way, as many as are allowed (grpc.max_calls)"
            )
        self._calls += 1
        size = 0
        try:
            sent = await self._read(context)
            size = len(sent)
            self._bytes += size
            self._check(size)
            yield _parsed(kind, sent)
        finally:
            self._calls -= 1
            self._bytes -= size

    async def _read(self, context: Any) -> bytes:  # noqa: ANN401  as above
        try:
            async with asyncio.timeout(self._client_s):
                sent = await context.read()
        except TimeoutError:
            raise LateError(
                f"no message came within {self._client_s:g} s (limits.client_s)"
            ) from None
        if sent is grpc.aio.EOF:
            # gRPC itself ends a call whose message is too long, and does not say so here.
            most = self._limits.max_message_bytes
            raise TooLargeError(
                f"the call has no message, or one of more than {most} bytes "
                "(grpc.max_message_bytes)"
            )
        found: bytes = sent
        return found

    def _check(self, size: int) -> None:
        most = self._limits.max_messages_bytes
        if self._bytes > most and size > _SMALL_BYTES:
            raise MessagesError(
                f"messages of {self._bytes} bytes are under way; allowed are {most} "
                "(grpc.max_messages_bytes)"
            )


def _parsed(kind: Any, sent: bytes) -> Any:  # noqa: ANN401  as above
    try:
        return kind.FromString(sent)
    except DecodeError as exc:
        raise RefusedError(f"the message is no {kind.DESCRIPTOR.name}: {exc}") from exc
