"""The socket that clients connect to, and uvicorn behind it."""

import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn

from server.http.application import Application
from server.http.connection import BoundedConnection
from server.settings import Limits, Server


class Listener(uvicorn.Server):
    """uvicorn, whose signals are left to the program that it runs in.

    Args:
        application: answers requests.
        server: address to listen on.
        limits: of connections.
        begin: called once it listens.
    """

    def __init__(
        self,
        application: Application,
        server: Server,
        limits: Limits,
        begin: Callable[[], None],
    ) -> None:
        class Connection(BoundedConnection):
            pass

        self._begin = begin
        Connection.limits, Connection.tally = limits, application.tally
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

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen, and say so."""
        await super().startup(sockets)
        if self.started:
            self._begin()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the program, which ends this by `should_exit`."""
        yield

    @property
    def open_connections(self) -> int:
        """How many clients are connected."""
        return len(self.server_state.connections)

    @property
    def port(self) -> int:
        """The TCP port that it listens on."""
        port: int = self.servers[0].sockets[0].getsockname()[1]
        return port
