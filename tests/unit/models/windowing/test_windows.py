"""Windows, held against a slow and obvious account of what their module's docstring says."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf, nan

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from models.bundle.manifest import Channel, WindowSpec
from models.input.quality import Quality
from tests.kit.bundles.factories import make_channels
from tests.kit.readings import Message, Window, Windows, feed, listed, push, reading, row, rows

GOOD, UNCERTAIN, BAD = Quality.GOOD, Quality.UNCERTAIN, Quality.BAD
FLOAT32_MAX = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Sample:
    """One row, with the message (by its position in the stream) that completed it."""

    completed_by: int
    time_ms: int
    row: list[float]
    quality: Quality


class Account:
    """What should come out of a stream, each sample computed from all messages before it."""

    def __init__(self, spec: WindowSpec, channels: Sequence[Channel]) -> None:
        self.spec = spec
        self.channels = channels
        self.dropped: Counter[str] = Counter()
        self.missing: Counter[str] = Counter()
        self.restarts = 0

    def windows_of(self, messages: Sequence[Message]) -> list[list[Window]]:
        """The windows that each message makes due."""
        due: list[list[Window]] = [[] for _ in messages]
        for asset in {message.asset for message in messages}:
            samples, alone = self._samples(asset, messages)
            for segment in [*self._segments(samples), *([one] for one in alone)]:
                length, hop = self.spec.length, self.spec.hop
                for start in range(0, len(segment) - length + 1, hop):
                    window = segment[start : start + length]
                    last = window[-1]
                    quality = max(sample.quality for sample in window)
                    rows = [sample.row for sample in window]
                    due[last.completed_by].append(Window(asset, last.time_ms, quality, rows))
        return due

    def _segments(self, samples: list[Sample]) -> Iterable[list[Sample]]:
        """Samples between one gap and the next."""
        gaps = [
            index
            for index in range(1, len(samples))
            if self.spec.max_gap_ms is not None
            and samples[index].time_ms - samples[index - 1].time_ms > self.spec.max_gap_ms
        ]
        self.restarts += len(gaps)
        for start, end in zip([0, *gaps], [*gaps, len(samples)], strict=True):
            yield samples[start:end]

    def _samples(
        self, asset: str, messages: Sequence[Message]
    ) -> tuple[list[Sample], list[Sample]]:
        """The samples of the asset, and late rows that are windows of their own."""
        samples: list[Sample] = []
        alone: list[Sample] = []
        before: list[Message] = []
        current: list[Message] = []
        for index, message in enumerate(messages):
            if message.asset != asset:
                continue
            if self._is_alone(message, before):
                alone.append(self._sample(index, [], [message]))
                continue
            if self._is_dropped(message, before, current):
                continue
            if current and self._cannot_join(message, before, current):
                samples.append(self._sample(index, before, current))
                before, current = before + current, []
            current = [*current, message]
            reported = {channel for m in current for channel in m.readings}
            whole = len(reported) == len(self.channels)
            if whole or self.spec.trigger == "every_reading":
                samples.append(self._sample(index, before, current))
                before, current = before + current, []
        return samples, alone

    def _is_alone(self, message: Message, before: list[Message]) -> bool:
        is_single = self.spec.length == self.spec.hop == 1
        holds = any(channel.max_age_ms is not None for channel in self.channels)
        is_sample = (
            len(message.readings) == len(self.channels) or self.spec.trigger == "every_reading"
        )
        is_late = bool(before) and message.time_ms < newest(before)
        return is_single and not holds and is_sample and is_late

    def _is_dropped(self, message: Message, before: list[Message], current: list[Message]) -> bool:
        if before and message.time_ms < newest(before):
            self.dropped["late"] += 1
            return True
        if all(
            self._is_repeated(message, channel, before + current) for channel in message.readings
        ):
            self.dropped["duplicate"] += 1
            return True
        return False

    def _is_repeated(self, message: Message, channel: int, taken: list[Message]) -> bool:
        """Whether the channel's last reading of the same kind (usable or not) was this one."""
        value = self._usable(message, channel)
        alike = [
            m
            for m in taken
            if channel in m.readings and (self._usable(m, channel) is None) == (value is None)
        ]
        return bool(alike) and (
            (alike[-1].time_ms, self._usable(alike[-1], channel)) == (message.time_ms, value)
        )

    def _cannot_join(self, message: Message, before: list[Message], current: list[Message]) -> bool:
        reported = {channel for m in current for channel in m.readings}
        pause = message.time_ms - newest(before + current)
        gap = self.spec.max_gap_ms is not None and pause > self.spec.max_gap_ms
        return gap or bool(reported & set(message.readings))

    def _sample(self, index: int, before: list[Message], current: list[Message]) -> Sample:
        time_ms = newest(before + current)
        row, quality = [], GOOD
        for position, channel in enumerate(self.channels):
            candidates = current if channel.max_age_ms is None else before + current
            usable = [
                index for index, m in enumerate(candidates) if self._usable(m, position) is not None
            ]
            since = candidates[usable[-1] :] if usable else []
            if since and channel.max_age_ms is not None:
                is_young = time_ms - since[0].time_ms <= channel.max_age_ms
                since = since if is_young else []
            if since:
                row.append(since[0].readings[position])
                stated = max(m.quality for m in since if position in m.readings)
                quality = max(quality, min(stated, UNCERTAIN))
            else:
                row.append(nan)
                self.missing[channel.name] += 1
                quality = max(quality, BAD if channel.missing == "require" else UNCERTAIN)
        return Sample(index, time_ms, row, quality)

    def _usable(self, message: Message, channel: int) -> float | None:
        value = message.readings.get(channel, nan)
        low, high = self.channels[channel].valid_range or (-FLOAT32_MAX, FLOAT32_MAX)
        return value if message.quality < BAD and low <= value <= high else None


