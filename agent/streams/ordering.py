"""Which reading completed a window, also where readings wait until they are in order."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import blake2b
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from agent.delivery.inputs import Input
from agent.mqtt.packets import Received
from models.errors import ReadingError
from models.input.routes import Route
from models.windowing.blocks import Blocks
from models.windowing.disorder import Disorder
from models.windowing.windows import Windows

if TYPE_CHECKING:
    from models.input.codecs.block import BlockDecoder
    from models.input.codecs.reading import Decoder


class Origin(NamedTuple):
    """Which message made a window due, and what tells the window from others at the same time.

    Attributes:
        source: whose acknowledgement waits for the prediction.
        route: of the message.
        message: that arrived.
        position: of the reading that completed the window, where its source states one.
        ordinal: which of the windows that the reading's message completed.
        content: payload of the reading's message, or its digest where the reading has waited.
    """

    source: Input
    route: Route
    message: Received
    position: str
    ordinal: int | str
    content: bytes


Intake = Callable[[Input, Route, Received, Callable[[int | None, Received], int]], Iterator[Origin]]
"""Takes a message into windows, and tells of each that comes due."""


class Ordering:
    """Puts the readings of a pipeline in order, and remembers whose they are.

    A window is identified by the reading that completed it, whichever message let that go. So its
    identity does not depend on the order of arrival.

    Args:
        windows: take the readings.
        disorder_ms: how far out of order readings may come.
        max_waiting: readings that may wait.
    """

    def __init__(self, windows: Windows, disorder_ms: int, max_waiting: int) -> None:
        self._windows = windows
        self._disorder = Disorder(windows, disorder_ms, max_waiting)
        self._dropped: Counter[str] = Counter()

    @property
    def counters(self) -> Mapping[str, Any]:
        """How many readings wait, went early, or were of no use after they had waited, by reason.

        The messages of the last are counted as windowed.
        """
        early, dropped = self._disorder.early, dict(self._dropped)
        return {"waiting": self._windows.waiting, "early": early, "dropped": dropped}

    def take(
        self,
        source: Input,
        route: Route,
        message: Received,
        time_of: Callable[[int | None, Received], int],
    ) -> Iterator[Origin]:
        """Decode a message, and tell of every window that comes due.

        Raises:
            ReadingError: at the end, if a reading of the message is of no use.
        """
        refusal = None
        digest = blake2b(message.payload, digest_size=16).hexdigest()
        for number, reading in enumerate(cast("Decoder", route.decode)(message.payload)):
            own = (reading.position, number, digest)
            try:
                time_ns = time_of(reading.time_ns, message)
                brought = (route.channels, reading.values, reading.quality)
                released = self._disorder.push(route.asset, time_ns, brought, own)
            except ReadingError as exc:
                refusal = exc
                continue
            for origin, due, reason in released:
                if reason and origin is own:
                    refusal = ReadingError(reason)
                elif reason:
                    self._dropped[reason] += 1
                position, nth, its_digest = origin
                content = its_digest.encode()
                for ordinal in range(due):
                    yield Origin(source, route, message, position, f"{nth}.{ordinal}", content)
        if refusal is not None:
            raise refusal


def take_blocks(
    windows: Blocks,
    source: Input,
    route: Route,
    message: Received,
    time_of: Callable[[int | None, Received], int],
) -> Iterator[Origin]:
    """As `Ordering.take`, of blocks."""
    for block in cast("BlockDecoder", route.decode)(message.payload):
        arrived = block.time_ns is None
        time_ns = time_of(block.time_ns, message)
        due = windows.push(
            route.asset, time_ns, route.channels, block.values, block.quality, arrived=arrived
        )
        for ordinal in range(due):
            yield Origin(source, route, message, block.position, ordinal, message.payload)


def with_digests(origins: Sequence[Origin]) -> Iterator[Origin]:
    """Put a digest in the place of each payload: one message may have made many windows due."""
    for _, group in groupby(origins, key=lambda origin: id(origin.message)):
        first, *others = group
        digest = blake2b(first.content, digest_size=16).digest()
        for origin in (first, *others):
            yield origin._replace(content=digest)
