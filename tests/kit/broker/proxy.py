"""A TCP proxy between a client and its broker that cuts, silences and throttles connections.

with Proxy(broker.port) as proxy:              clients connect to proxy.port
    proxy.cut_after(1000, TO_BROKER)           closes both ends after so many bytes
    proxy.silence()                            half-open: nothing passes, and nothing is closed
    proxy.throttle(5000)                       bytes a second in each direction; None: no limit
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

from tests.kit.broker.brokers import HOST

TO_BROKER: Final = "to broker"
TO_CLIENT: Final = "to client"
Tap = Callable[[int, str, bytes], None]
"""A function that gets all bytes that pass: number of the connection, direction, bytes."""

_CHUNK = 65_536
_SLICES_A_SECOND = 20
_JOIN_S = 10.0


@dataclass(eq=False)
class _Tunnel:
    """The connection of a client, and the one to the broker that belongs to it."""

    number: int
    writers: list[asyncio.StreamWriter]
    allowance: dict[str, int] = field(default_factory=dict)
    open_directions: int = 2
    is_silent: bool = False

    def close(self) -> None:
        """Close both sides, behind the bytes that were passed on."""
        for writer in self.writers:
            writer.close()

    def allowed(self, direction: str, chunk: bytes) -> bytes:
        """The part of a chunk that may pass before the cut."""
        left = self.allowance.get(direction)
        if left is None:
            return chunk
        self.allowance[direction] = left - len(chunk)
        return chunk[:left]


class Proxy:
    """Passes connections on, in a thread of its own; each method may be called from any thread.

    Args:
        broker_port: port of the broker on the loopback.
        tap: function that is called with all bytes, in the proxy's thread; None: no function.

    Attributes:
        port: port that clients connect to.
        cuts: number of connections that `cut_after` has ended so far.
    """

    def __init__(self, broker_port: int, tap: Tap | None = None) -> None:
        self.port = 0
        self.cuts = 0
        self._broker_port = broker_port
        self._tap = tap
        self._bytes_per_s: int | None = None
        self._numbers = 0
        self._tunnels: set[_Tunnel] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    @property
    def connections(self) -> int:
        """The number of connections that are open and not silenced."""
        return sum(not one.is_silent for one in list(self._tunnels))

    def cut_after(self, size_bytes: int, direction: str) -> None:
        """Close the open connections once a number of further bytes has passed in a direction."""

        def set_allowance() -> None:
            for tunnel in self._tunnels:
                tunnel.allowance[direction] = size_bytes

        self._call(set_allowance)

    def silence(self) -> None:
        """Make the open connections half-open: nothing passes, and neither side is closed."""

        def set_silent() -> None:
            for tunnel in self._tunnels:
                tunnel.is_silent = True

        self._call(set_silent)

    def throttle(self, bytes_per_s: int | None) -> None:
        """Limit each direction of each connection to a rate; None: no limit."""
        self._bytes_per_s = bytes_per_s

    def __enter__(self) -> Self:
        """Listen on a free port."""
        self._server = self._loop.run_until_complete(asyncio.start_server(self._accept, HOST, 0))
        self.port = self._server.sockets[0].getsockname()[1]
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close every connection and end the thread."""
        self._call(self._loop.stop)
        self._thread.join(_JOIN_S)
        self._loop.run_until_complete(self._close())
        self._loop.close()

    def _call(self, call: Callable[[], None]) -> None:
        """Run a function in the proxy's thread, and wait for its end."""
        done = threading.Event()

        def called() -> None:
            call()
            done.set()

        self._loop.call_soon_threadsafe(called)
        assert done.wait(_JOIN_S), "the proxy's thread has ended"

    async def _close(self) -> None:
        self._server.close()
        for tunnel in self._tunnels:
            tunnel.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            broker_reader, broker_writer = await asyncio.open_connection(HOST, self._broker_port)
        except OSError:
            writer.transport.abort()  # as if nobody listened
            return
        self._numbers += 1
        tunnel = _Tunnel(self._numbers, [writer, broker_writer])
        self._tunnels.add(tunnel)
        for direction, source, target in (
            (TO_BROKER, reader, broker_writer),
            (TO_CLIENT, broker_reader, writer),
        ):
            task = self._loop.create_task(self._pass_on(tunnel, direction, source, target))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass_on(
        self,
        tunnel: _Tunnel,
        direction: str,
        source: asyncio.StreamReader,
        target: asyncio.StreamWriter,
    ) -> None:
        with suppress(OSError):  # where one side is closed, the other is closed too
            while chunk := await source.read(self._chunk_bytes()):
                if tunnel.is_silent:
                    continue
                passed = tunnel.allowed(direction, chunk)
                if passed and self._tap is not None:
                    self._tap(tunnel.number, direction, passed)
                target.write(passed)
                await target.drain()
                if len(passed) < len(chunk):
                    self.cuts += 1
                    break
                if self._bytes_per_s:
                    await asyncio.sleep(len(passed) / self._bytes_per_s)
        tunnel.open_directions -= 1
        # Where a connection is half-open, one side must not notice that the other has closed it.
        if not tunnel.is_silent or not tunnel.open_directions:
            tunnel.close()
            self._tunnels.discard(tunnel)

    def _chunk_bytes(self) -> int:
        limit = self._bytes_per_s
        return max(1, limit // _SLICES_A_SECOND) if limit else _CHUNK