def newest(messages: list[Message]) -> int:
    return max(message.time_ms for message in messages)


def one_channel(**spec: int) -> Windows:
    return Windows(WindowSpec(**spec), make_channels(1))


optional_ms = st.none() | st.integers(1, 6)
specs = st.builds(
    WindowSpec,
    length=st.integers(1, 4),
    hop=st.integers(1, 5),
    max_gap_ms=optional_ms,
    trigger=st.sampled_from(["all_fresh", "every_reading"]),
)
channel_lists = st.lists(
    st.tuples(
        st.sampled_from([None, (-5.0, 5.0)]),
        st.sampled_from(["impute", "require"]),
        st.none() | st.integers(0, 6),
    ),
    min_size=1,
    max_size=3,
).map(
    lambda fields: [
        Channel(name=f"c{index}", valid_range=valid_range, missing=missing, max_age_ms=max_age_ms)
        for index, (valid_range, missing, max_age_ms) in enumerate(fields)
    ]
)
values = st.sampled_from([0.0, 1.0, 2.5, -5.0, 5.5, nan, inf, -inf])
qualities = st.sampled_from([GOOD, GOOD, GOOD, UNCERTAIN, BAD])


@st.composite
def streams(draw: st.DrawFn) -> tuple[WindowSpec, list[Channel], list[Message]]:
    """Rows, parts of rows and single readings of two assets, mostly in order of time."""
    spec, channels = draw(specs), draw(channel_lists)
    indices = range(len(channels))
    readings = st.one_of(
        st.fixed_dictionaries(dict.fromkeys(indices, values)),
        st.dictionaries(st.sampled_from(indices), values, min_size=1),
    )
    messages: list[Message] = []
    now_ms = 0
    for asset, step_ms, content, quality, again in draw(
        st.lists(
            st.tuples(
                st.sampled_from("ab"),
                st.sampled_from([0, 1, 1, 2, 7, -1, -3]),
                readings,
                qualities,
                st.integers(0, 9),
            ),
            max_size=30,
        )
    ):
        now_ms += step_ms
        messages.append(Message(asset, now_ms, content, quality))
        if again < 2 and len(messages) > again:
            messages.append(messages[-1 - again])  # a redelivery
    return spec, channels, messages


