"""The socket that clients connect to, and the connections on it."""

import asyncio
import resource
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from email.utils import formatdate
from typing import Any, Final

from server.http.address import BACKLOG, explained
from server.http.application import Application
from server.http.connection import Connection
from server.http.refusals import CONNECTIONS
from server.http.shared import Shared
from server.http.tally import UNSENT
from server.settings import Limits, Server
from serving import log

_OTHER_FILES: Final = 256
"""Files that the process has open beside its connections."""
_LOOK_S: Final = 0.1
_LAST_S: Final = 1.0  # for refusals, once the time for an orderly stop is over


class Listener:
    """Accepts connections, and gives up those whose clients are too slow.

    Args:
        application: answers requests.
        server: address to listen on.
        limits: of connections.
        tls: what TLS needs; None: connections are not encrypted.
        begin: called once it listens.

    Attributes:
        port: the TCP port that it listens on; 0 before it does.
    """

    def __init__(
        self,
        application: Application,
        server: Server,
        limits: Limits,
        tls: ssl.SSLContext | None,
        begin: Callable[[], None],
    ) -> None:
        self.port = 0
        self._application, self._server, self._tls = application, server, tls
        self._limits, self._begin = limits, begin
        self._shared = Shared(limits)
        self._shared.is_empty.set()
        self._stopping = asyncio.Event()
        self._begun: set[asyncio.Task[Any]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def serve(self, accepted: socket.socket | None = None) -> None:
        """Answer clients until `stop` is called, and what is under way then.

        Args:
            accepted: where another process hands over connections that it has accepted; None: the
                address of the settings is listened on.

        Raises:
            TransientError: the address is in use, or not there.
            ConfigError: it may not be listened on.
        """
        self._loop = asyncio.get_running_loop()
        _allow_files(self._limits.max_connections + _OTHER_FILES)
        self._look()
        close = await self._listening() if accepted is None else self._taking(accepted)
        self._begin()
        await self._stopping.wait()
        close()
        for connection in [*self._shared.connections]:
            connection.shut_down()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._shared.is_empty.wait(), self._limits.stop_s)
        for connection in [*self._shared.connections]:
            connection.cancel()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._shared.is_empty.wait(), _LAST_S)

    def stop(self) -> None:
        """Accept no more connections, and end; may be called by any thread or signal handler."""
        if self._loop is None:
            self._stopping.set()  # before it listens, so that nothing waits for it yet
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stopping.set)

    @property
    def open_connections(self) -> int:
        """How many clients are connected."""
        return len(self._shared.connections)

    async def _listening(self) -> Callable[[], None]:
        """Accept connections; returns what ends it."""
        with explained(self._server):
            server = await asyncio.get_running_loop().create_server(
                self._connection,
                self._server.host,
                self._server.port,
                ssl=self._tls,
                backlog=BACKLOG,
                ssl_handshake_timeout=self._handshake_s,
            )
        self.port = server.sockets[0].getsockname()[1]
        return server.close

    def _taking(self, accepted: socket.socket) -> Callable[[], None]:
        """Take connections that another process accepts; returns what ends it."""
        loop = asyncio.get_running_loop()
        accepted.settimeout(0)
        loop.add_reader(accepted, self._take, accepted)

        def close() -> None:
            self._take(accepted)
            loop.remove_reader(accepted)

        return close

    def _take(self, accepted: socket.socket) -> None:
        """Take the connections that were handed over (SCM_RIGHTS, unix(7))."""
        loop = asyncio.get_running_loop()
        with suppress(OSError):  # there is no further one
            while True:
                sent, found, _, _ = socket.recv_fds(accepted, 1, 1, socket.MSG_CMSG_CLOEXEC)
                if not sent:
                    loop.remove_reader(accepted)  # the other process has ended
                    return
                if not found:  # the system allows no more open files
                    self._application.tally.refuse_unread(CONNECTIONS, UNSENT)
                    continue
                client = socket.socket(fileno=found[0])
                begun = loop.create_task(
                    loop.connect_accepted_socket(
                        self._connection,
                        client,
                        ssl=self._tls,
                        ssl_handshake_timeout=self._handshake_s,
                    )
                )
                self._begun.add(begun)
                begun.add_done_callback(self._forget)

    def _forget(self, begun: "asyncio.Task[Any]") -> None:
        """Forget how a connection has begun; the client learns by itself that TLS has failed."""
        self._begun.discard(begun)
        if not begun.cancelled():
            begun.exception()

    def _connection(self) -> Connection:
        return Connection(self._application, self._shared)

    @property
    def _handshake_s(self) -> float | None:
        return None if self._tls is None else self._limits.client_s

    def _look(self) -> None:
        """Give up slow clients, and renew the date, some times a second."""
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        self._shared.date = f"date: {formatdate(usegmt=True)}\r\n".encode()
        for connection in [one for one in self._shared.connections if one.deadline_s < now_s]:
            connection.expire()
        loop.call_later(_LOOK_S, self._look)


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
