"""Windows that the trainer cuts all at once are those that the gateway cuts row by row."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmarks.windowing import SHAPES, Shape, recorded
from models.bundle.manifest import Channel, WindowSpec
from models.windowing.asset_state import NEVER
from trainer.dataset.message_windows import replay
from trainer.dataset.windows import Windowed, window_rows
from trainer.ingest.recording import Recording

NAN, INF = float("nan"), float("inf")
T0_MS = 1_700_000_000_000
LARGEST = float(np.finfo(np.float32).max)

channels = st.lists(
    st.builds(
        Channel,
        name=st.just("c"),
        valid_range=st.sampled_from([None, (-5.0, 5.0), (0.1, 0.7)]),
        missing=st.sampled_from(["impute", "require"]),
        max_age_ms=st.sampled_from([None, 0, 1, 3, 7, 10**18]),
        offset=st.sampled_from([0.0, 0.0, 2.5, -1e9]),
    ),
    min_size=1,
    max_size=3,
).map(lambda found: tuple(c.model_copy(update={"name": f"c{n}"}) for n, c in enumerate(found)))
shapes = {"length": st.integers(1, 4), "hop": st.integers(1, 5)}
specs = st.builds(
    WindowSpec,
    trigger=st.sampled_from(["all_fresh", "every_reading"]),
    max_gap_ms=st.sampled_from([None, 1, 4, 10**18]),
    **shapes,
) | st.builds(
    WindowSpec,
    trigger=st.just("period"),
    sample_period_ms=st.sampled_from([1, 1.5, 2, 0.3, 4]),
    max_gap_ms=st.sampled_from([4, 5, 9]),
    **shapes,
)
# Few values, so that rows repeat others; the last are at the very edges of what a channel takes.
ordinary = [0.0, -0.0, 1.0, 2.5, NAN, NAN, 5.0, -5.0, 0.1, 0.7]
edges = [5.000001, 1e-45, INF, -INF, LARGEST, LARGEST * 1.0000001, -1e300]
rounded = [float(np.float32(0.1)), float(np.float32(0.7))]  # one without the range, one within
values = st.sampled_from([*ordinary, *edges, *rounded])
steps_ms = st.sampled_from([0, 0, 1, 1, 1, 2, 3, 4, 5, 9, 30, -1, -1, -2, -5, -30, 0.5, 0.000001])
rows = st.lists(
    st.tuples(
        st.integers(0, 2), steps_ms, st.lists(values, min_size=3, max_size=3), st.integers(0, 19)
    ),
    max_size=50,
)
Drawn = list[tuple[int, float, list[float], int]]
# What a row's chance makes of it: what the asset's last row was, or one before that; a row of no
# known time (as databases write it, and just before the first that counts); one without a value.
REPEATED = (1, 1, 2, 3)
UNKNOWN_NS = {4: -6_847_804_800 * 10**9, 5: NEVER - 1}
SILENT = 6


def recording(drawn: Drawn, width: int, first_ms: int) -> Recording:
    """Rows of three assets at random distances; some repeat, some have no time."""
    count = len(drawn)
    values = np.array([row[2] for row in drawn], dtype=np.float64).reshape(count, 3)[:, :width]
    steps_ns = [round(row[1] * 1_000_000) for row in drawn]
    times_ns = np.cumsum(steps_ns, dtype=np.int64) + first_ms * 1_000_000
    seen: list[list[int]] = [[], [], []]
    for row, (asset, _, _, chance) in enumerate(drawn):
        earlier = seen[asset]
        if chance < len(REPEATED) and len(earlier) >= REPEATED[chance]:
            repeated = earlier[-REPEATED[chance]]
            values[row], times_ns[row] = values[repeated], times_ns[repeated]
        elif chance in UNKNOWN_NS:
            times_ns[row] = UNKNOWN_NS[chance]
        elif chance == SILENT:
            values[row] = NAN
        earlier.append(row)
    return Recording(
        channels=tuple(f"c{index}" for index in range(width)),
        assets=("p0", "p1", "p2"),
        asset=np.array([row[0] for row in drawn], dtype=np.int64),
        times_ns=times_ns,
        timed=True,
        values=values,
        files=("recorded.csv",),
        file=np.zeros(count, dtype=np.int64),
        line=np.arange(count),
    )


def assert_same(
    recording: Recording, rows: NDArray[np.int64], spec: WindowSpec, channels: tuple[Channel, ...]
) -> Windowed:
    at_once = window_rows(recording, rows, spec, channels)
    singly = replay(recording, rows, spec, channels, int)
    assert at_once.values.dtype == np.float32
    assert at_once.values.shape == (len(at_once), spec.length, len(channels))
    np.testing.assert_array_equal(at_once.values, singly.values)
    np.testing.assert_array_equal(np.signbit(at_once.values), np.signbit(singly.values))
    np.testing.assert_array_equal(at_once.rows, singly.rows)
    np.testing.assert_array_equal(at_once.asset, recording.asset[singly.rows])
    assert at_once.bad == singly.bad
    assert at_once.samples == len(rows) - sum(singly.dropped.values())
    assert at_once.restarts == singly.restarts
    assert dict(at_once.dropped) == dict(singly.dropped)
    assert dict(at_once.missing) == dict(singly.missing)
    return at_once


def repeated_after(first_step_ms: int) -> Drawn:
    """A value, then a missing one, then the value again for the same time."""
    return [(0, first_step_ms, [1.0] * 3, 9), (0, 1, [NAN] * 3, 9), (0, 1, [0.0] * 3, 2)]


GRID = WindowSpec(length=1, sample_period_ms=4, max_gap_ms=4, trigger="period")
ONE_CHANNEL = (Channel(name="c0"),)


@settings(max_examples=400, deadline=None)
# Told from a late row, as the last point of the grid lies before it; and not, as it lies there.
@example(repeated_after(1), GRID, ONE_CHANNEL, T0_MS, set())
@example(repeated_after(4), GRID, ONE_CHANNEL, T0_MS, set())
@given(
    drawn=rows,
    spec=specs,
    channels=channels,
    first_ms=st.sampled_from([T0_MS, 0, -7]),
    left_out=st.sets(st.integers(0, 49), max_size=10),
)
def test_windows_made_at_once_are_those_made_row_by_row(
    drawn: Drawn,
    spec: WindowSpec,
    channels: tuple[Channel, ...],
    first_ms: int,
    left_out: set[int],
) -> None:
    made = recording(drawn, len(channels), first_ms)
    chosen = np.array([row for row in range(len(made)) if row not in left_out], dtype=np.int64)
    assert_same(made, chosen, spec, channels)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_recording_that_is_measured_becomes_the_same_windows_either_way(shape: Shape) -> None:
    shape = replace(shape, assets=min(shape.assets, 50))
    made = recorded(shape, 2000)
    at_once = assert_same(made, np.arange(2000), shape.spec, shape.channels)
    # Otherwise the benchmark would measure how fast nothing is made.
    assert len(at_once) > 100
    assert set(at_once.dropped) == ({"late", "duplicate"} if shape.spoilt else set())


@given(hop=st.integers(1, 4), taken=st.lists(st.integers(0, 7)))
def test_windows_that_are_taken_are_those_that_were_there(hop: int, taken: list[int]) -> None:
    shape = Shape("one asset", spec=WindowSpec(length=3, hop=hop))
    whole = window_rows(recorded(shape, 35), np.arange(35), shape.spec, shape.channels)
    chosen = np.array(taken, dtype=np.int64)
    part = whole.take(chosen)
    np.testing.assert_array_equal(part.values, whole.values[chosen])
    np.testing.assert_array_equal(part.rows, whole.rows[chosen])


def test_windows_of_one_asset_take_no_memory_of_their_own() -> None:
    shape = Shape("one asset")
    whole = window_rows(recorded(shape, 500), np.arange(500), shape.spec, shape.channels)
    first_half = whole.take(np.arange(len(whole)) < len(whole) // 2)
    assert np.shares_memory(whole.values, first_half.values)
