"""Server-sent events: what has changed, to every browser that listens (HTML Standard, 9.2).

A browser has no queue. What has changed and was not sent yet is one set of assets and one of
gateways, so that a slow browser gets the newest of each, and never costs more memory than a quick
one. The id of an event is a number that rises with every change, also over a restart of the
server: a browser that comes back names the last one in `Last-Event-ID`, and gets what is newer.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Self, TypeVar

import orjson

from server.console.asset import AssetState
from server.console.gateway import GatewayState
from server.console.gateways import Mark
from server.console.plant import now_ms
from server.http.refusals import OverloadError, UnavailableError

_PAUSE_S: Final = 15.0
_RETRY: Final = b"retry: 2000\n\n"
_PULSE: Final = b": the server is there\n\n"
_SLICE: Final = 200  # assets or gateways of one event
_MAX_MARKS: Final = 100
_Key = TypeVar("_Key")


class Listener:
    """One browser, and what it has not been sent yet.

    Args:
        hub: knows the state of the broker.
        left: is called once when the browser is gone.

    Attributes:
        assets: assets that have changed.
        gateways: gateways that have changed.
        marks: models that were exchanged.
        has_broker: whether the connection to the broker has changed.
    """

    def __init__(self, hub: "Hub", left: Callable[["Listener"], None]) -> None:
        self.assets: set[AssetState] = set()
        self.gateways: set[GatewayState] = set()
        self.marks: deque[Mark] = deque(maxlen=_MAX_MARKS)
        self.has_broker = True
        self._hub, self._left = hub, left
        self._wake = asyncio.Event()
        self._has_begun = False

    def wake(self) -> None:
        """Send what has changed, or end if the hub is closed."""
        self._wake.set()

    def __aiter__(self) -> Self:
        """Return the parts of the stream."""
        return self

    async def __anext__(self) -> bytes:
        """Wait for the next part of the stream, which is made only now, of what is newest."""
        if not self._has_begun:
            self._has_begun = True
            return _RETRY
        while not self._hub.is_closed:
            if event := self._next():
                return event
            self._wake.clear()
            try:
                async with asyncio.timeout(_PAUSE_S):
                    await self._wake.wait()
            except TimeoutError:
                return _PULSE
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Forget the browser."""
        self._left(self)

    def _next(self) -> bytes:
        """The next event, empty if nothing has changed. Only the last one has an id."""
        if self.has_broker:
            self.has_broker = False
            event = _event("broker", self._hub.broker())
        elif self.marks:
            event = _event("mark", self.marks.popleft().document())
        elif self.gateways:
            # One that was forgotten, and is there again, is told as there.
            some = sorted(_some(self.gateways), key=lambda one: not one.is_gone)
            documents = [one.document() for one in some]
            event = _event("gateways", {"gateways": documents})
        elif self.assets:
            shown = [self._hub.encoded(one) for one in _some(self.assets)]
            event = _event("plant", {"now": now_ms(), "assets": shown})
        else:
            return b""
        if self.marks or self.gateways or self.assets:
            return event
        return b"id: %d\n%b" % (self._hub.revision, event)


class Hub:
    """All browsers that listen.

    Args:
        max_clients: browsers that may listen at the same time.
        broker: the state of the broker, as browsers are told of it.
        encoded: an asset as JSON.

    Attributes:
        broker: as given.
        encoded: as given.
        revision: number of the last change.
        is_closed: whether the server stops.
    """

    def __init__(
        self,
        max_clients: int,
        broker: Callable[[], Mapping[str, Any]],
        encoded: Callable[[AssetState], orjson.Fragment],
    ) -> None:
        self.broker, self.encoded = broker, encoded
        self.revision = now_ms()  # it rises over a restart, too, as long as the clock does
        self.is_closed = False
        self._max_clients = max_clients
        self._listeners: set[Listener] = set()
        self._marks: deque[tuple[int, Mark]] = deque(maxlen=_MAX_MARKS)

    def __len__(self) -> int:
        """How many browsers listen."""
        return len(self._listeners)

    def listen(
        self, since: int | None, assets: Iterable[AssetState], gateways: Iterable[GatewayState]
    ) -> Listener:
        """Add a browser.

        Args:
            since: the last change that it knows of; None if it knows nothing.
            assets: all assets.
            gateways: all gateways.

        Raises:
            OverloadError: too many listen already.
            UnavailableError: the server stops.
        """
        if self.is_closed:
            raise UnavailableError("the server is stopping; try again later")
        if len(self._listeners) >= self._max_clients:
            raise OverloadError(
                f"{self._max_clients} browsers listen already (console.max_clients)"
            )
        if since is not None and since > self.revision:
            since = None  # it is of a server whose clock was ahead
        listener = Listener(self, self._listeners.discard)
        # One that has just arrived has no revision yet. It is sent with the next turn, not twice.
        known = since or 0
        listener.assets.update(one for one in assets if one.revision > known)
        listener.gateways.update(one for one in gateways if one.revision > known)
        if since is not None:
            listener.marks.extend(mark for number, mark in self._marks if number > since)
        self._listeners.add(listener)
        return listener

    def marks(self, stream: str, time: tuple[int, int]) -> Sequence[Mark]:
        """The last models that were exchanged, also those that are not in the history yet.

        Args:
            stream: name of the stream.
            time: from when on, and until when (exclusive), milliseconds since 1970.
        """
        begin, end = time
        return [
            mark
            for _, mark in self._marks
            if mark.stream == stream and begin <= mark.timestamp < end
        ]

    def advance(self) -> int:
        """The number of the next change."""
        self.revision += 1
        return self.revision

    def tell(
        self,
        assets: Sequence[AssetState] = (),
        gateways: Sequence[GatewayState] = (),
        marks: Sequence[Mark] = (),
        *,
        has_broker: bool = False,
    ) -> None:
        """Have every browser told of what has changed."""
        self._marks.extend((self.revision, mark) for mark in marks)
        for listener in self._listeners:
            listener.assets.update(assets)
            listener.gateways.update(gateways)
            listener.marks.extend(marks)
            listener.has_broker |= has_broker
            listener.wake()

    def forget(self, asset: AssetState) -> None:
        """Tell nobody of an asset any more."""
        for listener in self._listeners:
            listener.assets.discard(asset)

    def close(self) -> None:
        """End all streams."""
        self.is_closed = True
        for listener in self._listeners:
            listener.wake()


def _event(name: str, content: Mapping[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps(content))


def _some(many: set[_Key]) -> list[_Key]:
    """Take a part out of a set, no larger than one event may be."""
    return [many.pop() for _ in range(min(len(many), _SLICE))]
