"""What the hot loop waits on: the sockets of its connections, and the wake-up of the workers."""

import selectors
from collections.abc import Iterable
from typing import Protocol

from serving.worker import WakeUp


class Watched(Protocol):
    """The part of a connection that a wait needs."""

    def fileno(self) -> int | None:
        """File descriptor to wait on; None without a socket."""

    @property
    def wants_write(self) -> bool:
        """Whether packets wait to be sent."""


class Descriptors:
    """Waits on several connections at once.

    Args:
        wake_up: ends the wait when a worker has calls for the hot thread.
    """

    def __init__(self, wake_up: WakeUp) -> None:
        self._selector = selectors.DefaultSelector()
        self._selector.register(wake_up, selectors.EVENT_READ)
        self._wake_up = wake_up
        self._watched: dict[int, tuple[Watched, int]] = {}

    def watch(self, connections: Iterable[Watched | None]) -> None:
        """Wait on these connections from now on, for writing only while one has something to send.

        The descriptor of a connection that is gone may be that of another one already.
        """
        wanted: dict[int, tuple[Watched, int]] = {}
        for connection in connections:
            descriptor = connection.fileno() if connection is not None else None
            if connection is not None and descriptor is not None:
                write = selectors.EVENT_WRITE if connection.wants_write else 0
                wanted[descriptor] = connection, selectors.EVENT_READ | write
        if wanted == self._watched:
            return
        for descriptor, watched in self._watched.items():
            if wanted.get(descriptor) != watched:
                self._selector.unregister(descriptor)
        for descriptor, (connection, events) in wanted.items():
            if self._watched.get(descriptor) != (connection, events):
                self._selector.register(descriptor, events)
        self._watched = wanted

    def wait(self, timeout_s: float) -> bool:
        """Wait until one of them is ready, or time is up; says whether a wake-up came."""
        for key, _ in self._selector.select(timeout_s):
            if key.fileobj is self._wake_up:
                self._wake_up.clear()
                return True
        return False

    def close(self) -> None:
        """Wait no more."""
        self._selector.close()