@given(streams())
def test_any_stream_gives_the_windows_that_the_account_gives(
    stream: tuple[WindowSpec, list[Channel], list[Message]],
) -> None:
    spec, channels, messages = stream
    windows, account = Windows(spec, channels), Account(spec, channels)
    expected = account.windows_of(messages)
    for message, due in zip(messages, expected, strict=True):
        assert push(windows, message) == windows.due == len(due)
        assert repr(listed(windows.take())) == repr(due)  # repr, because nan != nan
    assert windows.dropped == account.dropped
    assert windows.missing == account.missing
    assert windows.restarts == account.restarts


@given(streams(), st.lists(st.booleans(), min_size=60, max_size=60))
def test_how_often_windows_are_taken_does_not_change_them(
    stream: tuple[WindowSpec, list[Channel], list[Message]], takes: list[bool]
) -> None:
    spec, channels, messages = stream
    at_the_end, now_and_then = Windows(spec, channels), Windows(spec, channels)
    batches = []
    for message, take in zip(messages, takes, strict=False):
        push(at_the_end, message)
        push(now_and_then, message)
        if take:
            batches += listed(now_and_then.take())
    batches += listed(now_and_then.take())
    assert repr(batches) == repr(listed(at_the_end.take()))


@given(streams())
def test_interleaved_assets_have_the_windows_each_has_alone(
    stream: tuple[WindowSpec, list[Channel], list[Message]],
) -> None:
    spec, channels, messages = stream
    together = feed(Windows(spec, channels), *messages)
    for asset in "ab":
        own = [message for message in messages if message.asset == asset]
        alone = feed(Windows(spec, channels), *own)
        assert repr(alone) == repr([window for window in together if window.asset == asset])


@given(streams())
def test_the_times_of_an_asset_go_back_only_where_a_row_is_a_window(
    stream: tuple[WindowSpec, list[Channel], list[Message]],
) -> None:
    spec, channels, messages = stream
    assume(not Windows(spec, channels).is_stateless)
    due = feed(Windows(spec, channels), *messages)
    for asset in "ab":
        times = [window.time_ms for window in due if window.asset == asset]
        assert times == sorted(times)


@given(st.lists(st.floats(), min_size=3, max_size=3))
def test_every_value_is_its_nearest_float32_or_missing(numbers: list[float]) -> None:
    windows = Windows(WindowSpec(length=1), make_channels(3, valid_range=(-1e300, 1e300)))
    windows.push("pump", 0, (0, 1, 2), numbers)
    wanted = np.array([n if abs(n) <= FLOAT32_MAX else nan for n in numbers]).astype(np.float32)
    np.testing.assert_array_equal(windows.take().values[0, 0], wanted)


def test_the_first_window_comes_after_length_samples_and_then_one_each_hop() -> None:
    due = feed(one_channel(length=3, hop=2), *rows(8))
    assert [window.time_ms for window in due] == [2000, 4000, 6000]
    assert due[1].rows == [[2.0], [3.0], [4.0]]


def test_a_hop_longer_than_the_window_leaves_samples_out() -> None:
    due = feed(one_channel(length=1, hop=3), *rows(8))
    assert [window.rows for window in due] == [[[0.0]], [[3.0]], [[6.0]]]


def test_a_long_window_slides_over_many_times_its_length() -> None:
    windows = Windows(WindowSpec(length=60), make_channels(1, valid_range=None))
    due = feed(windows, *rows(1000))
    assert len(due) == 941
    for start, window in enumerate(due):
        assert window.rows == [[float(value)] for value in range(start, start + 60)]


def test_a_batch_belongs_to_its_taker() -> None:
    windows = one_channel(length=1)
    push(windows, row(0, 1.0))
    batch = windows.take()
    batch.values[:] = 7
    assert feed(windows, row(1, 2.0))[0].rows == [[2.0]]


