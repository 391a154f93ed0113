"""Training with the trigger `period`: the truth of a sample is that of the moment it stands for."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.kit.recordings import recipe
from tests.kit.wording import naming
from trainer.dataset import windows as windowed
from trainer.dataset.targets import truth
from trainer.dataset.windows import window_rows
from trainer.errors import DataError, RecipeError
from trainer.ingest.recording import Recording
from trainer.recipe.document import Recipe

NS_PER_S = 10**9


def grid_recipe(folder: Path, **parts: Any) -> Recipe:  # noqa: ANN401  any TOML
    window = {"length": 1, "period_s": 1.0, "max_gap_s": 10.0, "trigger": "period"}
    return recipe(folder, **(parts | {"window": window | parts.get("window", {})}))


def recorded(times_s: list[float], labels: list[str] | None = None) -> Recording:
    """Rows of one asset, whose values are their times."""
    count = len(times_s)
    return Recording(
        channels=("pressure", "flow"),
        assets=("p0",),
        asset=np.zeros(count, dtype=np.int64),
        times_ns=np.array([round(at * NS_PER_S) for at in times_s], dtype=np.int64),
        timed=True,
        values=np.column_stack([times_s, times_s]).astype(np.float64),
        files=("a.csv",),
        file=np.zeros(count, dtype=np.int64),
        line=np.arange(count) + 2,
        texts={} if labels is None else {"label": np.array(labels, dtype=object)},
    )


def test_a_sample_has_the_truth_of_the_last_row_up_to_its_point(tmp_path: Path) -> None:
    made = grid_recipe(tmp_path)
    recording = recorded([0.2, 0.9, 1.0, 1.5, 4.5, 30.0, 31.5])
    trained = window_rows(
        recording, np.arange(len(recording)), made.window.spec(None), made.channels
    )
    # Points 1, 2, 3, 4, then 5, which ends what came before the pause, and 30 and 31 after it.
    assert trained.rows.tolist() == [2, 3, 3, 3, 4, 5, 5]
    held = np.array([1.0, 1.5, np.nan, np.nan, 4.5, 30.0, np.nan], dtype=np.float32)
    np.testing.assert_array_equal(trained.values[:, 0, 0], held)
    assert trained.restarts == 1


def test_a_detector_learns_from_no_window_that_can_see_an_abnormal_row(tmp_path: Path) -> None:
    signals = [{"name": "pressure", "max_age_s": 2.0}, {"name": "flow"}]
    target = {"task": "anomaly", "column": "label", "normal": 0}
    made = grid_recipe(tmp_path, signals=signals, target=target, window={"length": 3})
    times = [index * 0.5 for index in range(40)]
    labels = ["1" if at == 5.0 else "0" for at in times]
    recording = recorded(times, labels)
    usable = dict(zip(times, truth(recording, made).usable.tolist(), strict=True))
    # Three samples a second apart, the first of which may hold what is two seconds old.
    assert [at for at in times if not usable[at]] == [at for at in times if 5.0 <= at <= 10.0]


def test_rows_far_apart_are_counted_as_the_many_samples_they_make(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = grid_recipe(tmp_path)
    recording = recorded([10.0 * index for index in range(10)])
    rows, spec = np.arange(10), made.window.spec(None)
    samples = len(window_rows(recording, rows, spec, made.channels))
    assert samples == 90
    monkeypatch.setattr(windowed, "MAX_BYTES", samples * 2 * 4 - 1)
    with pytest.raises(DataError, match=r"window\.hop to 2"):
        window_rows(recording, rows, spec, made.channels)
    apart = replace(recording, times_ns=recording.times_ns * 2)
    assert len(window_rows(apart, rows, spec, made.channels)) == 9


def test_a_grid_of_too_many_points_is_refused_before_it_takes_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = grid_recipe(tmp_path, window={"hop": 50})
    recording, spec = recorded([10.0 * index for index in range(10)]), made.window.spec(None)
    monkeypatch.setattr(windowed, "MAX_POINTS", 89)
    with pytest.raises(DataError, match=naming("90 samples", "1000 ms", "window.period_s")):
        window_rows(recording, np.arange(10), spec, made.channels)


@pytest.mark.parametrize(
    ("window", "said"),
    [
        ({"period_s": None}, "period_s and max_gap_s"),
        ({"max_gap_s": None}, "period_s and max_gap_s"),
        ({"max_gap_s": 0.5}, "max_gap_s .* 0.5 and 1"),
        ({"max_gap_s": 1001.0}, "max_gap_s .* 1001 and 1"),
        ({"max_gap_s": 1000.0, "length": 2000}, "hop"),
    ],
)
def test_a_grid_that_is_not_bounded_is_refused(
    tmp_path: Path, window: dict[str, Any], said: str
) -> None:
    with pytest.raises(RecipeError, match=said):
        grid_recipe(tmp_path, window=window)


def test_a_grid_needs_a_time_axis(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=naming("window.trigger", "'period'", "data.time")):
        grid_recipe(tmp_path, data={"time": None}, split={"method": "random"})
