"""The sockets that clients connect to: each connection is handed to the worker that has fewest.

The kernel would share the connections out too, but not evenly: with one listening socket for all
workers, whichever is awake takes all that have arrived (of 8 connections, 8 and 0); with a socket
each (SO_REUSEPORT) chance decides, and a worker that hangs goes on to get its share (ADR 39).
"""

import asyncio
import socket
from collections.abc import Sequence
from typing import Final

from server.http.address import BACKLOG
from server.workers.worker import Worker
from serving import log

_AT_ONCE: Final = 64


class Acceptor:
    """Accepts connections for the workers.

    Args:
        sockets: bound to the address.
        workers: the workers.
        log_interval_s: seconds in which a failure is logged at most once.
    """

    def __init__(
        self, sockets: Sequence[socket.socket], workers: Sequence[Worker], log_interval_s: float
    ) -> None:
        self._sockets, self._workers = sockets, workers
        self._loop = asyncio.get_running_loop()
        self._log = log.Limited(log_interval_s)
        self._is_open = False

    @property
    def port(self) -> int:
        """The TCP port."""
        port: int = self._sockets[0].getsockname()[1]
        return port

    def open(self) -> None:
        """Accept clients; to be called again about once a second, after it could not be done."""
        if self._is_open:
            return
        self._is_open = True
        for one in self._sockets:
            one.listen(BACKLOG)
            self._loop.add_reader(one, self._accept, one)

    def close(self) -> None:
        """Accept nobody any more."""
        self._pause()
        for one in self._sockets:
            one.close()

    def _pause(self) -> None:
        """Let clients wait: no worker can take one now, or the system allows no more files."""
        self._is_open = False
        for one in self._sockets:
            self._loop.remove_reader(one)

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(_AT_ONCE):
            ready = [one for one in self._workers if one.is_serving]
            if not ready:
                self._pause()
                return
            try:
                client, _ = listening.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as exc:
                self._log.warning("accept", "no client can be accepted", reason=exc.strerror)
                self._pause()
                return
            with client:
                in_order = sorted(
                    ready, key=lambda one: (one.is_late, one.is_lacking, one.connections)
                )
                if not any(one.hand(client) for one in in_order):
                    self._log.warning("hand", "no worker takes a client; the connection is closed")