def test_nothing_due_is_an_empty_batch_of_the_right_shape() -> None:
    batch = Windows(WindowSpec(length=5), make_channels(3)).take()
    assert batch.values.shape == (0, 5, 3)
    assert (batch.assets, batch.times_ns, batch.qualities) == ([], [], [])


def test_the_channels_of_a_row_may_come_in_any_order() -> None:
    windows = Windows(WindowSpec(length=1), make_channels(3))
    windows.push("pump", 0, [2, 0, 1], [3.0, 1.0, 2.0])
    assert windows.take().values.tolist() == [[[1.0, 2.0, 3.0]]]


def test_readings_of_single_channels_make_a_sample_when_all_have_reported() -> None:
    windows = Windows(WindowSpec(length=1), make_channels(2))
    assert push(windows, reading(10, 1, 2.0)) == 0
    assert push(windows, reading(12, 0, 1.0)) == 1
    assert feed(windows) == [Window("pump", 12, GOOD, [[1.0, 2.0]])]


def test_a_dead_channel_delays_a_sample_and_is_missing_in_it() -> None:
    windows = Windows(WindowSpec(length=1), make_channels(2))
    assert [push(windows, reading(time_ms, 0, 1.0)) for time_ms in (0, 10, 20)] == [0, 1, 1]
    assert [window.time_ms for window in feed(windows)] == [0, 10]
    assert windows.missing == {"c1": 2}


def test_one_message_can_complete_two_samples() -> None:
    windows = Windows(WindowSpec(length=1), make_channels(2))
    push(windows, reading(0, 0, 1.0))
    assert push(windows, row(10, 2.0, 3.0)) == 2
    assert [window.time_ms for window in feed(windows)] == [0, 10]


def test_a_value_is_held_until_it_is_too_old() -> None:
    windows = Windows(WindowSpec(length=1), make_channels(2, max_age_ms=15))
    push(windows, reading(0, 1, 5.0))
    due = feed(windows, *(reading(time_ms, 0, 1.0) for time_ms in (5, 15, 16, 17)))
    assert [window.rows[0][1] for window in due[:2]] == [5.0, 5.0]
    assert np.isnan(due[2].rows[0][1])
    assert [window.quality for window in due] == [GOOD, GOOD, UNCERTAIN]


def test_a_value_that_is_too_old_is_missing_also_in_the_sample_it_was_reported_for() -> None:
    windows = Windows(WindowSpec(length=1), make_channels(2, max_age_ms=100))
    due = feed(windows, reading(0, 0, 1.0), reading(101, 1, 2.0))
    assert repr(due) == repr([Window("pump", 101, UNCERTAIN, [[nan, 2.0]])])


def test_what_was_never_reported_is_missing_however_long_a_value_is_held() -> None:
    for_centuries = make_channels(2, max_age_ms=10**13)
    (window,) = feed(Windows(WindowSpec(length=1), for_centuries), row(1_700_000_000_000, 1.0, nan))
    assert window.quality == UNCERTAIN


def test_a_held_value_stays_as_uncertain_as_it_was() -> None:
    windows = Windows(WindowSpec(length=1), make_channels(2, max_age_ms=1000))
    push(windows, reading(0, 1, 5.0, UNCERTAIN))
    due = feed(windows, reading(1, 0, 1.0), reading(2, 0, 1.0), reading(3, 0, 1.0))
    assert [window.quality for window in due] == [UNCERTAIN, UNCERTAIN]
    due = feed(windows, reading(4, 1, 5.0))
    assert [window.quality for window in due] == [GOOD]


def test_a_held_value_stays_as_good_as_it_was() -> None:
    windows = Windows(WindowSpec(length=1), make_channels(1, max_age_ms=1000))
    due = feed(windows, row(0, 5.0), row(1, nan))
    assert due[1] == Window("pump", 1, GOOD, [[5.0]])


