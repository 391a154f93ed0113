"""Which messages are taken in, and at which event time: one rule for everybody who reads messages.

The agent serves by it, its journal replays by it, `why` explains by it, and the trainer records by
it. A message goes through the checks in this order, and the first one that fails is the reason
under which it is counted (`models.input.reasons`):

    no_pipeline                        no input describes the topic            `refusal`
    retained                           it may be of any age                    `refusal`
    payload_too_large                  beyond limits.max_payload_bytes         `refusal`
    unknown_asset, unbound_signal      nobody wants what the topic carries     `Route.decode`
    not_json, no_signal, ...           the payload cannot be read              `Route.decode`
    time_past, time_future             a reading is not of this time           `EventTime.of`

Pure: callers keep what they do about a refusal (count, log, explain) to themselves.
"""

from collections.abc import Sized
from dataclasses import dataclass
from typing import Final, NoReturn, Protocol

from models.errors import DecodeError

_LATEST_NS: Final = 2**62  # in 2116


class Message(Protocol):
    """A message as it arrived."""

    @property
    def payload(self) -> bytes:
        """What it carries."""

    @property
    def retained(self) -> bool:
        """Whether the broker had kept it for new subscribers (MQTT 5, 3.3.1.3)."""

    @property
    def at_ns(self) -> int:
        """When it arrived, nanoseconds since 1970."""


class Clock(Protocol):
    """A clock that messages are stamped with."""

    @property
    def ahead_ns(self) -> int:
        """Nanoseconds that its stamps are ahead of the time of day, after that was set back."""


@dataclass(frozen=True, slots=True)
class TimeBounds:
    """Which source times are plausible; a clock that was never set says 1970.

    Attributes:
        earliest_ns: readings before it are refused as `time_past`, nanoseconds since 1970.
        max_future_ns: readings that are further ahead of our clock, in nanoseconds, are refused as
            `time_future`; while our clock is itself before `earliest_ns`, readings after 2116.
    """

    earliest_ns: int
    max_future_ns: int

    def check(self, time_ns: int, now_ns: int) -> None:
        """Raise DecodeError unless `time_ns` is plausible at `now_ns`."""
        if time_ns < self.earliest_ns:
            raise DecodeError("time_past")
        is_set = now_ns >= self.earliest_ns
        if time_ns > (now_ns + self.max_future_ns if is_set else _LATEST_NS):
            raise DecodeError("time_future")


class EventTime:
    """The event time of readings: the source's where it states one, else that of arrival.

    Args:
        bounds: which source times are plausible.
        clock: that messages are stamped with; None where the stamps are the time of day.

    Attributes:
        last_arrival_ns: event time of the last reading without a source time, nanoseconds since
            1970; 0 before the first. It is part of what a restart must remember.
    """

    def __init__(self, bounds: TimeBounds, clock: Clock | None = None) -> None:
        self.last_arrival_ns = 0
        self._bounds = bounds
        self._earliest_ns, self._max_future_ns = bounds.earliest_ns, bounds.max_future_ns
        self._clock = clock

    def of(self, time_ns: int | None, message: Message) -> int:
        """Event time of a reading, nanoseconds since 1970.

        Readings without a time of their own are in the order of arrival, and no two have the same
        time: two messages may arrive within one step of the clock, and the second is not a copy.

        Args:
            time_ns: as the source states it, None if it states none.
            message: that brought the reading.

        Raises:
            DecodeError: `time_past` or `time_future`.
        """
        if time_ns is None:
            self.last_arrival_ns = max(message.at_ns, self.last_arrival_ns + 1)
            return self.last_arrival_ns
        now_ns = message.at_ns - (self._clock.ahead_ns if self._clock is not None else 0)
        if not self._earliest_ns <= time_ns <= now_ns + self._max_future_ns:
            self._bounds.check(time_ns, now_ns)
        return time_ns


def refusal(routes: Sized, message: Message, max_payload_bytes: int) -> str:
    """Why a message is not even decoded; empty if it is.

    Args:
        routes: where its topic leads, in one pipeline or in several.
        message: as it arrived.
        max_payload_bytes: longest payload that is taken in.
    """
    if not routes:
        return "no_pipeline"
    if message.retained:
        return "retained"  # a value from an unknown time past must not pass for a live one
    return "payload_too_large" if len(message.payload) > max_payload_bytes else ""


@dataclass(frozen=True, slots=True)
class Refused:
    """Decodes no payload, because nobody wants what its topic carries.

    Attributes:
        reason: under which every message is counted.
    """

    reason: str

    def __call__(self, _: bytes) -> NoReturn:
        """Refuse a payload.

        Raises:
            DecodeError: always.
        """
        raise DecodeError(self.reason)
