"""Counts the signals of readings whose values could not be read."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from models.input.codecs.values import Unread
from models.input.routes import Route
from serving.log import Limited

_MAX_WORDS: Final = 20
OTHERS: Final = "..."
"""Under which unknown states are counted once a signal has had many different ones."""


class UnreadSignals:
    """Counts and tells what cost a signal its value, but not the message that carried it.

    Args:
        stream: name of the stream, for the log.
        interval_s: least number of seconds between two warnings about one signal.

    Attributes:
        names: names of the signals, in the order of the channels of the model that serves.
        reasons: how often the value of a signal could not be read, by signal and reason
            (`models.input.reasons`).
        states: texts that are none of the states of a signal, by signal and text, with how often
            each has come; the 20 first ones of each signal, the others under `OTHERS`.
    """

    def __init__(self, stream: str, interval_s: float) -> None:
        self.names: Sequence[str] = ()
        self.reasons: dict[str, Counter[str]] = {}
        self.states: dict[str, Counter[str]] = {}
        self._stream = stream
        self._log = Limited(interval_s)

    def note(self, route: Route, topic: str, unread: Sequence[Unread]) -> None:
        """Count the signals of one reading, and tell each at a limited rate.

        Args:
            route: route of the message that carried it.
            topic: topic of the message.
            unread: the signals.
        """
        for place, reason, word in unread:
            signal = self.names[route.channels[place]]
            self.reasons.setdefault(signal, Counter())[reason] += 1
            if word:
                words = self.states.setdefault(signal, Counter())
                words[word if word in words or len(words) < _MAX_WORDS else OTHERS] += 1
            self._log.warning(
                signal,
                "value of a signal is missing because it could not be read; millhand-agent why"
                " explains a message",
                stream=self._stream,
                signal=signal,
                reason=reason,
                topic=topic[:256],
            )
