"""Faults that begin and end at known plant times.

Times are seconds of the plant's own clock. A fault knows nothing of pumps: it says how severe it
is, and the plant says what that does.
"""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What can go wrong."""

    BEARING_WEAR = "bearing_wear"
    CLOGGED_SUCTION = "clogged_suction"
    SENSOR_DROPOUT = "sensor_dropout"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of one pump, repaired at its end.

    Args:
        kind: What goes wrong.
        asset: The pump, as `line/pump`.
        begin_s: Plant time at which it begins.
        end_s: Plant time at which it is repaired.
        ramp_s: How long it takes to become fully severe; 0 for at once.
        peak: The full severity, above 0 and at most 1.
        signal: For a sensor dropout, the signal that goes missing.
        every_s: Time from one beginning to the next; None: it happens once.
    """

    kind: Kind
    asset: str
    begin_s: float
    end_s: float
    ramp_s: float = 0.0
    peak: float = 1.0
    signal: str | None = None
    every_s: float | None = None

    def severity(self, time_s: float) -> float:
        """Return 0 where the fault is absent, up to `peak` where it is fully developed."""
        since_s = time_s - self.begin_s
        if self.every_s and since_s > 0.0:
            since_s %= self.every_s
        if not 0.0 <= since_s < self.end_s - self.begin_s:
            return 0.0
        return self.peak * min(since_s / self.ramp_s, 1.0) if self.ramp_s else self.peak