@pytest.mark.parametrize("quality", [UNCERTAIN, BAD])
def test_a_held_value_is_uncertain_once_its_source_is_in_doubt(quality: Quality) -> None:
    windows = Windows(WindowSpec(length=1), make_channels(1, max_age_ms=1000))
    due = feed(windows, row(0, 5.0), row(1, nan, quality=quality), row(2, nan), row(3, 6.0))
    assert [(window.quality, window.rows) for window in due] == [
        (GOOD, [[5.0]]),
        (UNCERTAIN, [[5.0]]),
        (UNCERTAIN, [[5.0]]),
        (GOOD, [[6.0]]),
    ]


def test_without_a_maximum_age_nothing_is_held() -> None:
    due = feed(Windows(WindowSpec(length=1), make_channels(1)), row(0, 1.0), row(1, nan))
    assert np.isnan(due[1].rows[0][0])


@pytest.mark.parametrize("value", [nan, inf, -inf, 100.1, -100.1, 1e39, 10**400])
def test_a_value_out_of_range_is_missing(value: float) -> None:
    windows = one_channel(length=1)
    due = feed(windows, row(0, value))
    assert repr(due) == repr([Window("pump", 0, UNCERTAIN, [[nan]])])
    assert windows.missing == {"c0": 1}


@pytest.mark.parametrize("value", [-100.0, 100.0, 0, True])
def test_the_edges_of_the_range_are_in_it(value: float) -> None:
    assert feed(one_channel(length=1), row(0, value))[0].quality is GOOD


def test_a_window_is_uncertain_as_long_as_an_imputed_sample_is_inside() -> None:
    due = feed(one_channel(length=3), *rows(3), row(3000, nan), *rows(8)[4:])
    assert [window.quality for window in due] == [GOOD] + [UNCERTAIN] * 3 + [GOOD] * 2


def test_a_window_is_bad_as_long_as_a_required_value_is_missing_inside() -> None:
    channels = [Channel(name="must", missing="require"), Channel(name="may")]
    windows = Windows(WindowSpec(length=2), channels)
    due = feed(
        windows,
        row(0, 1.0, nan),
        row(1, nan, nan),
        row(2, 1.0, nan),
        row(3, 1.0, 1.0),
        row(4, 1.0, 1.0),
    )
    assert [window.quality for window in due] == [BAD, BAD, UNCERTAIN, GOOD]


@pytest.mark.parametrize(
    ("quality", "missing", "expected"),
    [
        (UNCERTAIN, "impute", UNCERTAIN),
        (UNCERTAIN, "require", UNCERTAIN),
        (BAD, "impute", UNCERTAIN),
        (BAD, "require", BAD),
    ],
)
def test_the_quality_of_a_reading_is_that_of_its_window(
    quality: Quality, missing: str, expected: Quality
) -> None:
    windows = Windows(WindowSpec(length=1), make_channels(1, missing=missing))
    due = feed(windows, row(0, 1.0, quality=quality))
    assert due[0].quality is expected
    assert np.isnan(due[0].rows[0][0]) == (quality is BAD)


def test_a_gap_restarts_the_window_and_forgives_what_was_before() -> None:
    windows = Windows(WindowSpec(length=2, hop=2, max_gap_ms=1000), make_channels(1))
    messages = [row(0, nan), row(1000, 1.0), row(2001, 2.0), row(3001, 3.0)]
    due = feed(windows, *messages)
    assert [(window.time_ms, window.quality) for window in due] == [
        (1000, UNCERTAIN),
        (3001, GOOD),
    ]
    assert windows.restarts == 1


def test_readings_from_before_and_after_a_gap_are_never_one_sample() -> None:
    windows = Windows(WindowSpec(length=1, max_gap_ms=1000), make_channels(2))
    due = feed(windows, reading(0, 0, 1.0), reading(5000, 1, 2.0), reading(5001, 0, 3.0))
    assert repr([window.rows for window in due]) == repr([[[1.0, nan]], [[3.0, 2.0]]])


def test_a_pause_as_long_as_the_maximum_gap_is_none() -> None:
    windows = Windows(WindowSpec(length=2, max_gap_ms=1000), make_channels(1))
    assert len(feed(windows, row(0, 1.0), row(1000, 2.0))) == 1


