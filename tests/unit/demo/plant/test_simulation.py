import math
from collections.abc import Iterable, Sequence

import pytest

from demo.plant.faults import Fault, Kind
from demo.plant.hydraulics import (
    Branch,
    PumpCurve,
    available_suction_head_m,
    parallel_flows,
    vapour_pressure_pa,
)
from demo.plant.scenario import (
    LIVE_START_S,
    PERIOD_S,
    SAMPLE_S,
    history_faults,
    live_faults,
)
from demo.plant.simulation import ASSETS, CAVITATION, HEALTHY, SIGNALS, WORN_BEARING, Plant, Reading

CURVE = PumpCurve(shutoff_m=38.0, droop_s2_m5=7200.0, best_flow_m3_s=1 / 30, best_efficiency=0.78)


def run(
    faults: Iterable[Fault] = (), *, seed: int = 1, samples: int = 200
) -> dict[str, list[Reading]]:
    """Readings by asset, in order."""
    plant = Plant(seed, faults, start_s=12 * 3600)
    readings: dict[str, list[Reading]] = {asset: [] for asset in ASSETS}
    for _ in range(samples):
        for reading in plant.step(10.0):
            readings[reading.asset].append(reading)
    return readings


def mean(readings: Sequence[Reading], signal: str) -> float:
    return sum(reading.signals[signal] for reading in readings) / len(readings)


def fault(kind: Kind, asset: str, signal: str | None = None) -> Fault:
    """A fault from the middle of `run` to its end."""
    begin_s = 12 * 3600 + 1000
    return Fault(kind, asset, begin_s, begin_s + 2000, ramp_s=0 if signal else 100, signal=signal)


def test_same_seed_gives_the_same_readings_and_another_seed_does_not() -> None:
    assert run() == run()
    assert run() != run(seed=2)


def test_readings_are_complete_finite_and_in_their_valid_ranges() -> None:
    for reading in (reading for readings in run().values() for reading in readings):
        assert list(reading.signals) == list(SIGNALS)
        for name, value in reading.signals.items():
            low, high = SIGNALS[name].valid_range
            assert low <= value <= high


def test_a_healthy_plant_is_healthy_throughout() -> None:
    assert {r.condition for readings in run().values() for r in readings} == {HEALTHY}


def test_half_speed_gives_half_the_flow_and_a_quarter_of_the_head() -> None:
    flow = 0.02
    assert CURVE.head_m(flow / 2, 0.5) == pytest.approx(CURVE.head_m(flow, 1.0) / 4)
    assert CURVE.efficiency(flow / 2, 0.5) == pytest.approx(CURVE.efficiency(flow, 1.0))


def test_parallel_pumps_and_header_are_in_balance() -> None:
    branches = [Branch(38.0, 20_000.0), Branch(30.0, 25_000.0)]
    flows = parallel_flows(branches, static_m=4.0, header_loss_s2_m5=1800.0)
    header_m = 4.0 + 1800.0 * sum(flows) ** 2
    for branch, flow in zip(branches, flows, strict=True):
        assert branch.lift_m - branch.loss_s2_m5 * flow**2 == pytest.approx(header_m, abs=1e-5)


def test_a_pump_too_weak_for_the_header_delivers_nothing() -> None:
    strong, weak = Branch(38.0, 20_000.0), Branch(3.0, 20_000.0)
    flows = parallel_flows([strong, weak], static_m=4.0, header_loss_s2_m5=1800.0)
    assert flows[0] > 0.0
    assert flows[1] == 0.0


def test_water_boils_at_100_degrees_under_one_atmosphere() -> None:
    assert vapour_pressure_pa(100.0) == pytest.approx(101_325.0, rel=0.005)


def test_warm_water_and_a_lossy_suction_leave_less_suction_head() -> None:
    def available_m(*, loss_s2_m5: float, water_c: float) -> float:
        return available_suction_head_m(0.03, level_m=1.5, loss_s2_m5=loss_s2_m5, water_c=water_c)

    clean_m = available_m(loss_s2_m5=600.0, water_c=25.0)
    assert clean_m == pytest.approx(10.99, abs=0.05)
    assert available_m(loss_s2_m5=600.0, water_c=60.0) < clean_m
    assert available_m(loss_s2_m5=9000.0, water_c=25.0) < clean_m


