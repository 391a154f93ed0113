"""A request as handlers see it: its path taken apart, its headers, and its body within limits."""

import re
from collections.abc import Awaitable, Callable, Mapping
from time import perf_counter_ns
from typing import Final, NamedTuple
from urllib.parse import parse_qsl

from models.inflation import GZIP, ZLIB, InflatedTooLargeError, InflationError, inflated
from server.http.answer import Answer
from server.http.refusals import EncodingError, Headers, RefusedError, TooLargeError

Handler = Callable[["Request"], Awaitable[Answer]]
NO_ROUTE: Final = "none"
"""Route of requests whose path is not known, or was never read."""

_HOST: Final = re.compile(r"[A-Za-z0-9.:_\[\]-]{1,255}")  # RFC 9110, 7.2, without escapes
_MAX_SHOWN: Final = 40
# x-gzip is the same as gzip (RFC 9110, 8.4.1.3).
_WINDOW_BITS: Final = {b"gzip": GZIP, b"x-gzip": GZIP, b"deflate": ZLIB}


class ClientGoneError(RefusedError):
    """The client has closed the connection before it was answered; nobody reads an answer."""

    reason = "client_gone"


class Link(NamedTuple):
    """What is known of the connection that a request came on.

    Attributes:
        client: address of the client.
        scheme: `http` or `https`.
        has_certificate: whether the client has shown a certificate that is trusted.
    """

    client: str
    scheme: str
    has_certificate: bool


class Request:
    """One request.

    Args:
        method: method, in capitals.
        target: path, with the query, as it was sent.
        headers: names in small letters, and values.
        link: the connection that it came on.

    Attributes:
        method: as given.
        path: path, percent-encoded.
        headers: as given.
        link: as given.
        route: pattern of the path, under which the request is counted.
        names: named parts of the path, decoded.
        model: name of the model that it is about and that exists; set by handlers, for counters.
        version: `seq` of the version that it is about; as `model`.
        token: name of the token that it was let in by; empty where it needed none.
        refusal: why it is refused whatever its body is; None where the handler answers it.
        handler: what answers it.
        parts: parts of the body that have arrived.
        length: bytes of the body that have arrived.
        keeps_alive: whether the client may send another request on the connection.
        is_of_1_0: whether the client speaks HTTP/1.0.
        began_ns: when the headers were there, nanoseconds of `perf_counter_ns`.
    """

    __slots__ = (
        "began_ns",
        "handler",
        "headers",
        "is_of_1_0",
        "keeps_alive",
        "length",
        "link",
        "method",
        "model",
        "names",
        "parts",
        "path",
        "query_string",
        "refusal",
        "route",
        "token",
        "version",
    )

    def __init__(self, method: str, target: bytes, headers: Headers, link: Link) -> None:
        self.method, self.headers, self.link = method, headers, link
        self.path, _, self.query_string = target.partition(b"?")
        self.route = NO_ROUTE
        self.names: Mapping[str, str] = {}
        self.model = self.version = self.token = ""
        self.refusal: RefusedError | None = None
        self.handler: Handler | None = None
        self.parts: list[bytes] = []
        self.length = 0
        self.keeps_alive = True
        self.is_of_1_0 = False
        self.began_ns = perf_counter_ns()

    def header(self, name: bytes) -> bytes:
        """Value of a header; empty where the request does not have it."""
        for found, value in self.headers:
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
        sent = self.query_string
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
        return f"{self.link.scheme}://{host}" if _HOST.fullmatch(host) else ""

    def body(self, max_bytes: int) -> bytes:
        """The body, inflated where it was compressed.

        Args:
            max_bytes: bytes that it may have once it is inflated.

        Raises:
            TooLargeError: it is longer.
            EncodingError: it has another coding than gzip or deflate (RFC 9110, 8.4.1).
            RefusedError: it is not what its coding says.
        """
        content = self.parts[0] if len(self.parts) == 1 else b"".join(self.parts)
        coding = self.header(b"content-encoding").strip().lower()
        if coding in _WINDOW_BITS:
            return _inflated(content, _WINDOW_BITS[coding], max_bytes)
        if coding and coding != b"identity":
            raise EncodingError(
                f"the body has the content coding '{_shown(coding)}'; allowed are gzip and deflate"
            )
        if len(content) > max_bytes:
            raise TooLargeError(f"the body has {len(content)} bytes; allowed are {max_bytes}")
        return content


def _inflated(content: bytes, window_bits: int, max_bytes: int) -> bytes:
    try:
        return inflated(content, window_bits, max_bytes)
    except InflatedTooLargeError as exc:
        raise TooLargeError(
            f"the inflated body has more than {max_bytes} bytes (limits.max_body_bytes)"
        ) from exc
    except InflationError as exc:
        raise RefusedError(f"the compressed body {exc}") from exc


def _shown(value: bytes) -> str:
    return value[:_MAX_SHOWN].decode("ascii", "backslashreplace")
