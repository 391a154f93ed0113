"""One call: what it is about, and how long its client waits."""

from dataclasses import dataclass
from typing import Final

# A client sends what is left of its deadline, rounded up by as much as a hundredth (gRPC's
# timeout_encoding.cc), and ends the call itself: before the time is over that it has sent.
_ROUNDED: Final = 0.01
_TIMER_S: Final = 0.01


@dataclass(slots=True)
class Call:
    """What is known of a call beside its message.

    Attributes:
        left_s: seconds that were left of its deadline as it arrived; None without one.
        model: name of the model that it has named, which exists; empty without one.
        version: `seq` of the version that it asks; empty without one.
    """

    left_s: float | None
    model: str = ""
    version: str = ""

    def shorter(self, timeout_s: float | None) -> float | None:
        """The seconds that the client waits: by its deadline, or its parameter `timeout`."""
        given = [one for one in (timeout_s, self.left_s) if one is not None]
        return min(given, default=None)

    def is_late(self, left_s: float | None) -> bool:
        """Whether a call that its client has ended was ended by its deadline.

        Args:
            left_s: seconds that are left of the deadline now; None without one.
        """
        if left_s is None or self.left_s is None:
            return False
        return left_s <= self.left_s * _ROUNDED + _TIMER_S
