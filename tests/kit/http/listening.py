"""The HTTP of the server without models: paths of a test's own, on a port of this machine."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvloop

from server.http.application import Application
from server.http.listener import Listener
from server.http.request import Request
from server.http.routes import Routes, Table
from server.http.tally import Tally
from server.settings import Limits, Server
from tests.kit.broker.brokers import HOST
from tests.kit.errors import KitError
from tests.kit.waiting import eventually

START_S = 10.0


class Listening:
    """A server that listens in a thread of its own; leave its context to stop it.

    Args:
        table: paths and their handlers.
        limits: of connections.

    Attributes:
        tally: what it has counted.
    """

    def __init__(self, table: Table, limits: Limits) -> None:
        self.tally = Tally()
        self._table, self._limits = table, limits
        self._begun = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="listening")

    def _serve(self) -> None:
        uvloop.run(self._listen())

    async def _listen(self) -> None:
        application = Application(Routes(self._table), self.tally, _let_in, 60.0)
        self._loop = asyncio.get_running_loop()
        server = Server(host=HOST, port=0)
        self._listener = Listener(application, server, self._limits, None, self._begun.set)
        await self._listener.serve()

    @contextmanager
    def running(self) -> Iterator["Listening"]:
        """Listen until the context is left."""
        self._thread.start()
        if not self._begun.wait(START_S):
            raise KitError(f"nothing listens after {START_S:g} s")
        try:
            yield self
        finally:
            self.stop()

    def stop(self) -> None:
        """Answer what is under way, and end."""
        self._listener.stop()
        self._thread.join()

    def connect(self) -> socket.socket:
        """A connection, whose reads end after a few seconds."""
        return socket.create_connection((HOST, self._listener.port), timeout=START_S)

    def ask(self, sent: bytes) -> bytes:
        """Send bytes on a connection of their own, and return all that comes until it is closed."""
        with self.connect() as client:
            client.sendall(sent)
            return read_all(client)

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return self._listener.open_connections

    @property
    def is_settled(self) -> bool:
        """Whether no request is under way and nobody is connected."""
        return self.tally.under_way == 0 and self.connections == 0

    def settle(self) -> None:
        """Wait until no request is under way and nobody is connected."""
        eventually(lambda: self.is_settled, 20.0)


def _let_in(request: Request) -> None:
    """Refuse nothing."""


def read_all(client: socket.socket) -> bytes:
    """What comes until the connection is closed, or reset."""
    found = b""
    try:
        while part := client.recv(65_536):
            found += part
    except ConnectionResetError:
        pass
    return found
