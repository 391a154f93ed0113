"""Takes the messages of calls, within limits on their number, their bytes and their time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar, Final

import grpc
from google.protobuf.message import DecodeError

from server.http.refusals import (
    BODIES,
    OverloadError,
    RefusedError,
    TooLargeError,
    UnavailableError,
)
from server.rpc.arrivals import Arrivals
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
        self._limits, self._arrivals = limits, Arrivals(limits.max_calls, client_s)
        self._calls = self._bytes = 0

    @asynccontextmanager
    async def message(self, kind: Any, context: Any) -> AsyncIterator[Any]:  # noqa: ANN401  gRPC's, without types
        """The message of a call, which counts as long as the context is open.

        Args:
            kind: type of the message.
            context: the call, as gRPC gives it.

        Raises:
            OverloadError: too many calls are under way, or wait for their messages.
            MessagesError: their messages have too many bytes.
            LateError: the message did not arrive in time.
            TooLargeError: there is no message, or gRPC has not taken it because of its length.
            RefusedError: it is of another type.
        """
        self._check_calls()
        sent = await self._read(context)
        self._check_calls()  # others have arrived meanwhile
        self._calls += 1
        self._bytes += len(sent)
        try:
            self._check_bytes(len(sent))
            yield _parsed(kind, sent)
        finally:
            self._calls -= 1
            self._bytes -= len(sent)

    async def _read(self, context: Any) -> bytes:  # noqa: ANN401  as above
        sent = await self._arrivals.read(context)
        if sent is grpc.aio.EOF:
            # gRPC itself ends a call whose message is too long, and does not say so here.
            most = self._limits.max_message_bytes
            raise TooLargeError(
                f"the call has no message, or one of more than {most} bytes "
                "(grpc.max_message_bytes)"
            )
        found: bytes = sent
        return found

    def _check_calls(self) -> None:
        if self._calls >= self._limits.max_calls:
            raise OverloadError(
                f"{self._calls} calls are under way, as many as are allowed (grpc.max_calls)"
            )

    def _check_bytes(self, size: int) -> None:
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
