"""The trigger `period`, held against slow and obvious accounts of sample and hold on a grid."""

from collections import Counter
from collections.abc import Sequence
from math import nan
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from models.bundle.manifest import Channel, WindowSpec
from models.input.quality import Quality
from models.windowing.asset_state import AssetState
from tests.kit.bundles.factories import make_channels, make_manifest
from tests.kit.readings import Message, Window, Windows, feed, listed, push, reading
from tests.kit.wording import naming

GOOD, UNCERTAIN, BAD = Quality.GOOD, Quality.UNCERTAIN, Quality.BAD


class Account:
    """One asset's samples: every point of the grid looked up in all that was accepted."""

    def __init__(self, spec: WindowSpec, channels: Sequence[Channel]) -> None:
        assert spec.sample_period_ms is not None
        assert spec.max_gap_ms is not None
        self.channels, self.spec = channels, spec
        self.period_ms, self.max_gap_ms = int(spec.sample_period_ms), spec.max_gap_ms
        self.accepted: list[Message] = []
        self.newest: list[int] = []
        self.dropped: Counter[str] = Counter()

    def take(self, message: Message) -> None:
        if not self.newest or message.time_ms > self.newest[-1]:
            self.newest.append(message.time_ms)
            self.accepted.append(message)
            return
        if message.time_ms <= self.grid_before(self.newest[-1]):
            self.dropped["late"] += 1
            return
        readings = message.readings.items()
        if all(self.is_repeated(message, channel, value) for channel, value in readings):
            self.dropped["duplicate"] += 1
            return
        current = {
            channel: value
            for channel, value in readings
            if message.time_ms >= max([m.time_ms for m in self.reports(channel)], default=-(10**9))
        }
        if not current:
            self.dropped["late"] += 1
            return
        self.accepted.append(Message("pump", message.time_ms, current, message.quality))

    def reports(self, channel: int) -> list[Message]:
        return [message for message in self.accepted if channel in message.readings]

    def is_repeated(self, message: Message, channel: int, value: float) -> bool:
        """Whether the channel's last reading of the same kind (usable or not) was this one."""
        usable = self.is_usable(message, channel)
        alike = [m for m in self.reports(channel) if self.is_usable(m, channel) == usable]
        if not alike or alike[-1].time_ms != message.time_ms:
            return False
        return not usable or alike[-1].readings[channel] == value

    def is_usable(self, message: Message, channel: int) -> bool:
        low, high = self.channels[channel].valid_range or (-1e38, 1e38)
        return message.quality < BAD and low <= message.readings[channel] <= high

    def grid_before(self, time_ms: int) -> int:
        """The last point before a time."""
        return (time_ms - 1) // self.period_ms * self.period_ms

    def segments(self) -> list[list[int]]:
        """Points of the grid that have passed, apart where a pause was too long."""
        segments: list[list[int]] = [[]]
        for before, after in zip(self.newest, self.newest[1:], strict=False):
            first = self.grid_before(before) + self.period_ms
            if after - before > self.max_gap_ms:
                segments[-1].append(first)
                segments.append([])
            else:
                segments[-1] += range(first, after, self.period_ms)
        return segments

    def sample(self, time_ms: int) -> tuple[list[float], Quality]:
        row, quality = [], GOOD
        for index, channel in enumerate(self.channels):
            reports = [m for m in self.reports(index) if m.time_ms <= time_ms]
            usable = [i for i, m in enumerate(reports) if self.is_usable(m, index)]
            since = reports[usable[-1] :] if usable else []
            age_ms = time_ms - since[0].time_ms if since else 10**9
            limit = self.period_ms - 1 if channel.max_age_ms is None else channel.max_age_ms
            if age_ms > limit:
                row.append(nan)
                quality = max(quality, BAD if channel.missing == "require" else UNCERTAIN)
            else:
                row.append(since[0].readings[index])
                quality = max(quality, min(UNCERTAIN, max(m.quality for m in since)))
        return row, quality

    def windows(self) -> list[Window]:
        due = []
        length, hop = self.spec.length, self.spec.hop
        for points in self.segments():
            for start in range(0, len(points) - length + 1, hop):
                window = points[start : start + length]
                samples = [self.sample(time_ms) for time_ms in window]
                quality = max(quality for _, quality in samples)
                due.append(Window("pump", window[-1], quality, [row for row, _ in samples]))
        return due


