"""The contest that decides on the default: what it takes, what yields, and what it says."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.made_up.soft_sensor import measured, plant
from tests.kit.recordings import pump_folder, write_csv, write_recipe
from trainer.commands.train import Outcome, train
from trainer.console import Console
from trainer.recipe.document import read_recipe
from trainer.search.contest import choose
from trainer.search.leaderboard import Leaderboard

pytestmark = pytest.mark.usefixtures("without_pictures")

ROWS = 600
Truth = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def delayed(x: NDArray[np.float64]) -> NDArray[np.float64]:
    found = 3.0 * np.roll(x[:, 0], 3) - np.roll(x[:, 1], 5)
    return np.asarray(found, dtype=np.float64)


def stepwise(x: NDArray[np.float64]) -> NDArray[np.float64]:
    found = 5.0 * ((x[:, 0] > 0.3) ^ (x[:, 1] > -0.2))
    return np.asarray(found, dtype=np.float64)


def late_steps(x: NDArray[np.float64]) -> NDArray[np.float64]:
    found = 5.0 * ((np.roll(x[:, 0], 3) > 0.3) ^ (np.roll(x[:, 1], 5) > -0.2))
    return np.asarray(found, dtype=np.float64)


def unrelated(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.zeros(len(x))


def folder_of(folder: Path, of: Truth, **sections: object) -> Path:
    """Rows of two signals, and a number that follows from them but for a little noise."""
    drawn = np.random.default_rng(3)
    x = drawn.normal(size=(ROWS, 2))
    y = of(x) + drawn.normal(scale=0.2, size=ROWS)
    stamps = np.datetime64("2025-03-01T00:00:00") + np.arange(ROWS).astype("timedelta64[s]")
    lines = [(f"{t}Z", *row, label) for t, row, label in zip(stamps, x, y, strict=True)]
    write_csv(folder / "pump.csv", ["time", "pressure", "flow", "label"], lines)
    given = {"target": {"task": "regression", "column": "label"}, "window": {"length": 8}}
    return write_recipe(folder, **{**given, **sections})


def trained(path: Path) -> Outcome:
    return train(read_recipe(path), path.parent / "out", console=Console())


def board(outcome: Outcome) -> Leaderboard:
    found = outcome.trained.leaderboard
    assert found is not None
    return found


def test_truth_with_dead_time_is_found_by_a_line_on_lags(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    one, two = (trained(folder_of(tmp_path / name, delayed)) for name in ("a", "b"))
    best = board(one).entries[0]
    assert (best.family, best.features) == ("trimmed ridge", "lags")
    assert one.bundle.manifest.metrics.values["rmse"] < 0.25
    assert {entry.family for entry in board(one).entries} == {
        "line",
        "trimmed ridge",
        "pls",
        "ridge",
        "boosting",
    }
    assert one.bundle.content == two.bundle.content


def test_stepwise_truth_is_found_by_boosting(tmp_path: Path) -> None:
    outcome = trained(folder_of(tmp_path, stepwise))
    assert board(outcome).entries[0].family == "boosting"
    assert any(said.startswith("default: boosting on") for said in outcome.trained.notes)


def test_steps_with_dead_time_are_found_by_boosting_on_lags(tmp_path: Path) -> None:
    """Means over a window blur which of its samples matters, and a line sees no steps."""
    outcome = trained(folder_of(tmp_path, late_steps))
    best = board(outcome).entries[0]
    assert (best.family, best.features) == ("boosting", "lags")
    assert outcome.bundle.manifest.metrics.values["rmse"] < 1
    (plain,) = (one for one in board(outcome).entries if one.features == "plain")
    assert plain.mean > 1.5


def test_target_that_follows_from_nothing_is_told(tmp_path: Path) -> None:
    outcome = trained(folder_of(tmp_path, unrelated))
    assert board(outcome).entries[0].family == "line"
    assert any("simplest" in said for said in outcome.trained.notes) or any(
        "nothing to learn" in said for said in outcome.trained.notes
    )
    assert outcome.bundle.manifest.metrics.values["rmse"] < 0.22


def test_features_of_the_recipe_are_kept(tmp_path: Path) -> None:
    outcome = trained(folder_of(tmp_path, delayed, features={"kinds": ["last", "mean"]}))
    assert {entry.features for entry in board(outcome).entries} == {"given"}
    described = outcome.trained.model.pipeline[0]
    assert described.kinds == ("last", "mean")


def test_classes_have_a_contest_of_line_and_boosting(tmp_path: Path) -> None:
    outcome = trained(pump_folder(tmp_path, 600))
    assert {entry.family for entry in board(outcome).entries} == {"line", "boosting"}
    assert board(outcome).metric == "macro_f1"
    assert "optuna" not in outcome.bundle.manifest.lineage.packages


def test_detector_has_no_contest(tmp_path: Path) -> None:
    outcome = trained(pump_folder(tmp_path, 600, target={"task": "anomaly", "column": "label"}))
    assert outcome.trained.leaderboard is None


@pytest.mark.parametrize(
    ("losses", "taken"),
    [
        ([[3, 3, 3], [1, 1, 1]], (1, 1)),
        ([[1, 1, 1], [1, 1, 1]], (0, 0)),
        ([[2, 5, 2], [1, 6, 1]], (0, 1)),
        # Folds differ by far more than the candidates, which differ alike on each.
        ([[11, 101, 51], [10, 100, 50]], (1, 1)),
        ([[9, 9, 9], [2, 5, 2], [1, 6, 1]], (1, 2)),
    ],
    ids=["clearly-worse", "equal", "within-one-error", "paired", "middle-one"],
)
def test_rival_yields_to_a_simpler_one_within_one_standard_error(
    losses: list[list[float]], taken: tuple[int, int]
) -> None:
    assert choose(losses, range(len(losses))) == taken


def test_rival_does_not_yield_to_one_that_is_behind_a_simpler_one() -> None:
    losses = [[1.02, 1.01, 1.01], [1.5, 1.0, 0.9], [1.01, 1.0, 1.0]]
    assert choose(losses, range(3)) == (2, 2)
    assert choose(losses[1:], range(2)) == (0, 1)


def test_rivals_of_one_size_do_not_yield_to_each_other() -> None:
    losses = [[9.0, 9.0, 9.0], [2.0, 5.0, 2.0], [1.0, 6.0, 1.0]]
    assert choose(losses, [0, 1, 1]) == (2, 2)


def test_made_up_soft_sensor_is_learned_nearly_as_by_hand() -> None:
    found = measured(0, rows=1000)
    assert found.ratio < 1.1
    assert found.boosting > 2 * found.default


def test_made_up_plant_goes_on_where_it_has_never_been() -> None:
    inputs = plant(0).inputs
    later = len(inputs) * 3 // 4
    level = np.abs(inputs[later:].mean(axis=0) - inputs[:later].mean(axis=0))
    assert (level > inputs[:later].std(axis=0)).all()
