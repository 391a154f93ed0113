"""What all connections of a server share."""

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from server.settings import Limits

if TYPE_CHECKING:
    from server.http.connection import Connection


@dataclass(slots=True)
class Shared:
    """What all connections of a server share.

    Attributes:
        limits: limits of each of them.
        connections: those that are open.
        waiting: those whose client has no whole request under way, that which has gone without
            one for the longest first.
        body_bytes: bytes of all bodies whose requests are not answered yet.
        date: the header Date with its line end (RFC 9110, 6.6.1), made anew once a second.
        is_empty: set while no connection is open.
    """

    limits: Limits
    connections: set["Connection"] = field(default_factory=set)
    waiting: dict["Connection", None] = field(default_factory=dict)
    body_bytes: int = 0
    date: bytes = b""
    is_empty: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, connection: "Connection") -> None:
        """Note that a connection has opened."""
        self.connections.add(connection)
        self.is_empty.clear()

    def remove(self, connection: "Connection") -> None:
        """Note that a connection has ended."""
        self.connections.discard(connection)
        self.waiting.pop(connection, None)
        if not self.connections:
            self.is_empty.set()
