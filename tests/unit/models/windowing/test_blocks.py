"""Blocks, held against `Windows` over the same samples, one by one."""

from dataclasses import dataclass
from math import inf, nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.bundle.manifest import Channel, WindowSpec
from models.errors import ReadingError
from models.input.quality import Quality
from models.windowing import blocks as shared
from models.windowing.blocks import MAX_HOPS, Blocks
from models.windowing.windows import Batch, Windows
from tests.kit.bundles.factories import make_channels

GOOD, UNCERTAIN, BAD = Quality.GOOD, Quality.UNCERTAIN, Quality.BAD
T0_NS = 1_760_000_000_000_000_000
MS = 1_000_000


@dataclass(frozen=True)
class Sent:
    """A block, with the pause before it in samples."""

    asset: str
    pause: int
    rows: list[list[float]]
    quality: Quality


@st.composite
def streams(draw: st.DrawFn) -> tuple[WindowSpec, tuple[Channel, ...], list[Sent]]:
    width = draw(st.integers(1, 3))
    channels = tuple(
        Channel(
            name=f"c{index}",
            valid_range=draw(st.sampled_from([None, (-1.0, 0.1), (-5.0, 5.0)])),
            missing=draw(st.sampled_from(["impute", "impute", "require"])),
        )
        for index in range(width)
    )
    period_ms = draw(st.sampled_from([1, 0.0390625, 40.96, 1 / 3]))
    gap_ms = draw(st.sampled_from([None, 41, 100]))
    spec = WindowSpec(
        length=draw(st.integers(1, 7)),
        hop=draw(st.integers(1, 9)),
        sample_period_ms=period_ms,
        max_gap_ms=gap_ms,
    )
    value = st.sampled_from([0.0, 0.1, 1.0, -1.0, 4.0, -6.0, nan, inf, 1e300]) | st.floats(
        -2, 2, width=32
    )
    sent = st.builds(
        Sent,
        asset=st.sampled_from(["a", "b"]),
        pause=st.sampled_from([0, 0, 0, 1, 2, 5000]),
        rows=st.lists(st.lists(value, min_size=width, max_size=width), min_size=1, max_size=20),
        quality=st.sampled_from([GOOD, GOOD, GOOD, UNCERTAIN, BAD]),
    )
    return spec, channels, draw(st.lists(sent, max_size=12))


def one_by_one(
    spec: WindowSpec, channels: tuple[Channel, ...], stream: list[tuple[int, Sent]]
) -> tuple[list[int], Windows]:
    """How many windows each block makes due, and the windows."""
    windows = Windows(spec, channels)
    period_ns = spec.sample_period_ms * MS if spec.sample_period_ms else 0
    order = tuple(range(len(channels)))
    made = [
        sum(
            windows.push(sent.asset, start_ns + round(index * period_ns), order, row, sent.quality)
            for index, row in enumerate(sent.rows)
        )
        for start_ns, sent in stream
    ]
    return made, windows


def timed(spec: WindowSpec, stream: list[Sent]) -> list[tuple[int, Sent]]:
    """Each block with the time of its first sample, by its asset's clock."""
    period_ns = spec.sample_period_ms * MS if spec.sample_period_ms else 0
    clocks: dict[str, int] = {}
    found = []
    for sent in stream:
        start_ns = clocks.get(sent.asset, T0_NS) + round(sent.pause * period_ns)
        found.append((start_ns, sent))
        clocks[sent.asset] = start_ns + round((len(sent.rows) - 1) * period_ns) + round(period_ns)
    return found


def taken(blocks: Blocks) -> Batch:
    """Everything that is due, however many calls it takes."""
    batches = [blocks.take()]
    while blocks.due:
        batches.append(blocks.take())
    return Batch(
        [asset for one in batches for asset in one.assets],
        [time_ns for one in batches for time_ns in one.times_ns],
        [quality for one in batches for quality in one.qualities],
        np.concatenate([one.values for one in batches]),
    )


