"""Faults that begin and end at known times.

Times are seconds of the simulated plant's clock. A fault has a severity at each time; what a
severity does to a pump is in demo/plant/simulation.py.
"""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """The kinds of faults."""

    BEARING_WEAR = "bearing_wear"
    CLOGGED_SUCTION = "clogged_suction"
    SENSOR_DROPOUT = "sensor_dropout"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of one pump, repaired at its end.

    Args:
        kind: kind of the fault.
        asset: name of the pump, as `line/pump`.
        begin_s: plant time at which the fault begins, seconds.
        end_s: plant time at which it is repaired, seconds.
        ramp_s: seconds until the fault has its full severity; 0 for at once.
        peak: full severity, above 0 and at most 1.
        signal: name of the signal that is missing during a sensor dropout; None for other faults.
        every_s: seconds from one beginning to the next; None: the fault happens once.
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
        """Return the severity at a plant time: 0 while the fault is absent, at most `peak`."""
        since_s = time_s - self.begin_s
        if self.every_s and since_s > 0.0:
            since_s %= self.every_s
        if not 0.0 <= since_s < self.end_s - self.begin_s:
            return 0.0
        return self.peak * min(since_s / self.ramp_s, 1.0) if self.ramp_s else self.peak
