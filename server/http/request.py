"""A request as handlers see it: its path taken apart, its headers, and its body within limits."""

import asyncio
import re
import zlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl

from server.http.refusals import EncodingError, RefusedError, SlowClientError, TooLargeError

Receive = Callable[[], Awaitable[Any]]
"""ASGI's `receive`: the next part of the body, or that the client is gone."""

_HOST: Final = re.compile(r"[A-Za-z0-9.:_\[\]-]{1,255}")  # RFC 9110, 7.2, without escapes
_MAX_SHOWN: Final = 40
_WINDOW_BITS: Final = {b"gzip": 31, b"deflate": 15}  # zlib.h: 16 + 15 for gzip, 15 for zlib


class ClientGoneError(RefusedError):
    """The client has closed the connection before its request was there; nobody reads an answer."""

    reason = "client_gone"


class Request:
    """One request.

    Args:
        scope: what ASGI says of the request (ASGI 3, HTTP connection scope).
        names: named parts of the path, decoded.
        receive: ASGI's function of this name.

    Attributes:
        method: method, in capitals.
        names: as given.
    """

    __slots__ = ("_headers", "_receive", "_scope", "method", "names")

    def __init__(
        self, scope: Mapping[str, Any], names: Mapping[str, str], receive: Receive
    ) -> None:
        self.method: str = scope["method"]
        self.names = names
        self._headers: Sequence[tuple[bytes, bytes]] = scope["headers"]
        self._scope, self._receive = scope, receive

    def header(self, name: bytes) -> bytes:
        """Value of a header; empty where the request does not have it."""
        for found, value in self._headers:
            if found == name:
                return value
        return b""

    def query(self, *allowed: str) -> Mapping[str, str]:
        """The parameters after the question mark, decoded.

        Args:
            *allowed: names that it may have.

        Raises:
            RefusedError: it has another name, or one twice.
        """
        sent: bytes = self._scope["query_string"]
        if not sent:
            return {}
        found: dict[str, str] = {}
        for name, value in parse_qsl(sent.decode("ascii", "replace"), keep_blank_values=True):
            if name in found:
                raise RefusedError(f"the query has '{name}' twice")
            if name not in allowed:
                shown = name[:_MAX_SHOWN]
                raise RefusedError(f"the query has '{shown}'; allowed is {', '.join(allowed)}")
            found[name] = value
        return found

    @property
    def origin(self) -> str:
        """Scheme, host and port by which the client has reached the server.

        Empty where its header Host is none that is safe to be repeated.
        """
        host = self.header(b"host").decode("ascii", "replace")
        return f"{self._scope['scheme']}://{host}" if _HOST.fullmatch(host) else ""

    async def body(self, max_bytes: int, client_s: float) -> bytes:
        """The body, inflated where it was compressed.

        Args:
            max_bytes: bytes that it may have, as it arrives and once it is inflated.
            client_s: seconds that the client may take to send it.

        Raises:
            TooLargeError: it is longer.
            SlowClientError: it did not come in time.
            EncodingError: it has another coding than gzip or deflate (RFC 9110, 8.4.1).
            RefusedError: it is not what its coding says.
            ClientGoneError: the client closed the connection.
        """
        coding = self.header(b"content-encoding").strip().lower()
        if coding and coding != b"identity" and coding not in _WINDOW_BITS:
            raise EncodingError(
                f"the body has the content coding '{_shown(coding)}'; allowed are gzip and deflate"
            )
        announced = self.header(b"content-length")
        if announced.isdigit() and int(announced) > max_bytes:
            raise _too_large(int(announced), max_bytes)
        content = await self._content(max_bytes, client_s)
        if coding in _WINDOW_BITS:
            return inflated(content, _WINDOW_BITS[coding], max_bytes)
        return content

    async def _content(self, max_bytes: int, client_s: float) -> bytes:
        parts: list[bytes] = []
        length, has_more = 0, True
        try:
            async with asyncio.timeout(client_s):
                while has_more:
                    message = await self._receive()
                    if message["type"] == "http.disconnect":
                        raise ClientGoneError(f"the client was gone after {length} bytes")
                    parts.append(message["body"])
                    length += len(message["body"])
                    has_more = message["more_body"]
                    if length > max_bytes:
                        raise _too_large(length, max_bytes)
        except TimeoutError:
            raise SlowClientError(
                f"the body did not arrive within {client_s:g} s (limits.client_s): {length} bytes "
                "came"
            ) from None
        return parts[0] if len(parts) == 1 else b"".join(parts)


def inflated(content: bytes, window_bits: int, max_bytes: int) -> bytes:
    """Inflate a body, but never to more than `max_bytes`, however small it arrived.

    Raises:
        TooLargeError: it would be longer.
        RefusedError: it is cut off, damaged, or has something behind it.
    """
    inflater = zlib.decompressobj(window_bits)
    try:
        found = inflater.decompress(content, max_bytes + 1)
    except zlib.error as exc:
        raise RefusedError(f"the body cannot be inflated: {exc}") from exc
    if len(found) > max_bytes:
        raise TooLargeError(
            f"the inflated body has more than {max_bytes} bytes (limits.max_body_bytes)"
        )
    if not inflater.eof or inflater.unused_data:
        what = "has something behind its end" if inflater.eof else "is cut off"
        raise RefusedError(f"the compressed body {what}")
    return found


def _too_large(found: int, max_bytes: int) -> TooLargeError:
    return TooLargeError(
        f"the body has {found} bytes or more; allowed are {max_bytes} (limits.max_body_bytes)"
    )


def _shown(value: bytes) -> str:
    return value[:_MAX_SHOWN].decode("ascii", "backslashreplace")
