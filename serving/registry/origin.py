"""The origin of a URL: scheme, host and port, by which servers are told apart (RFC 6454, 4).

Credentials belong to one origin, and a redirect may lead to another one only if the operator has
named it. Two programs may read a badly written URL differently, and then each sees another host in
it. So a URL with a character that could be read in two ways has no origin, and is refused.
"""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

_PORTS: Final = {"http": 80, "https": 443}
_AMBIGUOUS: Final = re.compile(r"[\x00-\x20\x7f\\]")


@dataclass(frozen=True, slots=True)
class Origin:
    """A web server.

    Attributes:
        scheme: `http` or `https`.
        host: host name or address, in lower case.
        port: TCP port.
    """

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}"

    @property
    def is_encrypted(self) -> bool:
        """Whether the connection is TLS."""
        return self.scheme == "https"

    @property
    def is_this_machine(self) -> bool:
        """Whether the host is the loopback interface, so that nobody can listen on the way."""
        return self.host in ("localhost", "::1") or self.host.startswith("127.")


def origin_of(url: str) -> Origin:
    """Find the origin of an http:// or https:// URL.

    Raises:
        ValueError: it is not such a URL, or it has a user name or a password in it. The text never
            repeats the URL.
    """
    if _AMBIGUOUS.search(url):
        raise ValueError("the URL has a space, a backslash or a control character in it")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as exc:
        raise ValueError("host and port of the URL cannot be read") from exc
    if parts.scheme not in _PORTS:
        raise ValueError("the URL does not begin with http:// or https://")
    if "@" in parts.netloc:
        raise ValueError("the URL has a user name or a password in it")
    if not host:
        raise ValueError("the URL has no host")
    return Origin(parts.scheme, host, _PORTS[parts.scheme] if port is None else port)
