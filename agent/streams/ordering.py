"""Which reading completed a window, also where readings are put in order before they enter it."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import blake2b
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from agent.delivery.inputs import Input
from agent.streams.unread import UnreadSignals
from models.errors import ReadingError
from models.input.routes import Route
from models.windowing.blocks import Blocks
from models.windowing.disorder import Disorder
from models.windowing.windows import Windows
from serving.mqtt.packets import Received

if TYPE_CHECKING:
    from models.input.codecs.block import BlockDecoder


class Origin(NamedTuple):
    """The message that made a window due, and what distinguishes windows of the same time.

    Attributes:
        source: the input that is acknowledged once the window's prediction is confirmed.
        route: route of the message that arrived.
        message: the message that arrived.
        position: sequence number of the reading that completed the window; empty without one.
        ordinal: number of the window among those that the reading's message completed.
        content: payload of the message that carried the reading; its digest where the reading had
            to wait, so that payloads are not kept.
    """

    source: Input
    route: Route
    message: Received
    position: str
    ordinal: int | str
    content: bytes


Intake = Callable[[Input, Route, Received, Callable[[int | None, Received], int]], Iterator[Origin]]
"""Adds a message to windows as `Ordering.take` does, where `Windows.push` is not enough."""


class Ordering:
    """Puts the readings of a pipeline in order of their event times.

    A reading waits until a newer message releases it. The window that it then completes is
    identified by the reading, not by the message that released it, so that the identity of a
    prediction does not depend on the order of arrival.

    Args:
        windows: the windows that take the readings.
        disorder_ms: by how many milliseconds readings may be out of order.
        max_waiting: how many readings may wait; beyond, the oldest enter early.
        unread: counts the signals whose values could not be read.
    """

    def __init__(
        self, windows: Windows, disorder_ms: int, max_waiting: int, unread: UnreadSignals
    ) -> None:
        self._windows, self._unread = windows, unread
        self._disorder = Disorder(windows, disorder_ms, max_waiting)
        self._dropped: Counter[str] = Counter()

    @property
    def counters(self) -> Mapping[str, Any]:
        """How many readings wait, how many entered early, and how many were dropped, by reason.

        Dropped are here those that had waited. Their messages were counted as windowed before.
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
        """Decode a message, and yield the origin of every window that comes due.

        Args:
            source: the input that is acknowledged for the message.
            route: route of the message.
            message: the message.
            time_of: returns the event time of a reading, see `models.input.admission.EventTime.of`.

        Raises:
            ReadingError: after the last origin, if a reading of the message was dropped.
        """
        refusal = None
        digest = blake2b(message.payload, digest_size=16).hexdigest()
        for number, (part, reading) in enumerate(route.readings(message.payload)):
            own = (reading.position, number, digest)
            if reading.unread:
                self._unread.note(part, message.topic, reading.unread)
            try:
                time_ns = time_of(reading.time_ns, message)
                brought = (part.channels, reading.values, reading.quality)
                released = self._disorder.push(part.asset, time_ns, brought, own)
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
                    yield Origin(source, part, message, position, f"{nth}.{ordinal}", content)
        if refusal is not None:
            raise ReadingError(refusal.reason)


def take_blocks(
    windows: Blocks,
    source: Input,
    route: Route,
    message: Received,
    time_of: Callable[[int | None, Received], int],
) -> Iterator[Origin]:
    """Decode a message of blocks, and yield the origin of every window; see `Ordering.take`."""
    for block in cast("BlockDecoder", route.decode)(message.payload):
        arrived = block.time_ns is None
        time_ns = time_of(block.time_ns, message)
        due = windows.push(
            route.asset, time_ns, route.channels, block.values, block.quality, arrived=arrived
        )
        for ordinal in range(due):
            yield Origin(source, route, message, block.position, ordinal, message.payload)


def with_digests(origins: Sequence[Origin]) -> Iterator[Origin]:
    """Replace each payload by its digest.

    A block may complete a thousand windows, and each prediction's id covers the content: this way
    the payload is hashed once for all of them (ADR 11).
    """
    for _, group in groupby(origins, key=lambda origin: id(origin.message)):
        first, *others = group
        digest = blake2b(first.content, digest_size=16).digest()
        for origin in (first, *others):
            yield origin._replace(content=digest)
