"""Holds what retained messages say of signals, for samples that have nothing newer (ADR 46)."""

from collections.abc import Callable

from agent.streams.unread import UnreadSignals
from models.errors import DecodeError
from models.input.admission import Message
from models.input.retained import retained
from models.input.routes import Route
from models.windowing.blocks import Blocks
from models.windowing.known import Known
from models.windowing.windows import Windows
from serving.mqtt.packets import Received


class Holding:
    """The retained messages of one pipeline.

    Args:
        unread: counts the signals whose values could not be read.
        time_of: checks a source time, see `models.input.admission.EventTime.of`.

    Attributes:
        held: how many messages have told something that may stand for a signal.
    """

    def __init__(
        self, unread: UnreadSignals, time_of: Callable[[int | None, Message], int]
    ) -> None:
        self.held = 0
        self._unread, self._time_of = unread, time_of
        self._windows: Windows | None = None

    @property
    def is_on(self) -> bool:
        """Whether the model holds a signal, so that a retained message may stand for it."""
        return self._windows is not None

    def follow(self, windows: Windows | Blocks) -> None:
        """Hold values for other windows from now on; for none, where no signal has a maximum age.

        Blocks carry every sample, so nothing is held in them.
        """
        self._windows = None
        if isinstance(windows, Windows):
            is_held = any(channel.max_age_ms is not None for channel in windows.channels)
            self._windows = windows if is_held else None

    def take(self, route: Route, message: Received) -> None:
        """Keep what a message says of its signals.

        It makes no window due, and is no report of its signals.

        Raises:
            DecodeError: nothing of it is kept: `retained` if it is known, or too old, or no signal
                is held; or the reason for which it cannot be read.
        """
        if route.is_knowledge:
            for _ in route.readings(message.payload):
                pass  # there are none: reading it is what teaches the input
            return
        windows = self._windows
        if windows is None or not route.takes_retained:
            raise DecodeError("retained")
        is_kept = False
        for part, time_ns, values, quality, is_timed, unread in retained(
            route, message, self._time_of
        ):
            if unread:
                self._unread.note(part, message.topic, unread)
            said = Known(time_ns, 0.0, int(quality), is_timed)
            is_kept |= windows.hold(part.asset, part.channels, values, said)
        if not is_kept:
            raise DecodeError("retained")
        self.held += 1