def assert_same(found: Batch, wanted: Batch) -> None:
    assert found.assets == wanted.assets
    assert found.times_ns == wanted.times_ns
    assert found.qualities == wanted.qualities
    np.testing.assert_array_equal(found.values, wanted.values)


@settings(max_examples=400)
@given(stream=streams())
def test_blocks_give_the_windows_that_their_samples_give_one_by_one(
    stream: tuple[WindowSpec, tuple[Channel, ...], list[Sent]],
) -> None:
    spec, channels, sent = stream
    blocks = Blocks(spec, channels)
    order = tuple(range(len(channels)))
    made = [
        blocks.push(one.asset, start_ns, order, np.array(one.rows), one.quality)
        for start_ns, one in timed(spec, sent)
    ]
    wanted_made, wanted = one_by_one(spec, channels, timed(spec, sent))
    assert made == wanted_made
    assert blocks.due == sum(made)
    assert_same(taken(blocks), wanted.take())
    assert blocks.missing == wanted.missing
    assert blocks.restarts == wanted.restarts
    assert len(blocks) == len(wanted)


@settings(max_examples=200)
@given(stream=streams(), data=st.data())
def test_axes_on_topics_of_their_own_give_the_same_windows_in_any_order(
    stream: tuple[WindowSpec, tuple[Channel, ...], list[Sent]], data: st.DataObject
) -> None:
    spec, channels, sent = stream
    blocks = Blocks(spec, channels)
    for start_ns, one in timed(spec, sent):
        rows = np.array(one.rows)
        for channel in data.draw(st.permutations(range(len(channels)))):
            blocks.push(one.asset, start_ns, (channel,), rows[:, [channel]], one.quality)
    _, wanted = one_by_one(spec, channels, timed(spec, sent))
    assert_same(taken(blocks), wanted.take())
    assert blocks.missing == wanted.missing


@settings(max_examples=200)
@given(stream=streams())
def test_raw_floats_and_their_exact_values_are_in_range_alike(
    stream: tuple[WindowSpec, tuple[Channel, ...], list[Sent]],
) -> None:
    spec, channels, sent = stream
    with np.errstate(over="ignore"):
        raw = [np.array(one.rows, np.float32) for one in sent]
    exact = [
        Sent(one.asset, one.pause, rows.astype(float).tolist(), one.quality)
        for one, rows in zip(sent, raw, strict=True)
    ]
    blocks = Blocks(spec, channels)
    order = tuple(range(len(channels)))
    for (start_ns, one), rows in zip(timed(spec, sent), raw, strict=True):
        blocks.push(one.asset, start_ns, order, rows, one.quality)
    _, wanted = one_by_one(spec, channels, timed(spec, exact))
    assert_same(taken(blocks), wanted.take())


SPEC = WindowSpec(length=8, hop=8, sample_period_ms=1)


def ramp(start: int, count: int, width: int = 1) -> NDArray[np.float32]:
    return np.repeat(np.arange(start, start + count, dtype=np.float32)[:, None], width, axis=1)


def make(width: int = 1, *, max_assets: int = 10, **spec: object) -> Blocks:
    made = SPEC.model_copy(update=spec)
    channels = make_channels(width, valid_range=None)
    return Blocks(made, channels, max_assets)


def refusal(blocks: Blocks, time_ns: int, values: NDArray[np.float32], *of: int) -> str:
    waiting = blocks.due
    with pytest.raises(ReadingError) as caught:
        blocks.push("p", time_ns, of or (0,), values)
    assert blocks.due == waiting
    return caught.value.reason


def test_window_spans_blocks_and_has_the_time_of_its_last_sample() -> None:
    blocks = make()
    assert blocks.push("p", T0_NS, (0,), ramp(0, 5)) == 0
    assert blocks.push("p", T0_NS + 5 * MS, (0,), ramp(5, 5)) == 1
    batch = blocks.take()
    assert batch.values[0, :, 0].tolist() == list(range(8))
    assert batch.times_ns == [T0_NS + 7 * MS]
    assert blocks.due == 0


