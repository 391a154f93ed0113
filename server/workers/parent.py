"""The process that has started this one, as a worker sees it.

To the program it is what systemd is to a single process (`serving.program.notify.Notifier`): it is
told that the worker is ready and alive.
"""

import asyncio
import socket
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any, Final, NamedTuple

from server.batching.scheduler import Version
from server.http.refusals import UnavailableError
from server.metrics.counts import Counts, statistics_of
from server.workers.channel import Channel

_TOTALS_S: Final = 3.0


class Asked(NamedTuple):
    """What the parent asks of the program.

    Attributes:
        counts: what it has counted.
        tell: what the workers that it speaks with have to know.
        hear: takes what other workers tell, a document of each.
        stop: ends the program.
    """

    counts: Callable[[], Counts]
    tell: Callable[[], dict[str, Any]]
    hear: Callable[[Sequence[dict[str, Any]]], None]
    stop: Callable[[], None]


class Place(NamedTuple):
    """The place of this process among several workers.

    Attributes:
        number: number of the worker; 0 leads.
        clients: where the parent hands over connections.
        parent: the process that has started it.
    """

    number: int
    clients: socket.socket
    parent: "Parent"

    @property
    def page(self) -> str:
        """Name of the file that says which model is at work, should the worker die of it."""
        return f"under-way-{self.number}" if self.number else "under-way"


class Parent:
    """The process that has started this one.

    All methods belong to the event loop's thread, but `stopping`.

    Args:
        end: this worker's end of the socket pair.
    """

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._channel: Channel | None = None
        self._program: Asked | None = None
        self._is_ready, self._status, self._round = False, "", 0
        self._numbers, self._wanted = count(1), dict[int, asyncio.Future[Counts]]()

    async def connect(self, program: Asked) -> None:
        """Begin to speak with the parent; should it end, so does the program."""
        self._program, self._channel = program, await Channel.over(self._end)
        self._listening = asyncio.create_task(self._listen(self._channel, program))

    def ready(self) -> None:
        """Say that the worker listens."""
        self._is_ready = True
        self.alive()

    def alive(self) -> None:
        """Say that the event loop turns, and what was counted."""
        if self._channel is not None and self._program is not None:
            self._channel.send(
                {
                    "round": self._round,
                    "is_ready": self._is_ready,
                    "status": self._status,
                    "counts": self._program.counts(),
                    "told": self._program.tell(),
                }
            )

    def status(self, text: str) -> None:
        """Set the line that `systemctl status` shows; it is sent with the next sign of life."""
        self._status = text

    def stopping(self) -> None:
        """Do nothing: the parent has asked for it, or has ended."""

    async def totals(self) -> Counts:
        """What all workers have counted together.

        Raises:
            UnavailableError: the parent does not answer.
        """
        number = next(self._numbers)
        wanted = self._wanted[number] = asyncio.get_running_loop().create_future()
        try:
            if self._channel is not None:
                self._channel.send({"totals": number})
            return await asyncio.wait_for(wanted, _TOTALS_S)
        except TimeoutError as exc:
            raise UnavailableError("the workers did not say in time what they counted") from exc
        finally:
            del self._wanted[number]

    async def statistics(self, version: Version) -> Mapping[str, float]:
        """What a version has answered in all workers.

        Raises:
            UnavailableError: the parent does not answer.
        """
        kept, own = (await self.totals())["kept"], version.statistics
        keys = statistics_of(version.model.manifest.stream, version.seq, own)
        return {name: kept.get(key, 0) for name, key in zip(own, keys, strict=True)}

    async def _listen(self, channel: Channel, program: Asked) -> None:
        try:
            async for message in channel.messages():
                if "told" in message:
                    program.hear(message["told"])
                elif "round" in message:
                    self._round = message["round"]
                    self.alive()
                elif (wanted := self._wanted.get(message["totals"])) and not wanted.done():
                    wanted.set_result(message["counts"])
        finally:
            program.stop()