def test_a_worn_bearing_shakes_and_heats_and_leaves_the_flow_alone() -> None:
    worn = run([fault(Kind.BEARING_WEAR, "line-1/pump-1")])["line-1/pump-1"][150:]
    sound = run()["line-1/pump-1"][150:]
    assert {reading.condition for reading in worn} == {WORN_BEARING}
    assert mean(worn, "vibration") > 2.5 * mean(sound, "vibration")
    assert mean(worn, "bearing_temperature") > mean(sound, "bearing_temperature") + 15.0
    assert mean(worn, "flow") == pytest.approx(mean(sound, "flow"), rel=1e-3)


def test_a_clogged_suction_cavitates_and_the_partner_carries_more() -> None:
    clogged = run([fault(Kind.CLOGGED_SUCTION, "line-1/pump-1")])
    sound = run()
    pump, partner = clogged["line-1/pump-1"][150:], clogged["line-1/pump-2"][150:]
    assert {reading.condition for reading in pump} == {CAVITATION}
    assert mean(pump, "flow") < 0.85 * mean(sound["line-1/pump-1"][150:], "flow")
    assert mean(pump, "vibration") > 2.0 * mean(sound["line-1/pump-1"][150:], "vibration")
    assert mean(partner, "flow") > 1.01 * mean(sound["line-1/pump-2"][150:], "flow")
    assert {reading.condition for reading in partner} == {HEALTHY}


def test_a_fault_touches_its_own_line_only() -> None:
    clogged = run([fault(Kind.CLOGGED_SUCTION, "line-1/pump-1")])
    for asset in ("line-2/pump-1", "line-2/pump-2"):
        assert clogged[asset] == run()[asset]


def test_a_silent_sensor_changes_no_other_reading() -> None:
    asset = "line-2/pump-2"
    dropped = run([fault(Kind.SENSOR_DROPOUT, asset, "vibration")])[asset]
    complete = run()[asset]
    assert [math.isnan(r.signals["vibration"]) for r in dropped] == [False] * 99 + [True] * 101
    for left, right in zip(dropped, complete, strict=True):
        assert left.signals["flow"] == right.signals["flow"]


def test_a_fault_ramps_up_ends_with_its_repair_and_returns() -> None:
    returning = Fault(
        Kind.BEARING_WEAR, ASSETS[0], 100.0, 200.0, ramp_s=50.0, peak=0.8, every_s=1000.0
    )
    for cycle_s in (0.0, 1000.0, 5000.0):
        severities = [returning.severity(cycle_s + time_s) for time_s in (100, 125, 150, 199, 200)]
        assert severities == pytest.approx([0.0, 0.4, 0.8, 0.8, 0.0])
    assert returning.severity(99.0) == 0.0


def test_history_of_a_day_holds_every_condition_in_its_first_and_its_last_third() -> None:
    faults = history_faults(1, 1)
    plant = Plant(1, faults)
    conditions = [{r.condition for r in plant.step(60.0)} for _ in range(1440)]
    for third in (conditions[:480], conditions[960:]):
        assert set().union(*third) == {HEALTHY, WORN_BEARING, CAVITATION}


def test_a_longer_history_begins_with_the_faults_of_a_shorter_one() -> None:
    day, week = history_faults(1, 1), history_faults(1, 7)
    assert set(day) < set(week)


@pytest.mark.parametrize("cycle_s", [20.0, 60.0])
def test_each_live_cycle_shows_every_fault_long_enough_to_be_found(cycle_s: float) -> None:
    plant = Plant(7, live_faults(cycle_s), start_s=LIVE_START_S)
    samples = round(cycle_s / PERIOD_S)
    for _ in range(2):
        readings = [reading for _ in range(samples) for reading in plant.step(SAMPLE_S)]
        worn = [r for r in readings if r.condition == WORN_BEARING]
        cavitating = [r for r in readings if r.condition == CAVITATION]
        silent = [r for r in readings if math.isnan(r.signals["vibration"])]
        assert {r.asset for r in worn} == {"line-2/pump-1"}
        assert {r.asset for r in cavitating} == {"line-1/pump-1", "line-1/pump-2"}
        assert {r.asset for r in silent} == {"line-2/pump-2"}
        for faulty in (worn, cavitating):
            assert len(faulty) > 0.25 * samples
