"""How many messages the broker sends ahead of the acknowledgements, as far as that is known.

MQTT 5 tells the broker the agent's Receive Maximum, and nothing tells the agent the broker's own
limit (Mosquitto: `max_inflight_messages`), which may be 1. It shows only in when messages come: a
broker at its limit is silent until an acknowledgement, and then sends at once. A line that is
merely quiet sends at moments of its own.

Only the journal uses what is here (`agent.journal.writer`): it collects messages for a common write
to the disk, and once nothing more can arrive there is nothing to wait for (ADR 25).
"""

from typing import Final

_UNBOUNDED: Final = 1 << 16  # packet ids have 16 bits, so no more can be in flight
_RATIO: Final = 4
"""A broker at its limit answers an acknowledgement in a fraction of the silence before it.

A quarter allows for a slow link: a second of silence before the journal's tick, and a round trip of
a quarter of a second. On a quiet line one acknowledgement in four looks like that, by chance; what
is learned then is forgotten with the next message beyond the supposed limit.
"""


class BrokerWindow:
    """The number of messages in flight at which the broker sends no further one.

    Attributes:
        size: the Receive Maximum of the agent; or what the broker has shown to be its own limit,
            where that is lower.
    """

    def __init__(self) -> None:
        self.size = self._told = _UNBOUNDED
        self._newest_s = self._released_s = 0.0
        self._silence_s = 0.0
        self._released = 0  # messages that were in flight before the last acknowledgements

    def tell(self, receive_maximum: int) -> None:
        """Take the number of messages that the agent allows the broker to send ahead."""
        self.size = self._told = receive_maximum

    def arrived(self, in_flight: int, now_s: float) -> None:
        """Note that messages have arrived.

        Args:
            in_flight: messages without an acknowledgement, the new ones included.
            now_s: monotonic time, seconds.
        """
        took_s = now_s - self._released_s
        if self._released and _RATIO * took_s <= self._silence_s:
            self.size = min(self._told, self._released)
        self._released, self._newest_s = 0, now_s
        if in_flight > self.size:
            # MQTT 3.1.1 has no Receive Maximum: there the broker does not keep to it.
            self.size = self._told if in_flight <= self._told else _UNBOUNDED

    def released(self, in_flight: int, now_s: float) -> None:
        """Note that messages are about to be acknowledged.

        Args:
            in_flight: messages without an acknowledgement up to now.
            now_s: monotonic time, seconds.
        """
        self._released, self._released_s = in_flight, now_s
        self._silence_s = now_s - self._newest_s