def test_block_longer_than_a_window_completes_several() -> None:
    blocks = make(hop=4)
    assert blocks.push("p", T0_NS, (0,), ramp(0, 20)) == 4
    batch = blocks.take()
    assert batch.values[:, 0, 0].tolist() == [0, 4, 8, 12]
    assert batch.times_ns == [T0_NS + (7 + 4 * n) * MS for n in range(4)]


def test_batch_belongs_to_the_caller() -> None:
    blocks = make(hop=1)
    blocks.push("p", T0_NS, (0,), ramp(0, 9))
    batch = blocks.take()
    batch.values[0] = 99
    assert batch.values[1, :, 0].tolist() == list(range(1, 9))


def test_what_is_taken_at_a_time_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "MAX_BATCH_VALUES", 24)
    blocks = make(hop=1)
    blocks.push("p", T0_NS, (0,), ramp(0, 12))
    blocks.push("q", T0_NS, (0,), ramp(0, 9))
    sizes, starts = [], []
    while blocks.due:
        batch = blocks.take()
        sizes.append(len(batch.assets))
        starts += list(zip(batch.assets, batch.values[:, 0, 0].tolist(), strict=True))
    assert sizes == [3, 3, 1]
    assert starts == [("p", n) for n in range(5)] + [("q", n) for n in range(2)]


@pytest.mark.parametrize("jitter_ms", [-4, -1, 0, 3])
def test_clock_that_jitters_by_less_than_half_a_block_loses_nothing(jitter_ms: int) -> None:
    blocks = make(max_gap_ms=6)
    blocks.push("p", T0_NS, (0,), ramp(0, 10))
    blocks.push("p", T0_NS + (10 + jitter_ms) * MS, (0,), ramp(10, 10))
    batch = blocks.take()
    assert batch.values[:, 0, 0].tolist() == [0, 8]
    assert blocks.restarts == 0


