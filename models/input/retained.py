"""What a retained message tells of its signals although it is not live (ADR 46).

The broker sends it because somebody has subscribed, perhaps long after it was published, and again
at every subscription. So it completes no sample and triggers no prediction. A reading in it that
has a time of its own may stand for its signals in samples from this time on, as long as their
maximum age allows. One without a time may where the operator says so (`last_known`): its time is
that of its arrival, and its quality UNCERTAIN at best.

The gateway and `millhand-trainer record` both call this, so that a model is trained on what it will
be given.
"""

from collections.abc import Callable, Iterator, Sequence
from math import isnan
from typing import NamedTuple

from models.errors import DecodeError, ReadingError
from models.input.admission import Message
from models.input.codecs.reading import Reading
from models.input.codecs.values import Unread
from models.input.quality import Quality
from models.input.routes import Route


class Retained(NamedTuple):
    """A retained reading that may stand for its signals.

    Attributes:
        route: the route of the reading.
        time_ns: event time, nanoseconds since 1970; that of its arrival where it has none.
        values: one value for each signal of its route, NaN where it has none.
        quality: GOOD or UNCERTAIN.
        is_timed: whether it has a time of its own.
        unread: the signals whose values could not be read; they are NaN in `values`.
    """

    route: Route
    time_ns: int
    values: Sequence[float]
    quality: Quality
    is_timed: bool
    unread: Sequence[Unread]


def retained(
    route: Route, message: Message, time_of: Callable[[int, Message], int]
) -> Iterator[Retained]:
    """The readings of a retained message that may stand for their signals.

    Args:
        route: route of the message, which takes retained ones.
        message: the message.
        time_of: checks a source time, see `models.input.admission.EventTime.of`.

    Raises:
        DecodeError: the payload cannot be read; or `retained`, `time_past` or `time_future`, if no
            reading may stand for a signal.
    """
    reason, has_any = "retained", False
    for part, reading in _readings(route, message.payload):
        time_ns, quality = message.at_ns, max(reading.quality, Quality.UNCERTAIN)
        if reading.time_ns is not None:
            quality = reading.quality
            try:
                time_ns = time_of(reading.time_ns, message)
            except DecodeError as exc:
                reason = exc.reason
                continue
        elif not route.last_known:
            continue
        if quality is not Quality.BAD and not all(map(isnan, reading.values)):
            has_any = True
            is_timed = reading.time_ns is not None
            yield Retained(part, time_ns, reading.values, quality, is_timed, reading.unread)
    if not has_any:
        raise DecodeError(reason)


def _readings(route: Route, payload: bytes) -> Iterator[tuple[Route, Reading]]:
    """The readings of a message; what else of it cannot be used is left out without a word.

    Raises:
        DecodeError: none can be used.
    """
    try:
        yield from route.readings(payload)
    except DecodeError:
        raise
    except ReadingError:
        return
