"""The socket that clients connect to, and uvicorn behind it."""

import asyncio
import errno
import logging
import resource
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import ClassVar, Final

import uvicorn

from server.http.application import Application
from server.http.connection import BoundedConnection, Shared
from server.settings import Limits, Server
from serving import log
from serving.errors import ConfigError, TransientError

_PASSING: Final = frozenset({errno.EADDRINUSE, errno.EADDRNOTAVAIL})
"""Why an address cannot be listened on now, though it may be later."""
_OTHER_FILES: Final = 256
"""Files that the process has open beside its connections."""


class Listener(uvicorn.Server):
    """uvicorn, whose signals are left to the program that it runs in.

    Args:
        application: answers requests.
        server: address to listen on.
        limits: of connections.
        tls: what TLS needs; None: connections are not encrypted.
        calls: what is called once it listens, and what is called with the reason of each request
            that is refused before it is one.
    """

    def __init__(
        self,
        application: Application,
        server: Server,
        limits: Limits,
        tls: ssl.SSLContext | None,
        calls: tuple[Callable[[], None], Callable[[str], None]],
    ) -> None:
        class Connection(BoundedConnection):
            shared: ClassVar[Shared] = Shared()

        self._begin, refused = calls
        self._tls, self._client_s = tls, limits.client_s
        self._max_connections = limits.max_connections
        Connection.limits, Connection.refused = limits, staticmethod(refused)
        # What uvicorn logs of single requests would let a client fill the disk.
        logging.getLogger("uvicorn").setLevel(logging.CRITICAL)
        super().__init__(
            uvicorn.Config(
                application,
                host=server.host,
                port=server.port,
                loop="uvloop",
                http=Connection,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=round(limits.idle_s),
                timeout_graceful_shutdown=round(limits.stop_s),
            )
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002  the signature is uvicorn's
        """Begin to listen, and say so.

        uvicorn's own gives TLS a minute for a handshake, and ends the process without a word where
        the address is in use.

        Raises:
            TransientError: the address is in use, or not there.
            ConfigError: it may not be listened on.
        """
        _allow_files(self._max_connections + _OTHER_FILES)
        config, loop = self.config, asyncio.get_running_loop()
        address = f"{config.host}:{config.port}"
        try:
            server = await loop.create_server(
                self._connection,
                config.host,
                config.port,
                ssl=self._tls,
                backlog=config.backlog,
                ssl_handshake_timeout=None if self._tls is None else self._client_s,
            )
        except OSError as exc:
            kind = TransientError if exc.errno in _PASSING else ConfigError
            message = (
                f"server.host and server.port: {address} cannot be listened on: {exc.strerror}"
            )
            raise kind(message) from exc
        self.servers = [server]
        self.started = True
        self._begin()

    def _connection(self) -> asyncio.Protocol:
        kind: type[BoundedConnection] = self.config.http_protocol_class  # type: ignore[assignment]  # as given
        return kind(config=self.config, server_state=self.server_state, app_state={})

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the program, which ends this by `should_exit`."""
        yield

    @property
    def port(self) -> int:
        """The TCP port that it listens on."""
        port: int = self.servers[0].sockets[0].getsockname()[1]
        return port


def _allow_files(wanted: int) -> None:
    """Have the system allow as many open files as there may be connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        with suppress(OSError):  # the unit forbids it, and sets the limit itself
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        log.warning(
            "the system allows fewer open files than limits.max_connections needs",
            allowed=soft,
            needed=wanted,
            remedy="raise LimitNOFILE in the unit, or lower limits.max_connections",
        )