def test_times_of_windows_never_go_back() -> None:
    blocks = make(hop=1)
    blocks.push("p", T0_NS, (0,), ramp(0, 10))
    blocks.push("p", T0_NS + 6 * MS, (0,), ramp(10, 10))
    times_ms = [(time_ns - T0_NS) // MS for time_ns in blocks.take().times_ns]
    assert times_ms == [7, 8, 9, 9, 9, 9, 9, 10, 11, 12, 13, 14, 15]


def test_fast_clock_is_followed_for_ever() -> None:
    blocks = make()
    for number in range(1000):
        blocks.push("p", T0_NS + number * 9 * MS, (0,), ramp(0, 10))
    assert blocks.take().times_ns[-1] == T0_NS + (999 * 9 + 9) * MS


def test_block_that_comes_again_is_a_duplicate() -> None:
    blocks = make()
    blocks.push("p", T0_NS, (0,), ramp(0, 10))
    assert refusal(blocks, T0_NS, ramp(0, 10)) == "duplicate"


@pytest.mark.parametrize("start_ms", [-10, -1, 1, 4])
def test_block_that_overlaps_by_more_than_half_is_late(start_ms: int) -> None:
    blocks = make()
    blocks.push("p", T0_NS, (0,), ramp(0, 10))
    assert refusal(blocks, T0_NS + start_ms * MS, ramp(0, 10)) == "late"


def test_blocks_timed_by_arrival_are_never_late_and_end_then() -> None:
    blocks = make()
    for number in range(3):
        blocks.push("p", T0_NS + number, (0,), ramp(8 * number, 8), arrived=True)
    batch = blocks.take()
    assert batch.times_ns == [T0_NS, T0_NS + 1, T0_NS + 2]
    assert batch.values[:, 0, 0].tolist() == [0, 8, 16]


def test_pause_longer_than_allowed_begins_the_window_anew() -> None:
    blocks = make(max_gap_ms=6)
    blocks.push("p", T0_NS, (0,), ramp(0, 5))
    assert blocks.push("p", T0_NS + 11 * MS, (0,), ramp(5, 5)) == 0
    assert blocks.push("p", T0_NS + 16 * MS, (0,), ramp(10, 5)) == 1
    assert blocks.take().values[0, :, 0].tolist() == list(range(5, 13))
    assert blocks.restarts == 1


@pytest.mark.parametrize("count", [0, MAX_HOPS * 8 + 1])
def test_block_that_is_empty_or_too_long_is_refused(count: int) -> None:
    assert refusal(make(), T0_NS, ramp(0, count)) == "block_length"


def test_longest_block_is_taken() -> None:
    assert make().push("p", T0_NS, (0,), ramp(0, MAX_HOPS * 8)) == MAX_HOPS


def test_axes_are_awaited_and_joined() -> None:
    blocks = make(3)
    assert blocks.awaited("p") == []
    blocks.push("p", T0_NS, (2,), ramp(200, 8))
    assert blocks.awaited("p") == ["c0", "c1"]
    blocks.push("p", T0_NS + 3 * MS, (0,), ramp(0, 8))
    assert blocks.push("p", T0_NS, (1,), ramp(100, 8)) == 1
    assert blocks.awaited("p") == []
    batch = blocks.take()
    assert batch.values[0, 0].tolist() == [0, 100, 200]
    assert batch.times_ns == [T0_NS + 10 * MS]
    assert batch.qualities == [GOOD]


def test_axis_of_another_length_is_refused_and_then_missing() -> None:
    blocks = make(2)
    blocks.push("p", T0_NS, (0,), ramp(0, 8))
    assert refusal(blocks, T0_NS, ramp(0, 7), 1) == "block_length"
    assert blocks.push("p", T0_NS + 8 * MS, (0,), ramp(8, 8)) == 1
    batch = blocks.take()
    assert np.isnan(batch.values[0, :, 1]).all()
    assert batch.qualities == [UNCERTAIN]
    assert blocks.missing == {"c1": 8}


def test_axis_that_is_lost_delays_a_window_and_mixes_no_times() -> None:
    blocks = make(2)
    blocks.push("p", T0_NS, (0,), ramp(0, 8))
    assert blocks.push("p", T0_NS + 8 * MS, (1,), ramp(108, 8)) == 1
    assert blocks.push("p", T0_NS + 8 * MS, (0,), ramp(8, 8)) == 1
    batch = blocks.take()
    assert batch.qualities == [UNCERTAIN, GOOD]
    assert batch.values[1, 0].tolist() == [8, 108]


def test_axis_that_comes_again_is_a_duplicate_and_late_after_its_round() -> None:
    blocks = make(2)
    blocks.push("p", T0_NS, (0,), ramp(0, 8))
    assert refusal(blocks, T0_NS, ramp(0, 8)) == "duplicate"
    assert blocks.awaited("p") == ["c1"]
    blocks.push("p", T0_NS + 8 * MS, (0,), ramp(8, 8))
    assert refusal(blocks, T0_NS, ramp(100, 8), 1) == "late"


def test_least_recent_asset_is_forgotten() -> None:
    blocks = make(max_assets=2)
    for number, asset in enumerate(["p", "q", "p", "r"]):
        blocks.push(asset, T0_NS + number * 3 * MS, (0,), ramp(0, 3))
    assert (len(blocks), blocks.forgotten) == (2, 1)
    assert blocks.push("p", T0_NS + 12 * MS, (0,), ramp(3, 3)) == 1
    assert blocks.push("q", T0_NS + 12 * MS, (0,), ramp(3, 5)) == 0


def test_only_what_the_next_window_needs_is_kept() -> None:
    blocks = make(length=8, hop=100)
    for number in range(50):
        blocks.push("p", T0_NS + number * 10 * MS, (0,), ramp(number * 10, 10))
        assert len(blocks._assets["p"].series.samples) <= 4 * 8  # noqa: SLF001 - the bound itself
    assert blocks.take().values[:, 0, 0].tolist() == [0, 100, 200, 300, 400]


def test_blocks_without_a_sample_period_are_no_series() -> None:
    with pytest.raises(ValueError, match="sample_period_ms"):
        make(sample_period_ms=None)
