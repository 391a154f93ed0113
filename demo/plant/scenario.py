"""The faults of the demo and their times, in the recorded history and in the live part.

A sample is ten seconds of plant time in both. The history is written as fast as the machine can;
the live part has five samples a second, so that the clock of the plant runs fifty times as fast as
the wall clock.
"""

import numpy as np

from demo.plant.faults import Fault, Kind
from demo.plant.simulation import ASSETS, SIGNALS

SAMPLE_S = 10.0
PERIOD_S = 0.2
WINDOW = 15
DAY_S = 86_400.0
LIVE_START_S = 8.0 * 3600.0

_SLOT_S = 3.0 * 3600.0
_KINDS = (Kind.BEARING_WEAR, Kind.CLOGGED_SUCTION, None)


def history_faults(seed: int, days: float) -> list[Fault]:
    """Return the faults of the recorded days, in which every pump has each kind many times.

    The time of a pump is divided into slots of three hours; in two of three slots it has a fault
    for a while. A longer history begins with the same faults as a shorter one.
    """
    faults: list[Fault] = []
    for number, asset in enumerate(ASSETS):
        noise = np.random.default_rng([seed, number])
        for slot in range(int(days * DAY_S / _SLOT_S)):
            faults += _slot_faults(asset, slot, _KINDS[(number + slot) % len(_KINDS)], noise)
    return faults


def live_faults(cycle_s: float) -> list[Fault]:
    """Return the faults of the live part: three faults and a dropout in each cycle of `cycle_s`."""
    cycle_plant_s = cycle_s / PERIOD_S * SAMPLE_S

    def fault(
        kind: Kind, asset: str, span: tuple[float, float], signal: str | None = None
    ) -> Fault:
        begin_s, end_s = (LIVE_START_S + share * cycle_plant_s for share in span)
        ramp_s = 0.0 if signal else min(0.05 * cycle_plant_s, 150.0)
        return Fault(
            kind, asset, begin_s, end_s, ramp_s=ramp_s, signal=signal, every_s=cycle_plant_s
        )

    return [
        fault(Kind.CLOGGED_SUCTION, "line-1/pump-2", (0.20, 0.50)),
        fault(Kind.BEARING_WEAR, "line-2/pump-1", (0.55, 0.95)),
        fault(Kind.CLOGGED_SUCTION, "line-1/pump-1", (0.65, 0.90)),
        fault(Kind.SENSOR_DROPOUT, "line-2/pump-2", (0.70, 0.80), "vibration"),
    ]


def _slot_faults(
    asset: str, slot: int, kind: Kind | None, noise: np.random.Generator
) -> list[Fault]:
    begin_s = slot * _SLOT_S + noise.uniform(0.1, 0.4) * _SLOT_S
    duration_s = noise.uniform(1200.0, 4800.0)
    ramp_s = noise.uniform(60.0, 600.0)
    peak = noise.uniform(0.6, 1.0)
    silent_s = slot * _SLOT_S + noise.uniform(0.0, 0.95) * _SLOT_S
    signal = str(noise.choice(list(SIGNALS)))
    faults = [
        Fault(Kind.SENSOR_DROPOUT, asset, silent_s, silent_s + 200.0, signal=signal),
    ]
    if kind:
        faults.append(Fault(kind, asset, begin_s, begin_s + duration_s, ramp_s=ramp_s, peak=peak))
    return faults
