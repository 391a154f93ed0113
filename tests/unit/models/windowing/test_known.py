"""What retained messages say stands for signals in samples that have nothing newer."""

import json
from math import nan

import pytest

from models.bundle.manifest import Channel, WindowSpec
from models.input.quality import Quality
from models.windowing.asset_state import NS_PER_MS
from models.windowing.known import Known
from tests.kit.readings import GOOD, UNCERTAIN, Message, Windows, feed

EACH = WindowSpec(length=1, trigger="every_reading")
ROUNDS = WindowSpec(length=1)
GRID = WindowSpec(length=1, trigger="period", sample_period_ms=1000, max_gap_ms=600_000)
CHANNELS = (
    Channel(name="flow"),
    Channel(name="set_point", valid_range=(0.0, 100.0), max_age_ms=60_000),
)
FLOW, SET_POINT = 0, 1
T_MS = 1_000_000


def windows(spec: WindowSpec = EACH, max_assets: int = 10) -> Windows:
    return Windows(spec, CHANNELS, max_assets)


def held(  # noqa: PLR0913 - each argument is one fact that some test varies
    into: Windows,
    at_ms: int,
    value: float = 5.0,
    *,
    signal: int = SET_POINT,
    quality: Quality = GOOD,
    is_timed: bool = True,
    asset: str = "pump",
) -> bool:
    at = Known((T_MS + at_ms) * NS_PER_MS, 0.0, int(quality), is_timed)
    return into.hold(asset, (signal,), (value,), at)


def flow(at_ms: int, asset: str = "pump") -> Message:
    return Message(asset, T_MS + at_ms, {FLOW: 1.0})


def set_point(at_ms: int, value: float, quality: Quality = GOOD) -> Message:
    return Message("pump", T_MS + at_ms, {SET_POINT: value}, quality)


def samples(into: Windows, *messages: Message) -> list[tuple[float, Quality]]:
    """The set-point in each sample, -1 where it is missing, and the quality of the sample."""
    due = feed(into, *messages)
    return [(w.rows[0][1] if w.rows[0][1] == w.rows[0][1] else -1.0, w.quality) for w in due]


def test_retained_value_stands_for_its_signal_within_its_age_and_is_no_sample() -> None:
    ours = windows()
    assert held(ours, -59_000)
    assert ours.due == 0
    assert samples(ours, flow(0), flow(1000), flow(1001)) == [
        (5.0, GOOD),
        (5.0, GOOD),
        (-1.0, UNCERTAIN),
    ]


def test_retained_value_is_not_used_before_its_time() -> None:
    ours = windows()
    assert held(ours, 10)
    assert samples(ours, flow(0), flow(10)) == [(-1.0, UNCERTAIN), (5.0, GOOD)]


def test_live_value_that_is_newer_is_never_replaced() -> None:
    ours = windows()
    assert samples(ours, set_point(0, 7.0)) == [(7.0, UNCERTAIN)]
    assert not held(ours, -1)
    assert not held(ours, 0)
    assert samples(ours, flow(1)) == [(7.0, GOOD)]
    assert held(ours, 5, 8.0), "set while the agent did not listen"
    assert samples(ours, flow(6), set_point(7, 9.0), flow(8))[0::2] == [(8.0, GOOD), (9.0, GOOD)]


def test_live_value_is_taken_although_a_retained_one_has_the_same_time_and_value() -> None:
    ours = windows(ROUNDS)
    assert held(ours, 0)
    assert samples(ours, flow(1), set_point(0, 5.0)) == [(5.0, GOOD)]
    assert not ours.dropped


def test_same_retained_message_is_kept_once_and_an_older_one_not_at_all() -> None:
    ours = windows()
    assert held(ours, 0)
    assert not held(ours, 0)
    assert not held(ours, -1, 6.0)
    assert held(ours, 1, 7.0)
    assert samples(ours, flow(2)) == [(7.0, GOOD)]


@pytest.mark.parametrize(
    ("signal", "value"),
    [(FLOW, 5.0), (SET_POINT, 101.0), (SET_POINT, nan)],
    ids=["no maximum age", "out of range", "no value"],
)
def test_value_that_could_not_be_held_is_not_kept(signal: int, value: float) -> None:
    assert not held(windows(), 0, value, signal=signal)


def test_value_that_no_later_sample_could_use_is_not_kept() -> None:
    ours = windows()
    feed(ours, flow(0))
    assert not held(ours, -60_001)
    assert held(ours, -60_000)


def test_value_without_a_time_fills_a_gap_and_replaces_nothing_that_is_held() -> None:
    ours = windows()
    feed(ours, set_point(0, 7.0))
    assert not held(ours, 60_000, quality=UNCERTAIN, is_timed=False)
    assert samples(ours, flow(60_000)) == [(7.0, GOOD)]
    assert held(ours, 60_001, quality=UNCERTAIN, is_timed=False)
    assert samples(ours, flow(60_002)) == [(5.0, UNCERTAIN)]
    assert samples(ours, set_point(60_003, 8.0), flow(60_004))[1] == (8.0, GOOD)


def test_doubt_of_a_live_value_ends_with_a_newer_retained_one_that_is_good() -> None:
    ours = windows()
    feed(ours, set_point(0, 7.0), set_point(1, 7.0, Quality.BAD))
    assert held(ours, 1, 8.0)
    assert samples(ours, flow(2)) == [(8.0, UNCERTAIN)]
    assert held(ours, 2, 9.0)
    assert samples(ours, flow(3)) == [(9.0, GOOD)]


def test_on_a_grid_it_stands_for_its_signal_too() -> None:
    ours = windows(GRID)
    assert held(ours, 500)
    assert samples(ours, flow(-100), flow(900), flow(1900)) == [
        (-1.0, UNCERTAIN),
        (5.0, GOOD),
    ]


def test_what_is_kept_outlives_a_restart() -> None:
    before, after = windows(), windows()
    held(before, 0)
    ((asset, state),) = before.states()
    after.restore(asset, json.loads(json.dumps(state).replace("NaN", "null")))
    assert not held(after, 0)
    assert samples(after, flow(1)) == [(5.0, GOOD)]


def test_no_asset_makes_room_for_a_retained_message() -> None:
    ours = windows(max_assets=2)
    feed(ours, flow(0, "live"))
    assert held(ours, 0, asset="silent")
    assert not held(ours, 0, asset="one too many")
    assert ours.forgotten == 0
    feed(ours, flow(0, "new"))
    assert [asset for asset, _ in ours.states()] == ["live", "new"]
