"""What the report draws: the split by columns, lines made short, and which signals matter."""

from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.bundle.manifest import Metrics
from tests.kit.bundles.factories import make_manifest
from tests.kit.recordings import recipe, recorded
from tests.kit.wording import names
from trainer.dataset.splits import Parts, split
from trainer.dataset.targets import truth
from trainer.estimators.fitting import fit
from trainer.evaluation.metrics import measure
from trainer.graph.export import Latency, Parity
from trainer.ingest.recording import Recording
from trainer.recipe.document import Recipe
from trainer.report.canvas import bands, thinned
from trainer.report.importance import MAX_WINDOWS, REPEATS, SCORE_CHANGE, importance
from trainer.report.lanes import BOTH, COLUMNS, MAX_LANES, NEITHER, TEST, TRAIN, Lanes, lanes
from trainer.report.reported import Reported
from trainer.report.sections.tables import contract
from trainer.report.trained import Trained

NUMBER = {"task": "regression", "column": "label"}
UNLABELLED = {"task": "anomaly"}


def parted(recording: Recording, made: Recipe) -> Parts:
    return split(recording, truth(recording, made), made, made.window.spec(1000))


def laid(recording: Recording, made: Recipe) -> Lanes:
    return lanes(recording, parted(recording, made), made.window.spec(1000))


def of_pressure(rows: int, asset: NDArray[np.int64] | None = None) -> Recording:
    """The label is the pressure; the flow has nothing to do with it."""
    values = np.random.default_rng(0).normal(size=(rows, 2))
    return recorded(values, asset=asset, labels=10 * values[:, 0])


