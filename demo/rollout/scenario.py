"""Three sites whose plants run around the clock, and much faster than the wall clock.

Gates of a rollout count a block of time once, which is at least as long as the plant remembers. So
that minutes suffice, these plants know no day and night, whose memory is that of days, and live
1,200 times as fast as the clock on the wall. That clock is the one of all recorded and live times.
Event time is exact however late a reading is published, since otherwise blocks would be too short
on a busy machine.
"""

from dataclasses import replace
from typing import Final

from demo.plant.scenario import DAY_S, history_faults
from demo.plant.simulation import Plant, Reading
from demo.workshop import Scheme

SITES: Final = ("site-1", "site-2", "site-3")
PERIOD_MS: Final = 100
SPEED: Final = 1_200.0
"""Seconds of plant time in a second of event time."""
SCHEME: Final = Scheme(window=6, max_gap_s=0.5, family="linear")

_STEPS: Final = 6  # of a sample; the plant would oscillate if a step were a sample
_STEP_S: Final = SPEED * PERIOD_MS / 1000 / _STEPS
_FIRST_SEED: Final = 20
_LIVE: Final = 1_000
"""Between the seeds of the recorded part and those of the live part, which has other faults."""


def recorded_plants(days: float) -> dict[str, Plant]:
    """The plant of each site in the recorded days."""
    return {
        site: Plant(seed, history_faults(seed, days), daily=False)
        for seed, site in enumerate(SITES, _FIRST_SEED)
    }


def live_plants() -> dict[str, Plant]:
    """The plant of each site afterwards, with the same pumps, and the same faults each day."""
    plants = {}
    for seed, site in enumerate(SITES, _FIRST_SEED):
        later = seed + _LIVE
        faults = [replace(fault, every_s=DAY_S) for fault in history_faults(later, 1.0)]
        plants[site] = Plant(seed, faults, daily=False, noise_seed=later)
    return plants


def sample(plant: Plant) -> list[Reading]:
    """Advance a plant by a sample, and return a reading of each of its pumps."""
    for _ in range(_STEPS - 1):
        plant.step(_STEP_S)
    return plant.step(_STEP_S)


def samples(hours: float) -> int:
    """The number of samples in so many hours of plant time."""
    return round(hours * 3600 / (_STEP_S * _STEPS))
