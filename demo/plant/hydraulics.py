"""Steady hydraulics of centrifugal pumps that share a header.

Sources: the affinity laws (flow ~ n, head ~ n^2), the quadratic pump curve, Bernoulli's equation
with quadratic losses, the Antoine equation for the vapour pressure of water, and net positive
suction head as ISO 9906 defines it. Pure functions in SI units: m, m3/s, kg, W, K or degC as named.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

DENSITY_KG_M3 = 998.0
GRAVITY_M_S2 = 9.81
ATMOSPHERE_PA = 101_325.0

_BISECTIONS = 30  # the header head to better than 1e-7 m
_MIN_EFFICIENCY = 0.05


@dataclass(frozen=True, slots=True)
class PumpCurve:
    """Head and efficiency of a pump at rated speed; the affinity laws give those at other speeds.

    Args:
        shutoff_m: head at no flow, m.
        droop_s2_m5: head that is lost per flow squared, s2/m5.
        best_flow_m3_s: flow at the best efficiency, m3/s.
        best_efficiency: hydraulic power over shaft power at that flow.
    """

    shutoff_m: float
    droop_s2_m5: float
    best_flow_m3_s: float
    best_efficiency: float

    def head_m(self, flow_m3_s: float, speed_ratio: float) -> float:
        """Return the head at a flow and a speed relative to the rated one."""
        return self.shutoff_m * speed_ratio**2 - self.droop_s2_m5 * flow_m3_s**2

    def efficiency(self, flow_m3_s: float, speed_ratio: float) -> float:
        """Return the efficiency, a parabola that is 0 at no flow and at twice the best flow."""
        load = flow_m3_s / (self.best_flow_m3_s * speed_ratio)
        return max(self.best_efficiency * (2.0 * load - load**2), _MIN_EFFICIENCY)

    def required_suction_head_m(self, flow_m3_s: float) -> float:
        """Return the required net positive suction head (NPSHr), m."""
        return 2.5 + 2.5 * (flow_m3_s / self.best_flow_m3_s) ** 2


@dataclass(frozen=True, slots=True)
class Branch:
    """A pump with its pipes, up to the header, at one moment.

    Args:
        lift_m: head of the pump at no flow, m.
        loss_s2_m5: losses of the branch per flow squared, the pump's own among them, s2/m5.
    """

    lift_m: float
    loss_s2_m5: float

    def flow_m3_s(self, header_m: float) -> float:
        """Return the flow into a header with a head, m; a check valve prevents a backward flow."""
        return math.sqrt(max(self.lift_m - header_m, 0.0) / self.loss_s2_m5)


def parallel_flows(
    branches: Sequence[Branch], *, static_m: float, header_loss_s2_m5: float
) -> list[float]:
    """Return the flow of each branch in m3/s where pumps and header are in balance.

    The pumps act on each other through the header: where one becomes weaker, the others deliver
    more. With the total flow the head of the pumps falls and the head that the header needs rises,
    so that there is one balance, and bisection finds it.
    """
    low = static_m
    high = max([static_m, *(branch.lift_m for branch in branches)])
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        total = sum(branch.flow_m3_s(middle) for branch in branches)
        if static_m + header_loss_s2_m5 * total**2 > middle:
            low = middle
        else:
            high = middle
    return [branch.flow_m3_s(high) for branch in branches]


def available_suction_head_m(
    flow_m3_s: float, *, level_m: float, loss_s2_m5: float, water_c: float
) -> float:
    """Return the available net positive suction head (NPSHa): what is above the vapour pressure."""
    above_vapour_m = (ATMOSPHERE_PA - vapour_pressure_pa(water_c)) / (DENSITY_KG_M3 * GRAVITY_M_S2)
    return above_vapour_m + level_m - loss_s2_m5 * flow_m3_s**2


def vapour_pressure_pa(water_c: float) -> float:
    """Return the vapour pressure of water between 1 and 100 degC (Antoine, NIST constants)."""
    mm_hg = 10.0 ** (8.07131 - 1730.63 / (233.426 + water_c))
    return float(mm_hg) * 133.322


def hydraulic_power_w(flow_m3_s: float, head_m: float) -> float:
    """Return the power that the pump gives to the water."""
    return DENSITY_KG_M3 * GRAVITY_M_S2 * flow_m3_s * max(head_m, 0.0)
