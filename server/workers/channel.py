"""What the parent and a worker say to each other: JSON objects, a line each, over a socket pair.

    worker -> parent   {"round": 7, "is_ready": true, "status": "...", "counts": {...},
                        "told": {...}}
                       about once a second, and when it is asked; it shows that the worker is alive
    worker -> parent   {"totals": 3}                    asks what all workers have counted
    parent -> worker   {"round": 7}                     asks for the first of these lines now
    parent -> worker   {"totals": 3, "counts": {...}}   what all workers have counted
    parent -> worker   {"told": [{...}, ...]}           what other workers have told, once a second

The first worker leads: it alone follows the registry. The others are told how its updates went, and
it is told which models fail in the others (`server/workers/follower.py`).
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any, Final

import orjson

Message = dict[str, Any]
_MAX_LINE_BYTES: Final = 64 << 20
_MAX_UNREAD_BYTES: Final = 64 << 20
"""Bytes that may wait for a process that reads nothing; beyond, nothing is sent to it."""


class Channel:
    """One end of the socket pair.

    Args:
        reader: what the other process writes.
        writer: what it reads.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def over(cls, end: socket.socket) -> "Channel":
        """A channel over one end of a socket pair, which belongs to it from then on."""
        return cls(*await asyncio.open_unix_connection(sock=end, limit=_MAX_LINE_BYTES))

    def send(self, message: Message) -> None:
        """Send a message; never blocks."""
        if self._writer.transport.get_write_buffer_size() <= _MAX_UNREAD_BYTES:
            self._writer.write(orjson.dumps(message) + b"\n")

    async def messages(self) -> AsyncIterator[Message]:
        """What the other process sends, until it has ended."""
        try:
            while line := await self._reader.readline():
                yield orjson.loads(line)
        except ConnectionError:
            return

    def close(self) -> None:
        """Close this end."""
        self._writer.close()