specs = st.builds(
    lambda period_ms, periods, length, hop: WindowSpec(
        length=length,
        hop=hop,
        sample_period_ms=period_ms,
        max_gap_ms=round(period_ms * periods),
        trigger="period",
    ),
    st.integers(1, 5),
    st.sampled_from([1, 1.5, 2, 4]),
    st.integers(1, 3),
    st.integers(1, 3),
)
channel_lists = st.lists(
    st.builds(
        Channel,
        name=st.just("c"),
        valid_range=st.sampled_from([None, (-5.0, 5.0)]),
        missing=st.sampled_from(["impute", "require"]),
        max_age_ms=st.none() | st.integers(0, 12),
    ),
    min_size=1,
    max_size=3,
)


@st.composite
def streams(
    draw: st.DrawFn, steps: Sequence[int] = (0, 1, 1, 2, 3, 9, 21, -1, -2, -4)
) -> tuple[WindowSpec, list[Channel], list[Message]]:
    """Rows, parts of rows and single readings, mostly in order of time, with repetitions."""
    spec, channels = draw(specs), draw(channel_lists)
    values = st.sampled_from([0.0, 1.0, 2.5, -5.0, 5.5, nan])
    readings = st.dictionaries(st.sampled_from(range(len(channels))), values, min_size=1)
    qualities = st.sampled_from([GOOD, GOOD, GOOD, UNCERTAIN, BAD])
    drawn = st.tuples(st.sampled_from(steps), readings, qualities, st.integers(0, 9))
    messages: list[Message] = []
    now_ms = draw(st.integers(-3, 3))
    for step_ms, content, quality, again in draw(st.lists(drawn, max_size=30)):
        now_ms += step_ms
        messages.append(Message("pump", now_ms, content, quality))
        if again < 2 and len(messages) > again:
            messages.append(messages[-1 - again])  # a redelivery
    return spec, channels, messages


Stream = tuple[WindowSpec, list[Channel], list[Message]]


@given(streams())
def test_any_stream_gives_the_windows_that_the_account_gives(stream: Stream) -> None:
    spec, channels, messages = stream
    windows, account = Windows(spec, channels), Account(spec, channels)
    for message in messages:
        assert push(windows, message) <= spec.max_due
        account.take(message)
        assert windows.due == len(account.windows())
    assert repr(listed(windows.take())) == repr(account.windows())  # repr, because nan != nan
    assert windows.dropped == account.dropped
    assert windows.restarts == len(account.segments()) - 1


@given(streams(steps=(1, 1, 2, 3)), st.integers(1, 5))
def test_samples_of_readings_in_order_are_those_of_merge_asof(
    stream: Stream, period_ms: int
) -> None:
    _, channels, messages = stream
    messages.sort(key=lambda message: message.time_ms)
    spec = on_grid(sample_period_ms=period_ms, max_gap_ms=50 * period_ms)
    got = feed(Windows(spec, channels), *messages)
    points = pd.DataFrame({"at": [window.time_ms for window in got]}, dtype="int64")
    for index, channel in enumerate(channels):
        low, high = channel.valid_range or (-1e38, 1e38)
        reports = [
            (message.time_ms, message.readings[index])
            for message in messages
            if index in message.readings
            and message.quality < BAD
            and low <= message.readings[index] <= high
        ]
        table = pd.DataFrame(
            {"at": [at for at, _ in reports], "value": [value for _, value in reports]}
        ).astype({"at": "int64", "value": "float64"})
        tolerance = period_ms - 1 if channel.max_age_ms is None else channel.max_age_ms
        held = pd.merge_asof(points, table, on="at", tolerance=tolerance)["value"]
        np.testing.assert_array_equal([window.rows[0][index] for window in got], held)


@given(streams(), st.data())
def test_what_is_saved_and_restored_at_any_moment_goes_on_as_if_nothing_had_been(
    stream: Stream, data: st.DataObject
) -> None:
    spec, channels, messages = stream
    cut = data.draw(st.integers(0, len(messages)))
    whole, first, second = (Windows(spec, channels) for _ in range(3))
    due = feed(first, *messages[:cut])
    for asset, state in first.states():
        second.restore(asset, orjson.loads(orjson.dumps(state)))
    due += feed(second, *messages[cut:])
    assert repr(due) == repr(feed(whole, *messages))


def test_a_state_does_not_change_with_the_asset_it_was_taken_of() -> None:
    kept = AssetState(2)
    state = kept.dump()
    kept.held[0] = 1.0
    kept.samples += b"more"
    assert repr(state) == repr(AssetState(2).dump())  # repr, because nan != nan
    assert repr(AssetState.load(kept.dump()).dump()) == repr(kept.dump()) != repr(state)


