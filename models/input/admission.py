"""Which messages are admitted, and which event time their readings get.

Four programs read the plant's messages and must agree on this: the agent that serves, the replay of
its journal, `millhand-agent why` and `millhand-trainer record`. All of them call this module, and
tests/contract/test_admission.py compares them. A message passes these checks in this order; the
first that fails is the reason under which it is counted (`models.input.reasons`):

    no_pipeline                        no input describes the topic            `refusal`
    retained                           it is not live, see `models.input.retained` `refusal`
    payload_too_large                  longer than limits.max_payload_bytes    `refusal`
    asset_missing, signal_missing, ... the payload does not name what it has to `Route.of`
    unknown_asset, unbound_signal      no pipeline uses what the topic carries `Route.decode`
    not_json, no_signal, ...           the payload cannot be read              `Route.decode`
    time_past, time_future             the source time is not plausible        `EventTime.of`

The cheap checks come first: a flood of retained or oversized messages costs no parsing.

Nothing here does I/O or reads a clock, and nothing is counted or logged: what to do about a refusal
is the caller's business.
"""

from collections.abc import Sized
from dataclasses import dataclass
from typing import Final, NoReturn, Protocol

from models.errors import DecodeError

# In the year 2116: half the range of signed 64-bit integers, with which windows compute times.
_LATEST_NS: Final = 2**62


class Message(Protocol):
    """A message as it arrived; both the agent's and the trainer's own class fit."""

    @property
    def payload(self) -> bytes:
        """The payload, as it came."""

    @property
    def retained(self) -> bool:
        """Whether the broker had stored it before this client subscribed (MQTT 5, 3.3.1.3)."""

    @property
    def at_ns(self) -> int:
        """When it arrived, nanoseconds since 1970."""


class Clock(Protocol):
    """The clock that stamps messages on their arrival."""

    @property
    def ahead_ns(self) -> int:
        """Nanoseconds by which its stamps are ahead of the time of day, after that was set back."""


@dataclass(frozen=True, slots=True)
class TimeBounds:
    """Which source times are plausible.

    Attributes:
        earliest_ns: earliest plausible source time, nanoseconds since 1970; readings from before
            it are refused as `time_past`.
        max_future_ns: how far a source time may be ahead of this machine's clock, nanoseconds;
            readings further ahead are refused as `time_future`.
    """

    earliest_ns: int
    max_future_ns: int

    def check(self, time_ns: int, now_ns: int) -> None:
        """Check that a source time is plausible.

        Args:
            time_ns: the source time, nanoseconds since 1970.
            now_ns: this machine's time of day, nanoseconds since 1970.

        Raises:
            DecodeError: `time_past` or `time_future`.
        """
        if time_ns < self.earliest_ns:
            raise DecodeError("time_past")
        # A gateway without a battery-backed clock boots in 1970 until NTP answers. Its own clock
        # is then no measure of what is in the future, and refusing all readings would stop it.
        is_set = now_ns >= self.earliest_ns
        if time_ns > (now_ns + self.max_future_ns if is_set else _LATEST_NS):
            raise DecodeError("time_future")


class EventTime:
    """Gives every reading its event time: the source time where there is one, else its arrival.

    Args:
        bounds: which source times are plausible.
        clock: the clock that stamped the messages; None where the stamps are the time of day.

    Attributes:
        last_arrival_ns: event time of the last reading without a source time, nanoseconds since
            1970; 0 before the first. Whoever saves windows saves this with them, so that
            arrivals stay in order across a restart.
    """

    def __init__(self, bounds: TimeBounds, clock: Clock | None = None) -> None:
        self.last_arrival_ns = 0
        self._bounds = bounds
        self._earliest_ns, self._max_future_ns = bounds.earliest_ns, bounds.max_future_ns
        self._clock = clock

    def of(self, time_ns: int | None, message: Message) -> int:
        """Event time of a reading, nanoseconds since 1970.

        Readings without a source time are in the order of their arrival, and no two get the same
        time: two messages may arrive within one step of the clock, and windows would take the
        second for a duplicate.

        Args:
            time_ns: the source time, nanoseconds since 1970; None if the payload has none.
            message: the message that carried the reading.

        Raises:
            DecodeError: `time_past` or `time_future`.
        """
        if time_ns is None:
            self.last_arrival_ns = max(message.at_ns, self.last_arrival_ns + 1)
            return self.last_arrival_ns
        # The common case is decided here without a call; `check` says which bound was broken.
        now_ns = message.at_ns - (self._clock.ahead_ns if self._clock is not None else 0)
        if not self._earliest_ns <= time_ns <= now_ns + self._max_future_ns:
            self._bounds.check(time_ns, now_ns)
        return time_ns


def refusal(routes: Sized, message: Message, max_payload_bytes: int) -> str:
    """The reason to drop a message before its payload is read; empty if there is none.

    Args:
        routes: what its topic means to each pipeline that has an input for it.
        message: the message as it arrived.
        max_payload_bytes: the longest payload that is admitted.
    """
    if not routes:
        return "no_pipeline"
    if message.retained:
        # The broker sends it because somebody has subscribed, not because something was measured:
        # it must not pass for a live one. What may be held of it, `retained` says.
        return "retained"
    return "payload_too_large" if len(message.payload) > max_payload_bytes else ""


@dataclass(frozen=True, slots=True)
class Refused:
    """Takes the place of a decoder on topics whose messages are all dropped for one reason.

    Attributes:
        reason: the reason under which every message on the topic is counted.
    """

    reason: str

    def __call__(self, _: bytes) -> NoReturn:
        """Refuse a payload without reading it.

        Raises:
            DecodeError: always.
        """
        raise DecodeError(self.reason)
