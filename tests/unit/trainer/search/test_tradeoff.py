"""Quality against bytes and latency: what is measured, what is taken, and what is said of it."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.kernel_ridge import KernelRidge

from tests.kit.recordings import pump_folder, recipe, write_csv, write_recipe
from tests.kit.wording import names
from trainer.__main__ import main
from trainer.commands.train import Outcome, train
from trainer.console import Console
from trainer.dataset.splits import split
from trainer.dataset.targets import truth
from trainer.errors import RecipeError
from trainer.estimators.candidate import Candidate, steps
from trainer.features.window_features import WindowFeatures
from trainer.ingest.recorded_files import load
from trainer.recipe.document import read_recipe
from trainer.recipe.search_section import Search
from trainer.search.journal import FOLDER
from trainer.search.leaderboard import Cost, Entry, Leaderboard
from trainer.search.tradeoff import ROUNDS, in_order, with_costs

pytestmark = pytest.mark.usefixtures("without_pictures")

NUMBERS = {"task": "regression", "column": "label"}
BOTH: dict[str, object] = {"trials": 2, "candidates": ["forest", "linear"]}


def folder_of(folder: Path, search: dict[str, object], rows: int = 500) -> Path:
    """Rows of two signals and a number that jumps with them, which trees see best."""
    drawn = np.random.default_rng(3)
    x = drawn.normal(size=(rows, 2))
    y = 50.0 * ((x[:, 0] > 0.3) ^ (x[:, 1] > -0.2)) + drawn.normal(scale=0.2, size=rows)
    stamps = np.datetime64("2025-03-01T00:00:00") + np.arange(rows).astype("timedelta64[s]")
    lines = [(f"{t}Z", *row, label) for t, row, label in zip(stamps, x, y, strict=True)]
    write_csv(folder / "pump.csv", ["time", "pressure", "flow", "label"], lines)
    return write_recipe(folder, target=NUMBERS, window={"length": 1}, search={"jobs": 1, **search})


def trained(path: Path, out: str = "out", seq: int | None = None) -> Outcome:
    return train(read_recipe(path), path.parent / out, console=Console(), seq=seq)


def leaderboard_of(outcome: Outcome) -> Leaderboard:
    assert outcome.trained.leaderboard is not None
    return outcome.trained.leaderboard


def rule(outcome: Outcome) -> str:
    return next(said for said in outcome.trained.notes if "measured" in said)


def taken(outcome: Outcome) -> str:
    """The family of the bundle's model, as the notes name it."""
    return next(said for said in outcome.trained.notes if "the model is" in said)


def cost_of(entry: Entry) -> Cost:
    assert entry.cost is not None
    return entry.cost


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """A search without a preference, whose journal the others go on with."""
    return trained(folder_of(tmp_path_factory.mktemp("plain"), BOTH))


def searched(plain: Outcome, folder: Path) -> Path:
    """The journal of that search in a folder for bundles: what it has tried is not tried again."""
    (folder / FOLDER).mkdir(parents=True)
    (journal,) = (plain.path.parent / FOLDER).glob("*.journal")
    return Path(shutil.copy(journal, folder / FOLDER))


def test_smaller_model_is_taken_within_the_tolerance_and_not_beyond(
    plain: Outcome, tmp_path: Path
) -> None:
    assert "the model is forest" in taken(plain)
    assert leaderboard_of(plain).entries[0].cost is None
    journal = searched(plain, tmp_path / "out")
    kept = journal.read_bytes()
    small = {**BOTH, "prefer": "small"}
    loose = trained(folder_of(tmp_path, {**small, "tolerance": 100}))
    assert "the model is linear" in taken(loose)
    assert names(rule(loose), "2 of 2", "100", "search.tolerance")
    strict = trained(folder_of(tmp_path, {**small, "tolerance": 1}))
    assert "the model is forest" in taken(strict)
    # What was tried is not tried again for the sake of another preference.
    assert [leaderboard_of(one).tried for one in (plain, loose, strict)] == [2, 2, 2]
    assert journal.read_bytes().startswith(kept)
    assert journal.read_bytes().count(b'"losses"') == kept.count(b'"losses"')
    assert len(list(journal.parent.glob("*.journal"))) == 1