def test_each_channel_is_held_for_its_own_age() -> None:
    channels = [
        Channel(name="slow", max_age_ms=2500),
        Channel(name="fast", max_age_ms=100),
        Channel(name="due"),
    ]
    windows = Windows(on_grid(), channels)
    row = {0: 1.0, 1: 2.0, 2: 3.0}
    due = feed(windows, Message("pump", 950, row), Message("pump", 4000, {2: 4.0}))
    assert repr([(window.time_ms, *window.rows[0]) for window in due]) == repr(
        [(1000, 1.0, 2.0, 3.0), (2000, 1.0, nan, nan), (3000, 1.0, nan, nan)]
    )
    assert windows.missing == {"fast": 2, "due": 2}


def test_a_sample_at_a_point_has_the_reading_of_that_very_moment() -> None:
    windows = Windows(on_grid(), make_channels(1))
    assert push(windows, reading(1000, 0, 1.0)) == 0
    assert push(windows, reading(2000, 0, 2.0)) == 1
    assert push(windows, reading(2001, 0, 3.0)) == 1
    assert [window.rows for window in listed(windows.take())] == [[[1.0]], [[2.0]]]


def test_the_grid_is_the_same_wherever_the_readings_begin() -> None:
    times = [1700, 2100, 2900, 3300, 4800, 5100]
    whole = feed(Windows(on_grid(), make_channels(1)), *(reading(t, 0, 1.0) for t in times))
    later = feed(Windows(on_grid(), make_channels(1)), *(reading(t, 0, 1.0) for t in times[2:]))
    assert [window.time_ms for window in whole] == [2000, 3000, 4000, 5000]
    assert later == whole[1:]


def test_a_reading_from_before_a_point_that_was_sampled_is_late() -> None:
    windows = Windows(on_grid(), make_channels(2))
    feed(windows, reading(900, 0, 1.0), reading(1200, 0, 2.0), reading(950, 1, 3.0))
    assert windows.dropped == {"late": 1}


def test_a_reading_may_be_older_than_others_but_not_than_its_channels_own() -> None:
    windows = Windows(on_grid(), make_channels(2))
    due = feed(
        windows,
        reading(900, 0, 1.0),
        reading(800, 1, 2.0),
        reading(850, 0, 9.0),
        reading(1100, 0, 0.0),
    )
    assert [window.rows for window in due] == [[[1.0, 2.0]]]
    assert windows.dropped == {"late": 1}


def test_a_pause_restarts_the_window_after_the_sample_of_what_came_before_it() -> None:
    windows = Windows(on_grid(length=2, max_gap_ms=3000), make_channels(1, max_age_ms=60_000))
    times = [500, 1500, 4501, 5500, 6500]
    due = feed(windows, *(reading(t, 0, t / 1000) for t in times))
    assert [(window.time_ms, window.rows) for window in due] == [
        (2000, [[0.5], [1.5]]),
        (6000, [[np.float32(4.501)], [5.5]]),
    ]
    assert windows.restarts == 1


def test_a_pause_as_long_as_allowed_makes_no_more_windows_than_are_promised() -> None:
    spec = on_grid(sample_period_ms=10, max_gap_ms=10_000)
    windows = Windows(spec, make_channels(1))
    push(windows, reading(0, 0, 1.0))
    assert push(windows, reading(10_000, 0, 1.0)) == 1000 == spec.max_due - 1
    windows = Windows(spec, make_channels(1))
    push(windows, reading(0, 0, 1.0))
    assert push(windows, reading(10**12, 0, 1.0)) == 1


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"max_gap_ms": 1000}, "None and 1000"),
        ({"sample_period_ms": 10}, "10 and None"),
        ({"sample_period_ms": 10, "max_gap_ms": 9}, "found 9"),
        ({"sample_period_ms": 10, "max_gap_ms": 10_001}, "found 10001 and 10"),
    ],
)
def test_a_grid_needs_a_period_and_a_gap_that_bounds_it(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        WindowSpec(length=1, trigger="period", **fields)


def test_a_reading_may_not_make_more_due_than_memory_has_room_for() -> None:
    grid = {"sample_period_ms": 10, "max_gap_ms": 10_000}
    assert make_manifest(2, window=on_grid(length=1990, **grid))
    with pytest.raises(ValidationError, match=naming("max_gap_ms", "hop")):
        make_manifest(2, window=on_grid(length=2000, **grid))
    assert make_manifest(2, window=on_grid(length=2000, hop=2, **grid))


def on_grid(**fields: int) -> WindowSpec:
    parts = {"length": 1, "sample_period_ms": 1000, "max_gap_ms": 10_000} | fields
    return WindowSpec(trigger="period", **parts)
