"""Keep-alive: when to send a PINGREQ, and when the broker counts as lost (MQTT 5, 3.1.2.10).

Every byte that arrives shows that the broker is there, also one of a packet or of a TLS record that
is not whole yet.
A PINGRESP may be far behind: over a slow link a large message, or many, arrive before it. paho's
own keep-alive waits for the PINGRESP.

Pure: the caller says what time it is, and that bytes have arrived.
"""


class KeepAlive:
    """The keep-alive of one connection.

    Args:
        interval_s: seconds between two PINGREQs; 0 sends none, and no silence is too long.

    Attributes:
        interval_s: as given; the broker may ask for another (MQTT 5, 3.2.2.3.14).
        has_heard: whether bytes have arrived since the last `is_due`; set by the caller.
    """

    def __init__(self, interval_s: float) -> None:
        self.interval_s = interval_s
        self.has_heard = False
        self._pinged_s: float | None = None
        self._is_unanswered = False

    def is_due(self, now_s: float) -> bool:
        """Whether to send a PINGREQ now; to be called about once a second.

        Args:
            now_s: monotonic time, seconds.
        """
        if self.has_heard:
            self.has_heard = self._is_unanswered = False
        if not self.interval_s or self._is_unanswered:
            return False
        if self._pinged_s is None:  # the first call: CONNECT and CONNACK have just been exchanged
            self._pinged_s = now_s
        if now_s - self._pinged_s < self.interval_s:
            return False
        self._pinged_s = now_s
        self._is_unanswered = True
        return True

    def is_over(self, now_s: float) -> bool:
        """Whether nothing has arrived for an interval after a PINGREQ.

        Args:
            now_s: monotonic time, seconds.
        """
        is_silent = self._is_unanswered and not self.has_heard
        return is_silent and now_s - (self._pinged_s or 0.0) >= self.interval_s
