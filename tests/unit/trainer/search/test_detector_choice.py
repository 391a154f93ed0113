"""The search over detectors: which is taken, by which faults, and what is said."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.kit.pages import Page
from tests.kit.recordings import write_csv, write_recipe
from tests.kit.wording import names
from trainer.__main__ import main
from trainer.commands.train import Outcome, train
from trainer.console import Console
from trainer.errors import DataError, RecipeError
from trainer.recipe.document import read_recipe
from trainer.search.leaderboard import Leaderboard

pytestmark = pytest.mark.usefixtures("without_pictures")

ROWS = 2000
TARGET = {"task": "anomaly", "column": "label"}
BETWEEN, BEYOND = 5.0, 40.0


def fault_rows(first: int = 100) -> NDArray[np.bool_]:
    """Ten rows of a fault in every hundred, from row `first` on."""
    at = np.arange(ROWS)
    return (at % 100 >= 90) & (at >= first)


def folder_of(folder: Path, fault: float, *, first: int = 100, **sections: object) -> Path:
    """A pump with two loads, 0 and 10 on both signals; a fault has both at `fault`."""
    drawn = np.random.default_rng(4)
    faulty = fault_rows(first)
    level = np.where(faulty, fault, 10.0 * (np.arange(ROWS) // 25 % 2))
    x = level[:, None] + drawn.normal(scale=0.3, size=(ROWS, 2))
    stamps = np.datetime64("2025-03-01T00:00:00") + np.arange(ROWS).astype("timedelta64[s]")
    lines = [(f"{t}Z", *row, int(bad)) for t, row, bad in zip(stamps, x, faulty, strict=True)]
    write_csv(folder / "pump.csv", ["time", "pressure", "flow", "label"], lines)
    given = {"target": TARGET, "window": {"length": 1}, "search": {"trials": 10}}
    return write_recipe(folder, **{**given, **sections})


def trained(path: Path) -> Outcome:
    return train(read_recipe(path), path.parent / "out", console=Console())


def board(outcome: Outcome) -> Leaderboard:
    assert outcome.trained.leaderboard is not None
    return outcome.trained.leaderboard


def test_fault_between_two_loads_is_found_by_a_detector_without_one_centre(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder_of(tmp_path, BETWEEN)
    assert main(["train", str(path), "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr()
    assert names(said.out, "share of faults found at 0.01 false alarms", "mahalanobis")
    assert names(said.err, "is taken of 5 detectors", "14 faults")
    outcome = trained(path)
    found = {entry.family: entry.mean for entry in board(outcome).entries}
    best = board(outcome).entries[0].family
    assert best in {"isolation-forest", "one-class-svm"}
    assert found["mahalanobis"] < 0.1
    assert found[best] > 0.9
    assert tuple(outcome.trained.model.pipeline[-1].detectors) == (best,)
    assert outcome.bundle.manifest.metrics.values["recall"] > 0.9
    assert names(Page(outcome.bundle.report).section("Leaderboard").text, best)


def test_simplest_detector_is_taken_where_all_find_the_faults(tmp_path: Path) -> None:
    chosen = ["one-class-svm", "pca", "mahalanobis"]
    outcome = trained(folder_of(tmp_path, BEYOND, search={"trials": 10, "candidates": chosen}))
    assert board(outcome).entries[0].family == "mahalanobis"
    assert board(outcome).tried == 3


def test_detectors_that_the_recipe_has_together_are_one_more_candidate(tmp_path: Path) -> None:
    both = {**TARGET, "detectors": ["mahalanobis", "pca"]}
    search = {"trials": 1, "candidates": ["pca", "one-class-svm"]}
    outcome = trained(folder_of(tmp_path, BEYOND, target=both, search=search))
    assert [entry.family for entry in board(outcome).entries] == ["pca"]
    (never,) = [note for note in outcome.trained.notes if "no turn" in note]
    assert names(never, "one-class-svm", "mahalanobis + pca")


def test_search_without_a_fault_in_the_training_part_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError) as raised:
        trained(folder_of(tmp_path, BEYOND, first=1600))
    assert names(raised.value, "training part", "'label'", "[search]", "target.detectors")


@pytest.mark.parametrize(
    ("sections", "told"),
    [
        ({"target": {"task": "anomaly"}}, ["search", "'anomaly'", "target.column"]),
        ({"search": {"trials": 1, "candidates": ["svm"]}}, ["'svm'", "one-class-svm"]),
        ({"search": {"trials": 1, "metric": "f1"}}, ["search.metric"]),
        ({"search": {"trials": 1, "prefer": "small"}}, ["search.prefer"]),
        (
            {
                "target": {"task": "regression", "column": "label"},
                "search": {"trials": 1, "candidates": ["pca"]},
            },
            ["'pca'", "boosting"],
        ),
    ],
    ids=["no-labels", "family-of-models", "metric", "preference", "detector-for-numbers"],
)
def test_search_that_detectors_cannot_have_is_refused(
    tmp_path: Path, sections: dict[str, object], told: list[str]
) -> None:
    given = {"target": TARGET, "search": {"trials": 1}, **sections}
    with pytest.raises(RecipeError) as raised:
        read_recipe(write_recipe(tmp_path, **given))
    assert names(raised.value, *told)