def test_without_a_maximum_gap_no_pause_restarts_the_window() -> None:
    assert len(feed(one_channel(length=2), row(0, 1.0), row(10**9, 2.0))) == 1


def test_readings_older_than_the_last_sample_are_late() -> None:
    windows = one_channel(length=2)
    assert len(feed(windows, row(10, 1.0), row(9, 2.0), row(11, 3.0))) == 1
    assert windows.dropped == {"late": 1}


def test_late_row_that_is_a_window_of_its_own_is_answered_and_changes_nothing() -> None:
    windows = one_channel(length=1)
    due = feed(windows, row(5, 5.0), row(2, 2.0, quality=UNCERTAIN), row(3, nan), row(6, 6.0))
    assert [(one.time_ms, one.quality) for one in due] == [
        (5, GOOD),
        (2, UNCERTAIN),
        (3, UNCERTAIN),
        (6, GOOD),
    ]
    assert windows.dropped == {}


def test_a_reading_may_be_older_than_others_of_its_round() -> None:
    windows = Windows(WindowSpec(length=1), make_channels(2))
    assert feed(windows, reading(10, 0, 1.0), reading(8, 1, 2.0))[0].time_ms == 10


@pytest.mark.parametrize("values", [(1.0, 2.0), (1.0, nan), (nan, nan), (1.0, 500.0)])
@pytest.mark.parametrize("quality", Quality)
def test_a_row_that_is_delivered_again_is_a_duplicate(
    values: tuple[float, float], quality: Quality
) -> None:
    windows = Windows(WindowSpec(length=1), make_channels(2))
    message = row(5, *values, quality=quality)
    assert len(feed(windows, message, message, message)) == 1
    assert windows.dropped == {"duplicate": 2}


def test_readings_that_are_delivered_again_change_nothing() -> None:
    values = [1.0, nan, 3.0, 4.0]
    readings = [reading(5, channel, value) for channel, value in enumerate(values)]
    windows = Windows(WindowSpec(length=1), make_channels(4))
    due = feed(windows, *readings[:3], *readings, *readings)
    assert repr(due) == repr([Window("pump", 5, UNCERTAIN, [values])])
    assert windows.dropped == {"duplicate": 7}


def test_every_reading_is_a_sample_with_the_others_held_where_the_trigger_says_so() -> None:
    spec = WindowSpec(length=1, trigger="every_reading")
    windows = Windows(spec, make_channels(2, max_age_ms=15))
    due = feed(windows, reading(0, 0, 1.0), reading(10, 1, 2.0), reading(20, 1, 3.0))
    assert repr([window.rows for window in due]) == repr([[[1.0, nan]], [[1.0, 2.0]], [[nan, 3.0]]])
    assert [window.quality for window in due] == [UNCERTAIN, GOOD, UNCERTAIN]


def test_other_values_at_the_same_time_are_a_sample_of_their_own() -> None:
    due = feed(one_channel(length=1), row(5, 1.0), row(5, 2.0))
    assert [window.rows for window in due] == [[[1.0]], [[2.0]]]


def test_beyond_the_maximum_the_asset_that_was_silent_longest_begins_anew() -> None:
    windows = Windows(WindowSpec(length=2), make_channels(1), max_assets=2)
    heard = [*zip("aba", (0, 0, 1), strict=True), ("c", 0), ("a", 2), ("b", 1), ("c", 1)]
    due = feed(windows, *(row(at, float(at), asset=asset) for asset, at in heard))
    assert [(window.asset, window.rows) for window in due] == [
        ("a", [[0.0], [1.0]]),
        ("a", [[1.0], [2.0]]),
    ]
    assert (windows.forgotten, len(windows), windows.dropped) == (3, 2, {})


def test_more_values_than_channels_are_refused() -> None:
    with pytest.raises(ValueError, match=r"1 .* 2"):
        one_channel(length=1).push("pump", 0, [0], [1.0, 2.0])
