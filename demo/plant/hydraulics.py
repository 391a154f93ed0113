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
    """What a pump does at rated speed; the affinity laws carry it to any other.

    Args:
        shutoff_m: Head at no flow.
        droop_s2_m5: Head lost per flow squared.
        best_flow_m3_s: Flow of best efficiency.
        best_efficiency: Hydraulic power over shaft power there.
    """

    shutoff_m: float
    droop_s2_m5: float
    best_flow_m3_s: float
    best_efficiency: float

    def head_m(self, flow_m3_s: float, speed_ratio: float) -> float:
        """Return the head at a flow and a speed relative to the rated one."""
        return self.shutoff_m * speed_ratio**2 - self.droop_s2_m5 * flow_m3_s**2

    def efficiency(self, flow_m3_s: float, speed_ratio: float) -> float:
        """Return the efficiency: a parabola that is zero at no flow and at twice the best flow."""
        load = flow_m3_s / (self.best_flow_m3_s * speed_ratio)
        return max(self.best_efficiency * (2.0 * load - load**2), _MIN_EFFICIENCY)

    def required_suction_head_m(self, flow_m3_s: float) -> float:
        """Return NPSHr, which rises with the square of the flow."""
        return 2.5 + 2.5 * (flow_m3_s / self.best_flow_m3_s) ** 2


@dataclass(frozen=True, slots=True)
class Branch:
    """One pump's way into the header at this moment.

    Args:
        lift_m: Head of the pump at no flow.
        loss_s2_m5: All losses of the branch per flow squared, the pump's own droop among them.
    """

    lift_m: float
    loss_s2_m5: float

    def flow_m3_s(self, header_m: float) -> float:
        """Return the flow against a head at the header; a check valve stops it from reversing."""
        return math.sqrt(max(self.lift_m - header_m, 0.0) / self.loss_s2_m5)


def parallel_flows(
    branches: Sequence[Branch], *, static_m: float, header_loss_s2_m5: float
) -> list[float]:
    """Return each branch's flow in m3/s where pumps and header are in balance.

    The pumps see one another through the header: where one weakens, the others carry more. The
    head that the pumps leave falls, and the head that the header needs rises, with the total flow,
    so that bisection finds the one balance.
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
    """Return NPSHa: what the suction line leaves above the vapour pressure of the water."""
    above_vapour_m = (ATMOSPHERE_PA - vapour_pressure_pa(water_c)) / (DENSITY_KG_M3 * GRAVITY_M_S2)
    return above_vapour_m + level_m - loss_s2_m5 * flow_m3_s**2


def vapour_pressure_pa(water_c: float) -> float:
    """Return the vapour pressure of water between 1 and 100 degC (Antoine, NIST constants)."""
    mm_hg = 10.0 ** (8.07131 - 1730.63 / (233.426 + water_c))
    return float(mm_hg) * 133.322


def hydraulic_power_w(flow_m3_s: float, head_m: float) -> float:
    """Return the power that the water takes up."""
    return DENSITY_KG_M3 * GRAVITY_M_S2 * flow_m3_s * max(head_m, 0.0)
