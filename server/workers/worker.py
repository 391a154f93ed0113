"""One worker, as the parent sees it: its process, and what it has said."""

import asyncio
import os
import signal
import socket
import subprocess
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Any, Final

from server.metrics import families
from server.metrics.counts import Counts, key, lacks_a_model
from server.settings import Limits
from server.workers.channel import Channel, Message
from serving.child import command
from serving.program.start import sheltered

MODULE: Final = "server.worker"
_LATE_S: Final = 3.0
_END_S: Final = 5.0  # from the end of the channel to that of the process
_POLL_S: Final = 0.02


class Worker:
    """A worker, which is started again when it has died.

    Args:
        number: number of the worker; 0 leads.
        limits: how long it may take to start, and may give no sign of life.

    Attributes:
        number: as given.
        is_settled: set once it answers clients, or has ended.
        began_s: monotonic seconds at which it was started.
        is_hung: whether it was killed because it gave no sign of life.
        counts: what it has counted, as of its last sign of life.
        connections: how many it has open, as far as is known.
        is_lacking: whether one of its streams had no model then.
        status: what it does, in words.
        told: what it has told the workers that it speaks with.
    """

    def __init__(self, number: int, limits: Limits) -> None:
        self.number, self._limits = number, limits
        self.is_settled = asyncio.Event()
        self.began_s = 0.0
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: Channel | None = None
        self._forget()

    def _forget(self) -> None:
        """Begin anew."""
        self.is_settled.clear()
        self.is_hung = False
        self._heard_s: float | None = None
        self.counts = Counts()
        self.connections, self.is_lacking = 0.0, False
        self.status = ""
        self.told: dict[str, Any] = {}
        self._rounds: dict[int, asyncio.Future[None]] = {}

    @property
    def pid(self) -> int:
        """Id of the process that was started last."""
        return self._process.pid if self._process is not None else 0

    @property
    def is_running(self) -> bool:
        """Whether its process has not ended."""
        return self._process is not None and self._process.returncode is None

    @property
    def is_serving(self) -> bool:
        """Whether it answers clients."""
        return self.is_running and self.is_settled.is_set()

    @property
    def is_silent(self) -> bool:
        """Whether it has given no sign of life for so long that its event loop must hang."""
        allowed_s, since_s = self._limits.worker_start_s, self.began_s
        if self._heard_s is not None:
            allowed_s, since_s = self._limits.worker_silent_s, self._heard_s
        return self.is_running and monotonic() - since_s > allowed_s

    @property
    def is_late(self) -> bool:
        """Whether its last sign of life is so long ago that clients should rather go to others."""
        return self._heard_s is None or monotonic() - self._heard_s > _LATE_S

    async def start(self, settings: dict[str, Any]) -> None:
        """Start the process, which gets its settings as the first message.

        Args:
            settings: the whole configuration, as JSON has it.

        Raises:
            OSError: the process cannot be started.
        """
        self._forget()
        self.began_s = monotonic()
        ours, theirs = socket.socketpair()
        self._process = self._channel = None
        self._clients, clients = socket.socketpair(type=socket.SOCK_SEQPACKET)
        self._clients.settimeout(0)
        with theirs, clients, sheltered():
            ends = [theirs.fileno(), clients.fileno()]
            self._process = subprocess.Popen(  # noqa: ASYNC220, S603  it returns at once; our own interpreter and code
                command(MODULE, *map(str, ends)), stdin=subprocess.DEVNULL, pass_fds=ends
            )
        self._channel = await Channel.over(ours)
        self.send({"number": self.number, "settings": settings})

    def hand(self, client: socket.socket) -> bool:
        """Give it a connection; returns whether it has room for it. Never blocks."""
        try:
            socket.send_fds(self._clients, [b"\0"], [client.fileno()])
        except OSError:
            return False
        self.connections += 1
        return True

    async def listen(self, take: Callable[["Worker", Message], None]) -> int:
        """Hear what it says until it has ended; returns its exit code, negative for a signal."""
        assert self._channel is not None  # noqa: S101  it was started
        try:
            async for message in self._channel.messages():
                if "counts" in message:
                    self._note(message)
                take(self, message)
            return await self._ended()
        finally:
            self._channel.close()
            self._clients.close()
            self.is_settled.set()
            for asked in self._rounds.values():
                asked.cancel()

    async def _ended(self) -> int:
        """Wait until the process has ended, whose end of the channel is closed; or end it."""
        assert self._process is not None  # noqa: S101  it was started
        ends_s = monotonic() + _END_S
        while (code := self._process.poll()) is None:
            if monotonic() > ends_s:
                self._process.kill()
            await asyncio.sleep(_POLL_S)
        return code

    def send(self, message: Message) -> None:
        """Send it a message; one that has ended gets none."""
        if self._channel is not None and self.is_running:
            self._channel.send(message)

    def count(self, number: int) -> "asyncio.Future[None]":
        """Ask it what it has counted by now; done once that is in `counts`."""
        asked: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.is_serving:
            self._rounds[number] = asked
            self.send({"round": number})
        else:
            asked.set_result(None)
        return asked

    def end(self, by: signal.Signals) -> None:
        """Send its process a signal, unless it has ended."""
        if self.is_running and self._process is not None:
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, by)

    def _note(self, message: Message) -> None:
        self._heard_s = monotonic()
        self.counts, self.status, self.told = message["counts"], message["status"], message["told"]
        self.is_lacking = lacks_a_model(self.counts)
        self.connections = self.counts["now"][key(families.CONNECTIONS)]
        if message["is_ready"]:
            self.is_settled.set()
        for number in [one for one in self._rounds if one <= message["round"]]:
            asked = self._rounds.pop(number)
            if not asked.done():
                asked.set_result(None)
