"""The head of a request, its line and headers: what can be read in two ways is refused."""

from collections.abc import Sequence
from typing import Final

import httptools

from server.http.faults import Fault, too_long, unreadable

_VERSIONS: Final = ("1.1", "1.0")
_UPGRADING: Final = frozenset({b"upgrade", b"http2-settings"})
Headers = Sequence[tuple[bytes, bytes]]


def fault_of(version: str, url: bytes, headers: Headers, max_bytes: int) -> Fault | None:
    """What is wrong with a head that the parser has accepted; None where nothing is.

    Args:
        version: version of HTTP, such as `1.1`.
        url: target of the request.
        headers: names in small letters, and values.
        max_bytes: bytes that all of it may have.
    """
    length, hosts = len(url), 0
    for name, value in headers:
        length += len(name) + len(value) + 4
        if name == b"host":
            hosts += 1
        elif name == b"transfer-encoding" and (value.lower() != b"chunked" or version == "1.0"):
            # RFC 9112, 6.1: whoever understands it otherwise finds another end of the body.
            return unreadable("Transfer-Encoding may only be chunked, in HTTP 1.1", 501)
    if length > max_bytes:
        return too_long(max_bytes)
    if version not in _VERSIONS:
        return unreadable(f"this is HTTP {version}; allowed are 1.1 and 1.0", 505)
    if hosts != 1 and (hosts or version == "1.1"):  # RFC 9112, 3.2
        return unreadable(f"the request has {hosts} headers Host; it needs one")
    return None


def checked(
    version: str, url: bytes, headers: Headers, max_bytes: int
) -> tuple[bytes, Headers] | Fault:
    """Target and headers as they are meant; the fault where they can be read in two ways.

    Args:
        version: version of HTTP, such as `1.1`.
        url: target of the request.
        headers: names in small letters, and values.
        max_bytes: bytes that all of it may have.
    """
    fault = fault_of(version, url, headers, max_bytes)
    if fault is not None:
        return fault
    if version == "1.0":  # RFC 9110, 10.1.1
        headers = [one for one in headers if one[0] != b"expect"]
    if url.startswith(b"/"):
        return url, headers
    parts = taken_apart(url)
    if parts is None:
        return unreadable("the request is neither for a path nor for an address")
    host, path = parts
    return path, [*(one for one in headers if one[0] != b"host"), (b"host", host)]


def taken_apart(url: bytes) -> tuple[bytes, bytes] | None:
    """Host and path of a target that is a whole address; None where it is none.

    The host counts instead of that in the header Host (RFC 9112, 3.2.2).
    """
    try:
        parts = httptools.parse_url(url)
    except httptools.HttpParserInvalidURLError:
        return None
    if not parts.host:
        return None
    port = b"" if parts.port is None else b":%d" % parts.port
    host = b"[%b]" % parts.host if b":" in parts.host else parts.host
    query = b"" if parts.query is None else b"?" + parts.query
    return host + port, (parts.path or b"/") + query


def without_upgrade(method: bytes, url: bytes, version: str, headers: Headers) -> bytes:
    """The bytes of a head without the wish to change the protocol (RFC 9110, 7.8)."""
    lines = [b"%b %b HTTP/%b" % (method, url, version.encode())]
    for name, value in headers:
        kept = value
        if name == b"connection":
            options = [one.strip().lower() for one in value.split(b",")]
            kept = b", ".join(one for one in options if one not in _UPGRADING)
        if name not in _UPGRADING:
            lines.append(name + b": " + kept)
    return b"\r\n".join([*lines, b"", b""])