def test_graph_of_the_chosen_one_is_the_one_that_was_measured(tmp_path: Path) -> None:
    search: dict[str, object] = {
        "trials": 3,
        "candidates": ["forest", "extra-trees", "boosting"],
        "prefer": "small",
    }
    outcome = trained(folder_of(tmp_path, {**search, "tolerance": 100}))
    measured = [cost_of(one).size_bytes for one in leaderboard_of(outcome).entries]
    assert measured == sorted(measured)
    # seq is written in it; of a regression nothing else differs.
    assert abs(len(outcome.bundle.model) - measured[0]) < 5


def test_smaller_one_of_the_same_family_is_found(tmp_path: Path) -> None:
    search: dict[str, object] = {
        "trials": 9,
        "candidates": ["forest"],
        "prefer": "small",
        "tolerance": 100,
    }
    leaderboard = leaderboard_of(trained(folder_of(tmp_path, search)))
    first, second = leaderboard.entries
    assert cost_of(first).size_bytes < cost_of(second).size_bytes
    assert first.mean > second.mean
    assert cost_of(first).on_front
    assert cost_of(second).on_front


def test_standard_error_is_the_tolerance_if_none_is_given(plain: Outcome, tmp_path: Path) -> None:
    searched(plain, tmp_path / "out")
    outcome = trained(folder_of(tmp_path, {**BOTH, "prefer": "small"}))
    best = leaderboard_of(outcome).entries[0]
    assert best.family == "forest"
    assert names(rule(outcome), f"{best.error:.3g}", "rmse")


def test_faster_model_is_taken_within_the_tolerance(tmp_path: Path) -> None:
    # 3,000 distances a window against two products.
    search: dict[str, object] = {
        "trials": 2,
        "candidates": ["neighbours", "linear"],
        "tolerance": 100,
    }
    outcome = trained(folder_of(tmp_path, {**search, "prefer": "fast"}, rows=4000))
    assert "the model is linear" in taken(outcome)
    assert names(rule(outcome), f"{ROUNDS} rounds")


def test_best_is_taken_and_costs_are_shown_all_the_same(plain: Outcome, tmp_path: Path) -> None:
    searched(plain, tmp_path / "out")
    outcome = trained(folder_of(tmp_path, {**BOTH, "prefer": "best"}))
    assert [one.family for one in leaderboard_of(outcome).entries] == ["forest", "linear"]
    assert [cost_of(one).on_front for one in leaderboard_of(outcome).entries] == [True, True]
    assert names(rule(outcome), "2 candidates")


def test_smallest_beyond_the_budget_gives_way_to_the_next(plain: Outcome, tmp_path: Path) -> None:
    search = {**BOTH, "prefer": "best"}
    folder_of(tmp_path, search)
    searched(plain, tmp_path / "out")
    sections = {"target": NUMBERS, "window": {"length": 1}, "search": search}
    outcome = trained(write_recipe(tmp_path, **sections, budget={"model_mb": 0.05}))
    assert "the model is linear" in taken(outcome)