def test_split_in_time_has_the_training_part_first_then_the_gap_then_the_test_part(
    tmp_path: Path,
) -> None:
    made = recipe(
        tmp_path, target=NUMBER, split={"method": "time", "test": 0.5, "gap_s": COLUMNS // 4}
    )
    found = laid(of_pressure(COLUMNS), made)
    assert not found.is_relative
    (lane,) = found.lanes
    assert [(state, length) for state, _, length in lane.runs()] == [
        (TRAIN, COLUMNS // 2),
        (NEITHER, COLUMNS // 4),
        (TEST, COLUMNS // 4),
    ]
    assert found.counts == {BOTH: 1}


def test_windows_at_random_are_drawn_as_mixed(tmp_path: Path) -> None:
    made = recipe(tmp_path, target=NUMBER, split={"method": "random-optimistic", "test": 0.5})
    (lane,) = laid(of_pressure(40 * COLUMNS), made).lanes
    assert [state for state, _, length in lane.runs() if length > 2] == [BOTH]


def test_a_pause_in_the_recording_is_blank(tmp_path: Path) -> None:
    made = recipe(
        tmp_path,
        window={"length": 4, "max_gap_s": 5},
        target=NUMBER,
        split={"method": "time", "train_rows": 100},
    )
    recording = of_pressure(400)
    later = np.where(np.arange(400) >= 200, 400 * 10**9, 0)
    (lane,) = laid(replace(recording, times_ns=recording.times_ns + later), made).lanes
    (_, train_ends), (_, pause) = (
        (state, first + length) for state, first, length in list(lane.runs())[:2]
    )
    assert train_ends == pytest.approx(COLUMNS / 8, abs=1)
    assert pause == pytest.approx(COLUMNS / 4, abs=1)
    assert [state for state, _, length in lane.runs() if length > 2] == [TRAIN, TEST, TEST]


def test_many_assets_are_drawn_evenly_in_natural_order_and_counted_all(tmp_path: Path) -> None:
    made = recipe(
        tmp_path,
        data={"asset_column": "pump"},
        target=NUMBER,
        split={"method": "group", "test": 0.25},
    )
    found = laid(of_pressure(2000, np.arange(2000) % 100), made)
    assert len(found.lanes) == MAX_LANES
    numbers = [int(lane.name[1:]) for lane in found.lanes]
    assert numbers == sorted(numbers)
    assert (numbers[0], numbers[-1]) == (0, 99)
    assert found.counts == {TRAIN: 75, TEST: 25}


def test_runs_that_are_far_apart_are_drawn_from_their_own_beginnings(tmp_path: Path) -> None:
    made = recipe(
        tmp_path,
        data={"asset_column": "pump"},
        target=NUMBER,
        split={"method": "group", "test": 0.25},
    )
    recording = of_pressure(800, np.arange(800) % 8)
    days = recording.asset * 86_400 * 10**9
    order = np.argsort(recording.times_ns + days, kind="stable")
    apart = replace(recording, times_ns=recording.times_ns + days).take(order)
    found = laid(apart, made)
    assert found.is_relative
    assert (found.start, found.end) == (0, 100 * 10**9)
    assert all(len(list(lane.runs())) == 1 for lane in found.lanes)


@given(
    st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=400),
    st.integers(1, 50),
)
def test_a_line_made_short_keeps_its_ends_in_height_and_its_order(
    heights: list[float], columns: int
) -> None:
    y = np.array(heights)
    kept = thinned(np.arange(len(y)), y, columns)
    assert (np.diff(kept) > 0).all()
    assert len(kept) <= max(2 * columns, 1)
    assert (y[kept].min(), y[kept].max()) == (y.min(), y.max())


@given(
    st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=400),
    st.integers(1, 50),
)
def test_bands_hold_the_line(heights: list[float], columns: int) -> None:
    y = np.array(heights)
    found = bands(np.arange(len(y)), y, columns)
    assert len(found.x) <= columns
    assert (found.low.min(), found.high.max()) == (y.min(), y.max())
    assert (found.low <= found.mean + 1e-6).all()
    assert (found.mean <= found.high + 1e-6).all()


def subject(folder: Path, rows: int, *, reproducible: bool = True, **sections: object) -> Reported:
    """A model of the pressure, fitted; what packing adds to it is made up where nobody asks."""
    made = recipe(folder, **{"target": NUMBER, **sections})
    recording = of_pressure(rows)
    known, parts = truth(recording, made), parted(recording, made)
    model = fit(parts.train, known, made)
    answers = model.answer(parts.test.values)
    trained = Trained(
        recording=recording,
        truth=known,
        recipe=made,
        parts=parts,
        seq=1,
        spec=made.window.spec(1000),
        model=model,
        notes=(),
        findings=(),
        parity=Parity(len(parts.test), {"value": 0.0}, 0),
        latency=Latency(0.1, 0.2),
        memory_bytes=30_000_000,
        leaderboard=None,
        comparison=None,
    )
    values = measure(model, answers, known.y[parts.test.rows], labelled=known.labelled)
    metrics = Metrics(split="time", test_rows=len(parts.test), values=values)
    manifest = make_manifest(
        task=model.task, channels=made.channels, outputs=model.outputs, metrics=metrics
    )
    return Reported(manifest, trained, reproducible=reproducible)


def test_signal_that_decides_matters_and_the_other_does_not(tmp_path: Path) -> None:
    found = importance(subject(tmp_path, 800))
    assert found is not None
    assert (found.metric, found.signals) == ("rmse", ("pressure", "flow"))
    pressure, flow = found.losses.mean(axis=0)
    assert pressure > 10
    assert abs(flow) < 0.5
    assert found.losses.shape == (REPEATS, 2)
    assert not found.cut_short


def test_signal_that_is_only_watched_is_named_and_matters_nothing(tmp_path: Path) -> None:
    one = subject(tmp_path, 400, features={"signals": ["pressure"]})
    assert names(contract(one), "pressure")
    assert "The model sees" not in contract(subject(tmp_path / "all", 400))
    found = importance(one)
    assert found is not None
    np.testing.assert_array_equal(found.losses[:, 1], 0)


def test_importance_leaves_the_windows_as_they_were_and_comes_out_the_same(tmp_path: Path) -> None:
    one = subject(tmp_path, 400)
    before = one.trained.parts.test.values.copy()
    first, second = importance(one), importance(one)
    assert first is not None
    assert second is not None
    np.testing.assert_array_equal(first.losses, second.losses)
    np.testing.assert_array_equal(one.trained.parts.test.values, before)


def test_importance_draws_no_more_windows_than_allowed(tmp_path: Path) -> None:
    found = importance(subject(tmp_path, 3 * MAX_WINDOWS, split={"method": "time", "test": 0.9}))
    assert found is not None
    assert found.windows == MAX_WINDOWS


def test_importance_ends_when_time_is_over_unless_bytes_are_to_be_equal(tmp_path: Path) -> None:
    def hurried() -> float:
        return next(hours) * 3600.0

    hours = count()
    found = importance(subject(tmp_path / "a", 400, reproducible=False), hurried)
    assert found is not None
    assert (found.losses.shape, found.left_out, found.cut_short) == ((1, 1), 1, True)
    steady = importance(subject(tmp_path / "b", 400), hurried)
    assert steady is not None
    assert (len(steady.losses), steady.cut_short) == (REPEATS, False)


def test_importance_without_labels_is_how_far_the_score_moves(tmp_path: Path) -> None:
    found = importance(subject(tmp_path, 400, target=UNLABELLED))
    assert found is not None
    assert found.metric == SCORE_CHANGE
    assert (found.losses > 0).all()
