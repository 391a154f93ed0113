"""The search: what wins, what is left out, and that it depends on the seed alone."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.kit.recordings import pump_folder, write_csv, write_recipe
from tests.kit.waiting import eventually
from tests.kit.wording import names, naming
from trainer.commands.train import Outcome, train
from trainer.console import Console
from trainer.errors import DataError, ParityError, RecipeError
from trainer.recipe.document import read_recipe
from trainer.recipe.search_section import FamilyName
from trainer.search.journal import FOLDER, Journal

pytestmark = pytest.mark.usefixtures("without_pictures")

ROOT = Path(__file__).parents[4]
NUMBERS = {"task": "regression", "column": "label"}
Truth = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def linear(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return 400.0 + 30.0 * x[:, 0] - 20.0 * x[:, 1]


def stepwise(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return 50.0 * ((x[:, 0] > 0.3) ^ (x[:, 1] > -0.2)) + 20.0 * (x[:, 1] > 1.0)


def folder_of(
    folder: Path,
    of: Truth,
    search: Mapping[str, object],
    *,
    rows: int = 500,
    **sections: object,
) -> Path:
    """Rows of two signals and a number that follows from them but for a little noise.

    One process searches unless the search says otherwise: a second one is a second to start.
    """
    drawn = np.random.default_rng(3)
    x = drawn.normal(size=(rows, 2))
    y = of(x) + drawn.normal(scale=0.2, size=rows)
    stamps = np.datetime64("2025-03-01T00:00:00") + np.arange(rows).astype("timedelta64[s]")
    lines = [(f"{t}Z", *row, label) for t, row, label in zip(stamps, x, y, strict=True)]
    write_csv(folder / "pump.csv", ["time", "pressure", "flow", "label"], lines)
    given = {"target": NUMBERS, "window": {"length": 1}, "search": {"jobs": 1, **search}}
    return write_recipe(folder, **{**given, **sections})


def trained(path: Path, out: str = "out") -> Outcome:
    return train(read_recipe(path), path.parent / out, console=Console())


def ranked(outcome: Outcome) -> list[tuple[str, float]]:
    assert outcome.trained.leaderboard is not None
    return [(entry.family, entry.mean) for entry in outcome.trained.leaderboard.entries]


def test_linear_truth_is_found_by_a_linear_model(tmp_path: Path) -> None:
    outcome = trained(folder_of(tmp_path, linear, {"trials": 7}))
    assert ranked(outcome)[0][0] == "linear"
    assert outcome.bundle.manifest.metrics.values["rmse"] < 0.4
    assert "optuna" in outcome.bundle.manifest.lineage.packages
    assert any("linear" in said for said in outcome.trained.notes)


def test_family_that_never_had_a_turn_is_named(tmp_path: Path) -> None:
    search = {"trials": 2, "candidates": ["linear", "neighbours", "svm", "mlp"]}
    outcome = trained(folder_of(tmp_path, linear, search))
    said = [note for note in outcome.trained.notes if "no candidate of" in note]
    assert len(said) == 1
    assert names(said[0], "svm", "mlp", "trials = 2")
    assert not names(said[0], "neighbours")


def test_stepwise_truth_is_found_by_trees(tmp_path: Path) -> None:
    outcome = trained(folder_of(tmp_path, stepwise, {"trials": 7}))
    families = [family for family, _ in ranked(outcome)]
    assert families[0] in {"boosting", "forest", "extra-trees"}
    assert families[-1] == "linear"


def test_winner_depends_on_the_seed_and_not_on_the_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    search = {"trials": 18, "candidates": ["linear", "extra-trees", "neighbours"]}
    one, two = (
        trained(folder_of(tmp_path / str(jobs), stepwise, {**search, "jobs": jobs}))
        for jobs in (1, 2)
    )
    assert ranked(one) == ranked(two)
    assert one.bundle.content == two.bundle.content


def test_search_goes_on_where_it_ended(tmp_path: Path) -> None:
    few = {"trials": 3, "candidates": ["linear", "forest"]}
    first = trained(folder_of(tmp_path, stepwise, few))
    journal = next((tmp_path / "out" / FOLDER).glob("*.journal"))
    kept = journal.read_bytes()
    again = trained(tmp_path / "recipe.toml")
    assert ranked(again) == ranked(first)
    more = trained(folder_of(tmp_path, stepwise, {**few, "trials": 6}))
    assert more.trained.leaderboard is not None
    assert more.trained.leaderboard.tried == 6
    assert journal.read_bytes().startswith(kept)
    assert len(list(journal.parent.glob("*.journal"))) == 1


def test_other_data_is_searched_anew(tmp_path: Path) -> None:
    search = {"trials": 1, "candidates": ["linear"]}
    trained(folder_of(tmp_path, stepwise, search))
    trained(folder_of(tmp_path, linear, search))
    assert len(list((tmp_path / "out" / FOLDER).glob("*.journal"))) == 2


@pytest.mark.parametrize("family", get_args(FamilyName))
@pytest.mark.parametrize("target", [None, NUMBERS], ids=["classes", "numbers"])
def test_family_is_exported_and_proved(
    tmp_path: Path, family: str, target: dict[str, str] | None
) -> None:
    search = {"trials": 1, "candidates": [family], "jobs": 1}
    budget = {"latency_ms": 10_000}  # what else the machine does is not what is tested
    if target is None:
        path = pump_folder(tmp_path, 600, search=search, budget=budget)
    else:
        window = {"length": 6}
        path = folder_of(tmp_path, linear, search, rows=300, window=window, budget=budget)
    outcome = trained(path)
    assert [entry[0] for entry in ranked(outcome)] == [family]
    assert outcome.trained.parity.rows == outcome.bundle.manifest.metrics.test_rows


def test_family_beyond_the_budget_is_left_out_and_the_next_is_taken(tmp_path: Path) -> None:
    search = {"trials": 2, "candidates": ["forest", "linear"]}
    path = folder_of(tmp_path, stepwise, search, budget={"model_mb": 0.05})
    outcome = trained(path)
    assert ranked(outcome)[0][0] == "forest"
    assert any(names(said, "forest") for said in outcome.trained.notes)
    assert any("linear" in said for said in outcome.trained.notes)


def test_no_family_within_the_budget_is_no_bundle(tmp_path: Path) -> None:
    search = {"trials": 1, "candidates": ["linear"]}
    path = folder_of(tmp_path, linear, search, budget={"model_mb": 1e-6})
    with pytest.raises(ParityError, match=naming("linear")):
        trained(path)
    assert list((tmp_path / "out").glob("*.zip")) == []


def test_family_that_cannot_take_so_many_rows_is_left_out(tmp_path: Path) -> None:
    search = {"trials": 2, "candidates": ["svm", "linear"]}
    outcome = trained(folder_of(tmp_path, linear, search, rows=7000))
    assert {family for family, _ in ranked(outcome)} == {"linear"}
    assert any(names(said, "svm", "5250", "5000") for said in outcome.trained.notes)


def test_no_family_left_is_an_error(tmp_path: Path) -> None:
    path = folder_of(tmp_path, linear, {"trials": 2, "candidates": ["svm"]}, rows=7000)
    with pytest.raises(DataError, match=r"search.candidates: .*at most 5000"):
        trained(path)


def test_no_time_for_a_single_candidate_is_told(tmp_path: Path) -> None:
    path = folder_of(tmp_path, linear, {"seconds": 0.01})
    with pytest.raises(DataError, match=naming("search.seconds", "0.01")):
        trained(path)


def test_process_has_its_hooks_and_signals_as_before_a_search(tmp_path: Path) -> None:
    def own() -> tuple[object, ...]:
        signals = (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))
        return (threading.excepthook, sys.excepthook, *signals)

    before = own()
    search = {"seconds": 1.0, "candidates": ["linear"]}
    with suppress(DataError):  # the workers may take longer than that to start
        trained(folder_of(tmp_path, linear, search=search))
    assert own() == before


def test_seconds_end_a_search(tmp_path: Path) -> None:
    outcome = None
    for seconds in (3, 6, 12, 24):  # a busy machine may take longer to start the process
        search = {"seconds": seconds, "candidates": ["linear"], "jobs": 1}
        with suppress(DataError):
            outcome = trained(folder_of(tmp_path, linear, search, rows=120))
            break
    assert outcome is not None
    assert ranked(outcome)[0][0] == "linear"


@pytest.mark.parametrize("metric", ["macro_f1", "f1", "average_precision", "log_loss", "accuracy"])
def test_classes_are_judged_by_the_metric_asked_for(tmp_path: Path, metric: str) -> None:
    search = {"trials": 2, "candidates": ["linear", "boosting"], "metric": metric, "jobs": 1}
    outcome = trained(pump_folder(tmp_path, 800, search=search))
    figure = ranked(outcome)[0][1]
    assert outcome.trained.leaderboard is not None
    assert outcome.trained.leaderboard.metric == metric
    assert figure < 0.1 if metric == "log_loss" else figure > 0.95


def mistakes(folder: Path, search: object, **sections: object) -> str:
    with pytest.raises(RecipeError) as caught:
        read_recipe(write_recipe(folder, search=search, **sections))
    return str(caught.value)


@pytest.mark.parametrize(
    ("search", "said"),
    [
        ({}, ["search", "give trials, seconds or both"]),
        ({"trials": 0}, ["search.trials", "0"]),
        ({"trails": 5}, ["search.trails", "trials"]),
        ({"trials": 5, "candidates": ["forrest"]}, ["search.candidates", "forrest"]),
        ({"trials": 5, "candidates": []}, ["search.candidates"]),
        ({"trials": 5, "metric": "rmse"}, ["search.metric", "rmse", "macro_f1"]),
        ({"trials": 5, "metric": "speed"}, ["search.metric", "speed"]),
    ],
)
def test_mistake_names_its_key(tmp_path: Path, search: object, said: Sequence[str]) -> None:
    told = mistakes(tmp_path, search)
    assert [word for word in said if word not in told] == []


def test_metric_of_two_classes_is_refused_for_three(tmp_path: Path) -> None:
    path = pump_folder(tmp_path, 600, search={"trials": 1, "metric": "f1", "jobs": 1})
    table = (tmp_path / "pump.csv").read_text().splitlines()
    rows = [f"{row}{'0' if number % 3 else ''}" for number, row in enumerate(table[1:])]
    (tmp_path / "pump.csv").write_text("\n".join([table[0], *rows]) + "\n")
    with pytest.raises(DataError, match="two classes"):
        trained(path)


def test_journal_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("as it was")
    (tmp_path / "one.journal").symlink_to(tmp_path / "victim")
    with pytest.raises(DataError, match=naming("one.journal")):
        Journal(tmp_path / "one.journal", 0, [])
    assert (tmp_path / "victim").read_text() == "as it was"


def test_ctrl_c_keeps_the_journal_and_leaves_no_bundle(tmp_path: Path) -> None:
    path = folder_of(tmp_path, stepwise, {"trials": 1000, "candidates": ["linear"], "jobs": 2})
    out = tmp_path / "out"
    words = [sys.executable, "-m", "trainer", "train", str(path), "--out", str(out)]
    with subprocess.Popen(
        words, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as running:
        eventually(lambda: finished(out) > 2, timeout_s=60, message="three candidates")
        os.killpg(running.pid, signal.SIGINT)
        _, said = running.communicate(timeout=20)
    kept = finished(out)
    assert running.returncode == 130
    assert said.startswith("note interrupted: ")
    assert "same command" in said
    assert "Traceback" not in said
    assert list(out.glob("*.zip")) == []
    again = trained(folder_of(tmp_path, stepwise, {"trials": 1, "candidates": ["linear"]}))
    assert again.trained.leaderboard is not None
    assert 2 < again.trained.leaderboard.tried <= kept


def test_ctrl_c_while_the_workers_start_says_one_sentence(tmp_path: Path) -> None:
    path = folder_of(tmp_path, stepwise, {"trials": 1000, "candidates": ["linear"], "jobs": 2})
    words = [sys.executable, "-m", "trainer", "train", str(path), "--out", str(tmp_path / "out")]
    with subprocess.Popen(
        words, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as running:
        eventually(lambda: workers_of(running.pid), timeout_s=60, message="a worker")
        os.killpg(running.pid, signal.SIGINT)
        _, said = running.communicate(timeout=20)
    assert running.returncode == 130
    assert names(said, "0 candidates")
    assert len(said.splitlines()) == 1


def workers_of(pid: int) -> list[Path]:
    """Processes of the search that a process has started."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    lines = [Path(f"/proc/{child}/cmdline") for child in found]
    return [line for line in lines if b"trainer.search.worker" in line.read_bytes()]


def finished(out: Path) -> int:
    """Candidates that the journal says have come to an end."""
    journals = (out / FOLDER).glob("*.journal")
    return sum(path.read_bytes().count(b'"seconds"') for path in journals)
