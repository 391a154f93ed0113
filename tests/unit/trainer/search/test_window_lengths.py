"""Lengths of windows: which is taken, on what it is compared with others, and what is said."""

from pathlib import Path

import numpy as np
import optuna
import pytest
from numpy.typing import NDArray
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from tests.kit.pages import Page
from tests.kit.recordings import document, write_csv, write_recipe
from tests.kit.wording import names
from trainer.__main__ import main
from trainer.commands.train import Outcome, train
from trainer.console import Console
from trainer.errors import RecipeError
from trainer.recipe.document import Recipe, read_recipe
from trainer.search.leaderboard import TriedLength

pytestmark = pytest.mark.usefixtures("without_pictures")

ROWS = 500
NUMBERS = {"task": "regression", "column": "label"}


def after(dead: int, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """A number that follows the first signal after a dead time."""
    return np.asarray(3.0 * np.roll(x[:, 0], dead), dtype=np.float64)


def folder_of(folder: Path, dead: int, **sections: object) -> Path:
    drawn = np.random.default_rng(5)
    x = drawn.normal(size=(ROWS, 2))
    y = after(dead, x) + drawn.normal(scale=0.3, size=ROWS)
    stamps = np.datetime64("2025-03-01T00:00:00") + np.arange(ROWS).astype("timedelta64[s]")
    lines = [(f"{t}Z", *row, label) for t, row, label in zip(stamps, x, y, strict=True)]
    write_csv(folder / "pump.csv", ["time", "pressure", "flow", "label"], lines)
    return write_recipe(folder, **{"target": NUMBERS, **sections})


def of_lengths(lengths: object) -> dict[str, object]:
    return {"length": None, "lengths": lengths}


def trained(path: Path) -> Outcome:
    return train(read_recipe(path), path.parent / "out", console=Console())


def tried(outcome: Outcome) -> tuple[TriedLength, ...]:
    assert outcome.trained.leaderboard is not None
    return outcome.trained.leaderboard.lengths


def test_shortest_window_that_holds_the_dead_time_is_taken(tmp_path: Path) -> None:
    outcome = trained(folder_of(tmp_path, 12, window=of_lengths([4, 40, 15])))
    assert [(one.length, one.taken) for one in tried(outcome)] == [
        (4, False),
        (15, True),
        (40, False),
    ]
    assert outcome.bundle.manifest.window.length == 15
    assert outcome.bundle.manifest.metrics.values["rmse"] < 0.4
    (said,) = [note for note in outcome.trained.notes if note.startswith("window: ")]
    assert names(said, "(4: ", "; 15: ", "; 40: ", "folds")
    section = Page(outcome.bundle.report).section("Leaderboard")
    assert names(section.text, "Lengths of windows", *(one.said for one in tried(outcome)))


def test_window_of_one_sample_is_enough_where_nothing_lags(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder_of(tmp_path, 0, window=of_lengths("auto"))
    assert main(["train", str(path), "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr()
    assert names(said.out, "lengths of windows", "120")
    assert names(said.err, "length 1 is taken")
    assert "the best of 9 candidates" in said.out


def test_lengths_that_too_few_rows_have_are_not_compared(tmp_path: Path) -> None:
    """Each of the assets has 50 rows."""
    path = folder_of(tmp_path, 0, window=of_lengths("auto"))
    lines = path.with_name("pump.csv").read_text().splitlines()
    numbered = [f"{line},p{at // 50}" for at, line in enumerate(lines[1:])]
    write = "\n".join([f"{lines[0]},asset", *numbered]) + "\n"
    path.with_name("pump.csv").write_text(write)
    sections = {"data": {"asset_column": "asset"}, "split": {"method": "group", "test": 0.25}}
    path = write_recipe(tmp_path, target=NUMBERS, window=of_lengths("auto"), **sections)
    outcome = trained(path)
    assert [one.length for one in tried(outcome)] == [1, 5, 15]
    assert any(names(note, "30, 60, 120", "too few") for note in outcome.trained.notes)


def test_search_tries_windows_of_the_length_that_was_chosen(tmp_path: Path) -> None:
    search = {"trials": 2, "jobs": 1, "candidates": ["linear"]}
    path = folder_of(tmp_path, 12, window=of_lengths([4, 15]), search=search)
    outcome = trained(path)
    assert outcome.bundle.manifest.window.length == 15
    assert outcome.bundle.manifest.metrics.values["rmse"] < 0.4  # by the line on lags, tried second
    assert [one.length for one in tried(outcome)] == [4, 15]
    (journal,) = (tmp_path / "out" / ".search").glob("*.journal")
    storage = JournalStorage(JournalFileBackend(str(journal)))
    kept = optuna.load_study(study_name="search", storage=storage).user_attrs["lengths"]
    assert [row[0] for row in kept] == ["4", "15"]


@pytest.mark.parametrize(
    ("sections", "told"),
    [
        ({"window": {"lengths": [4, 8]}}, "both length and lengths"),
        ({"window": of_lengths([])}, "lengths"),
        ({"window": of_lengths([1, 2, 3, 4, 5, 6, 7])}, "lengths"),
        ({"window": of_lengths([4, 60_000])}, "120000"),
        ({"window": of_lengths([4, 9]), "features": {"kinds": ["lags"], "lags": [7]}}, "7"),
        ({"window": of_lengths([1, 9]), "data": {"time": None}}, "window.length is 9"),
        ({"window": of_lengths([4, 8]), "target": {"task": "anomaly"}}, "window.lengths"),
    ],
    ids=[
        "beside-one-length",
        "none",
        "more-than-six",
        "too-many-values",
        "lag-beyond-the-shortest",
        "no-time",
        "detector",
    ],
)
def test_lengths_that_cannot_be_compared_are_refused(
    tmp_path: Path, sections: dict[str, object], told: str
) -> None:
    with pytest.raises(RecipeError) as raised:
        read_recipe(write_recipe(tmp_path, **sections))
    assert told in str(raised.value)


def test_recipe_of_one_length_has_nothing_to_compare() -> None:
    found = Recipe.model_validate(document())
    assert found.lengths == (4,)
    assert found.of_length(9).window.length == 9
