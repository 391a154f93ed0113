"""A simulated water-circulation plant: two lines of two pumps each, tied by simple physics.

The load of a line moves its valves and drives. Pumps and header come to a balance
(demo/plant/hydraulics.py). Hydraulic power over efficiency gives shaft power, motor current and
losses. Losses and friction heat motor and bearing, each a thermal body of first order. Imbalance,
bearing wear and cavitation are independent sources of vibration, which add up as the root of their
squares; healthy and worn levels are in different zones of ISO 20816-1. The sensors add noise. The
same seed, faults and steps give the same readings, bit for bit.

The simulation reads no clock, and does no input and output.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from demo.plant.faults import Fault, Kind
from demo.plant.hydraulics import (
    DENSITY_KG_M3,
    GRAVITY_M_S2,
    Branch,
    PumpCurve,
    available_suction_head_m,
    hydraulic_power_w,
    parallel_flows,
)

HEALTHY = "healthy"
WORN_BEARING = "worn_bearing"
CAVITATION = "cavitation"

LINES = ("line-1", "line-2")
PUMPS = ("pump-1", "pump-2")
ASSETS = tuple(f"{line}/{pump}" for line in LINES for pump in PUMPS)


@dataclass(frozen=True, slots=True)
class Signal:
    """A sensor of a pump: unit, valid range, and standard deviation of its noise in that unit."""

    unit: str
    valid_range: tuple[float, float]
    noise: float


SIGNALS = {
    "load": Signal("%", (0.0, 120.0), 0.2),
    "speed": Signal("1/min", (0.0, 1800.0), 2.0),
    "valve": Signal("%", (0.0, 100.0), 0.2),
    "pressure": Signal("bar", (-1.0, 10.0), 0.02),
    "flow": Signal("m3/h", (0.0, 300.0), 0.8),
    "current": Signal("A", (0.0, 80.0), 0.15),
    "bearing_temperature": Signal("degC", (-20.0, 160.0), 0.2),
    "motor_temperature": Signal("degC", (-20.0, 200.0), 0.2),
    "vibration": Signal("mm/s", (0.0, 50.0), 0.08),
}

_DAY_S = 86_400.0
_RATED_SPEED_1_MIN = 1480.0
_STATIC_M = 4.0
_HEADER_LOSS = 1_800.0  # s2/m5, as all losses here
_PIPE_LOSS = 5_400.0
_VALVE_LOSS = 6_900.0  # fully open
_SUCTION_LOSS = 600.0
_CLOGGED_FACTOR = 40.0  # a full strainer loses this much more than a clean one
_SUCTION_LEVEL_M = 1.5
_WATER_C = 25.0
_CAVITATION_SPAN_M = 2.0  # from the first bubbles to full cavitation
_CAVITATION_HEAD_LOSS = 0.15  # ISO 9906 calls 0.03 the onset
_FRICTION_W = 180.0  # of a sound bearing at rated speed
_WORN_FRICTION = 1.8  # a worn bearing has this much more
_WORN_SEVERITY = 0.25  # from here on maintenance would call the bearing worn
_MOTOR_EFFICIENCY = 0.92
_MOTOR_W_PER_K = 28.0
_BEARING_W_PER_K = 7.0
_VOLT_AMPERE_PER_A = math.sqrt(3.0) * 400.0 * 0.86  # three phases, power factor 0.86


@dataclass(frozen=True, slots=True)
class Reading:
    """The values of all sensors of one pump at one time.

    Args:
        time_s: plant time, seconds.
        line: name of the line.
        pump: name of the pump within the line.
        signals: value of each signal of `SIGNALS`; NaN where the sensor is silent.
        condition: true condition: healthy, worn_bearing or cavitation.
    """

    time_s: float
    line: str
    pump: str
    signals: dict[str, float]
    condition: str

    @property
    def asset(self) -> str:
        """The name of the pump within the plant, `line/pump`."""
        return f"{self.line}/{self.pump}"


class Plant:
    """The plant; each `step` advances it and returns one reading of each pump.

    Args:
        seed: seed of the differences between the pumps, and of all noise.
        faults: the faults, with their times.
        start_s: plant time at the beginning, seconds; 0 is midnight.
        daily: whether load and air follow the hours of the day; otherwise it runs around the clock
            in a heated hall, and remembers for an hour instead of days.
        noise_seed: seed of all noise, for the same pumps at another time; None: as the pumps.
    """

    def __init__(
        self,
        seed: int,
        faults: Iterable[Fault] = (),
        *,
        start_s: float = 0.0,
        daily: bool = True,
        noise_seed: int | None = None,
    ) -> None:
        self.time_s = start_s
        built = np.random.default_rng(seed)
        self._noise = built if noise_seed is None else np.random.default_rng(noise_seed)
        faults = tuple(faults)
        self._lines = [
            _Line(name, [_Pump.build(name, pump, faults, built) for pump in PUMPS], daily)
            for name in LINES
        ]

    def step(self, dt_s: float) -> list[Reading]:
        """Advance by `dt_s` seconds, and return a reading of each pump in the order of `ASSETS`."""
        self.time_s += dt_s
        return [
            reading for line in self._lines for reading in line.step(self.time_s, dt_s, self._noise)
        ]


@dataclass(slots=True)
class _Pump:
    """A pump and its state; flows in m3/s, temperatures in degC, vibration in mm/s rms."""

    line: str
    name: str
    curve: PumpCurve
    base_vibration: float
    faults: Sequence[Fault]
    speed_ratio: float = 0.9
    valve: float = 0.7
    cavitation: float = 0.0
    wear: float = 0.0
    clog: float = 0.0
    bearing_c: float = 45.0
    motor_c: float = 60.0

    @classmethod
    def build(
        cls, line: str, name: str, faults: Sequence[Fault], noise: np.random.Generator
    ) -> "_Pump":
        """Make a pump with the small differences that pumps of one type have."""
        curve = PumpCurve(
            shutoff_m=38.0 * noise.normal(1.0, 0.01),
            droop_s2_m5=7_200.0,
            best_flow_m3_s=120.0 / 3600.0,
            best_efficiency=0.78 * noise.normal(1.0, 0.01),
        )
        own = [fault for fault in faults if fault.asset == f"{line}/{name}"]
        return cls(line, name, curve, 1.2 * noise.normal(1.0, 0.1), own)

    @property
    def branch(self) -> Branch:
        """The pump with its pipes, strainer and valve, up to the header."""
        weakened = 1.0 - _CAVITATION_HEAD_LOSS * self.cavitation
        loss = self.curve.droop_s2_m5 + _PIPE_LOSS + _VALVE_LOSS / self.valve**2
        return Branch(
            self.curve.head_m(0.0, self.speed_ratio) * weakened, loss + self._suction_loss()
        )

    def follow(self, load: float, time_s: float, dt_s: float) -> None:
        """Move drive and valve towards the load of the line, and set wear and clog."""
        self.speed_ratio += (0.80 + 0.20 * load - self.speed_ratio) * _approach(dt_s, 30.0)
        self.valve += (0.35 + 0.50 * load - self.valve) * _approach(dt_s, 60.0)
        self.wear = self._severity(Kind.BEARING_WEAR, time_s)
        self.clog = self._severity(Kind.CLOGGED_SUCTION, time_s)

    def run(self, flow: float, ambient_c: float, dt_s: float) -> dict[str, float]:
        """Run at a flow for `dt_s` seconds; return all signals but `load`, without noise."""
        self._cavitate(flow, dt_s)
        head_m = self.branch.lift_m - self.curve.droop_s2_m5 * flow**2
        friction_w = _FRICTION_W * self.speed_ratio * (1.0 + _WORN_FRICTION * self.wear)
        efficiency = self.curve.efficiency(flow, self.speed_ratio) * (1.0 - 0.1 * self.cavitation)
        shaft_w = hydraulic_power_w(flow, head_m) / efficiency + friction_w
        electric_w = shaft_w / _MOTOR_EFFICIENCY
        self._heat(electric_w - shaft_w, friction_w, ambient_c, dt_s)
        suction_m = _SUCTION_LEVEL_M - self._suction_loss() * flow**2
        return {
            "speed": _RATED_SPEED_1_MIN * self.speed_ratio,
            "valve": 100.0 * self.valve,
            "pressure": (head_m + suction_m) * DENSITY_KG_M3 * GRAVITY_M_S2 / 1e5,
            "flow": 3600.0 * flow,
            "current": electric_w / _VOLT_AMPERE_PER_A,
            "bearing_temperature": self.bearing_c,
            "motor_temperature": self.motor_c,
            "vibration": self._vibration(flow),
        }

    def silent(self, time_s: float) -> set[str]:
        """Return the signals whose sensors do not answer."""
        return {f.signal for f in self.faults if f.signal and f.severity(time_s) > 0.0}

    @property
    def condition(self) -> str:
        """The true condition: cavitation where NPSHa is below NPSHr, else that of the bearing."""
        if self.cavitation > 0.0 and self.clog > 0.0:
            return CAVITATION
        return WORN_BEARING if self.wear >= _WORN_SEVERITY else HEALTHY

    def _severity(self, kind: Kind, time_s: float) -> float:
        return max((f.severity(time_s) for f in self.faults if f.kind is kind), default=0.0)

    def _suction_loss(self) -> float:
        return _SUCTION_LOSS * (1.0 + _CLOGGED_FACTOR * self.clog)

    def _cavitate(self, flow: float, dt_s: float) -> None:
        available_m = available_suction_head_m(
            flow, level_m=_SUCTION_LEVEL_M, loss_s2_m5=self._suction_loss(), water_c=_WATER_C
        )
        missing_m = self.curve.required_suction_head_m(flow) - available_m
        target = min(max(missing_m / _CAVITATION_SPAN_M, 0.0), 1.0)
        # The bubbles throttle the flow that makes them; without this lag cavitation and flow would
        # alternate from step to step.
        self.cavitation += (target - self.cavitation) * _approach(dt_s, 20.0)
        if target == 0.0 and self.cavitation < 0.01:  # noqa: PLR2004 - gone for any sensor
            self.cavitation = 0.0

    def _heat(self, loss_w: float, friction_w: float, ambient_c: float, dt_s: float) -> None:
        motor_end_c = ambient_c + loss_w / _MOTOR_W_PER_K
        self.motor_c += (motor_end_c - self.motor_c) * _approach(dt_s, 1200.0)
        bearing_end_c = ambient_c + friction_w / _BEARING_W_PER_K
        self.bearing_c += (bearing_end_c - self.bearing_c) * _approach(dt_s, 300.0)

    def _vibration(self, flow: float) -> float:
        off_best = flow / (self.curve.best_flow_m3_s * self.speed_ratio) - 1.0
        sound = self.base_vibration * self.speed_ratio**2 * (1.0 + 0.5 * off_best**2)
        worn = 4.0 * self.wear * self.speed_ratio
        return math.sqrt(sound**2 + worn**2 + (4.0 * self.cavitation) ** 2)


@dataclass(slots=True)
class _Line:
    """The pumps on one header, and the load that they follow (1 = design)."""

    name: str
    pumps: list[_Pump]
    daily: bool
    drift: float = 0.0

    def step(self, time_s: float, dt_s: float, noise: np.random.Generator) -> list[Reading]:
        """Advance all pumps of the line together."""
        load = self._load(time_s, dt_s, noise)
        for pump in self.pumps:
            pump.follow(load, time_s, dt_s)
        flows = parallel_flows(
            [pump.branch for pump in self.pumps],
            static_m=_STATIC_M,
            header_loss_s2_m5=_HEADER_LOSS,
        )
        ambient_c = 20.0 + 5.0 * self._cycle(time_s, 0.375)
        readings = []
        for pump, flow in zip(self.pumps, flows, strict=True):
            signals = {"load": 100.0 * load} | pump.run(flow, ambient_c, dt_s)
            measured = _measure(signals, pump.silent(time_s), noise)
            readings.append(Reading(time_s, self.name, pump.name, measured, pump.condition))
        return readings

    def _load(self, time_s: float, dt_s: float, noise: np.random.Generator) -> float:
        """The load: two shifts a day, and a demand that is an Ornstein-Uhlenbeck process."""
        keep = math.exp(-dt_s / 900.0)
        self.drift = self.drift * keep + 0.06 * math.sqrt(1.0 - keep**2) * noise.normal()
        shift = 0.16 * self._cycle(time_s, 0.29)
        return min(max(0.76 + shift + self.drift, 0.4), 1.05)

    def _cycle(self, time_s: float, delay: float) -> float:
        """The cycle of the day, from -1 to 1, which begins a share of a day after midnight."""
        return math.sin(2.0 * math.pi * (time_s / _DAY_S - delay)) if self.daily else 0.0


def _measure(
    signals: dict[str, float], silent: set[str], noise: np.random.Generator
) -> dict[str, float]:
    """Add the noise of each sensor, and keep its range; a silent sensor gives NaN."""
    measured = {}
    for name, value in signals.items():
        sensor = SIGNALS[name]
        # A silent sensor draws its noise too, so that a dropout changes no other reading.
        noisy = value + sensor.noise * noise.normal()
        low, high = sensor.valid_range
        measured[name] = math.nan if name in silent else min(max(noisy, low), high)
    return measured


def _approach(dt_s: float, time_constant_s: float) -> float:
    """Return the share that a first-order lag covers in `dt_s` seconds, exact for any step."""
    return 1.0 - math.exp(-dt_s / time_constant_s)