def test_costs_are_columns_of_the_board(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    search: dict[str, object] = {
        "trials": 2,
        "candidates": ["linear", "boosting"],
        "prefer": "small",
        "jobs": 1,
    }
    path = pump_folder(tmp_path, 600, search=search)
    assert main(["train", str(path), "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    for column in ("kB", "p50 µs", "p99 µs", "on the front"):
        assert column in said
    rows = [[cell.strip() for cell in line.split("│")] for line in said.splitlines()]
    linear = next(row for row in rows if "linear" in row)
    assert min(map(float, linear[5:8])) > 0
    assert linear[8] == "yes"


def test_preference_for_bytes_gives_the_same_bundle_again(
    plain: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    for name in "ab":
        searched(plain, tmp_path / name)
    path = folder_of(tmp_path, {**BOTH, "prefer": "small", "tolerance": 100})
    one, two = (trained(path, out, seq=1) for out in ("a", "b"))
    assert one.bundle.content == two.bundle.content


def test_what_no_graph_can_be_made_of_is_left_out(tmp_path: Path) -> None:
    folder_of(tmp_path, {"trials": 1})
    made = recipe(
        tmp_path,
        target=NUMBERS,
        window={"length": 1},
        search={"trials": 1, "prefer": "small", "tolerance": 100},
    )
    recording = load(made.data, made.signals, numbers=["label"])
    known = truth(recording, made)
    parts = split(recording, known, made, made.window.spec(1000))
    odd = entry(
        "odd", 1.0, candidate=Candidate(WindowFeatures(), steps(KernelRidge(), scaled=False))
    )
    leaderboard = Leaderboard(metric="rmse", entries=(odd,), tried=1, notes=())
    found = with_costs(leaderboard, parts.train, known, made, Console())
    assert found.entries == ()
    assert names(found.notes[0], "odd", "KernelRidge")


def entry(
    family: str, figure: float, cost: Cost | None = None, candidate: Candidate | None = None
) -> Entry:
    unfitted = Candidate(WindowFeatures(), steps(KernelRidge(), scaled=False))
    return Entry(family, "plain", figure, 0.1, 1.0, candidate or unfitted, cost)


def timed(*rounds_us: float, size_bytes: int = 1) -> Cost:
    return Cost(size_bytes, float(np.median(rounds_us)), 99.0, rounds_us)


FAST = Search(trials=1, prefer="fast", tolerance=0.5)


def test_best_of_those_that_cannot_be_told_from_the_fastest_is_taken() -> None:
    entries = [
        entry("slow", 0.5, timed(9, 9, 9)),
        entry("level", 0.6, timed(5, 3, 5)),
        entry("fastest", 0.7, timed(4, 4, 4)),
        entry("behind", 0.4, timed(8, 8, 8)),
        entry("poor", 2.0, timed(1, 1, 1)),
    ]
    ordered, _ = in_order(entries, "rmse", FAST)
    assert [one.family for one in ordered] == ["level", "fastest", "behind", "slow", "poor"]


def test_figure_that_is_better_when_higher_is_read_so() -> None:
    entries = [entry("best", 0.9, timed(3)), entry("fast", 0.6, timed(2)), entry("poor", 0.3)]
    ordered, said = in_order(entries, "macro_f1", FAST)
    assert [one.family for one in ordered] == ["fast", "best", "poor"]
    assert "2 of 3 measured candidates" in said


def test_single_fold_has_no_standard_error_and_nothing_else_is_as_good() -> None:
    single = replace(entry("best", 0.4, timed(1, size_bytes=9)), error=float("nan"))
    entries = [single, entry("small", 0.41, timed(1, size_bytes=2))]
    ordered, _ = in_order(entries, "rmse", Search(trials=1, prefer="small"))
    assert ordered[0].family == "best"


@pytest.mark.parametrize(
    ("search", "said"),
    [
        ({"prefer": "tiny"}, ["search.prefer", "'tiny'", "'best', 'small' or 'fast'"]),
        ({"prefer": "small", "tolerance": -1}, ["search.tolerance", "-1", "equal to 0"]),
        ({"prefer": "small", "tolerance": "1 %"}, ["search.tolerance", "1 %"]),
        ({"prefer": "best", "tolerance": 0.1}, ["search", "prefer = 'small' or 'fast'"]),
        ({"tolerance": 0.1}, ["search", "prefer = 'small' or 'fast'"]),
        (
            {"prefer": "fast", "tolerance": 1},
            ["search.tolerance: found 1"],
        ),
    ],
)
def test_mistake_names_its_key(tmp_path: Path, search: dict[str, object], said: list[str]) -> None:
    with pytest.raises(RecipeError) as caught:
        read_recipe(write_recipe(tmp_path, search={"trials": 1, **search}))
    assert [word for word in said if word not in str(caught.value)] == []
