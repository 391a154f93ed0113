"""The address that the server listens on, and why it cannot be listened on."""

import errno
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Final

from server.settings import Server
from serving.errors import ConfigError, TransientError

BACKLOG: Final = 2048
"""Connections that may wait until they are accepted."""
_PASSING: Final = frozenset({errno.EADDRINUSE, errno.EADDRNOTAVAIL})
"""Why an address cannot be listened on now, though it may be later."""


@contextmanager
def explained(server: Server) -> Iterator[None]:
    """Say in words why an address cannot be listened on.

    Raises:
        TransientError: the address is in use, or not there.
        ConfigError: it may not be listened on.
    """
    try:
        yield
    except OSError as exc:
        kind = TransientError if exc.errno in _PASSING else ConfigError
        place = f"{server.host}:{server.port}"
        raise kind(
            f"server.host and server.port: {place} cannot be listened on: {exc.strerror}"
        ) from exc


def bound(server: Server) -> Sequence[socket.socket]:
    """Sockets that are bound to the address, and do not listen yet.

    Raises:
        TransientError: the address is in use, or not there.
        ConfigError: it may not be listened on.
    """
    with explained(server), ExitStack() as on_error:
        found = socket.getaddrinfo(
            server.host, server.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        made: list[socket.socket] = []
        for family, _, _, _, address in found:
            try:
                one = on_error.enter_context(socket.socket(family, socket.SOCK_STREAM))
            except OSError:  # this machine has no IPv6, though its name service has an address
                continue
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            one.settimeout(0)
            one.bind(address)
            made.append(one)
        on_error.pop_all()
        return made
