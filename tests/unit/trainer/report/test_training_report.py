"""The report in the bundle: what it says is what the manifest says, and it asks for nothing."""

from pathlib import Path

import numpy as np
import pytest

from tests.kit.pages import Page, rows
from tests.kit.recordings import pump_folder, pump_rows, write_csv, write_recipe
from tests.kit.wording import names
from trainer.commands.train import Outcome, train
from trainer.console import Console
from trainer.recipe.document import read_recipe
from trainer.report.page import MAX_BYTES

HEADER = ["time", "pressure", "flow", "label"]
NAMED = {"task": "classification", "column": "label", "classes": {"0": "healthy", "1": "clogged"}}
DETECTOR = {"task": "anomaly", "column": "label", "normal": 0}
UNLABELLED = {"task": "anomaly"}
REMAINING = {"task": "regression", "remaining": "s", "unit": "s", "cap": 90}
EPOCH = "SOURCE_DATE_EPOCH"
# What the page calls its parts.
METRICS = "Metrics on the test data"
CHECKS = "Checks before the training"
IMPORTANCE = "Importance of the signals"


def trained(path: Path) -> Outcome:
    return train(read_recipe(path), path.parent / "out", console=Console())


def page_of(outcome: Outcome) -> Page:
    return Page(outcome.bundle.report)


def three_classes(folder: Path) -> Path:
    """Rows without a time axis, of three classes that the flow tells apart."""
    drawn = np.random.default_rng(0)
    kind = drawn.integers(0, 3, 600)
    flow = 10.0 * kind + drawn.normal(0, 3, 600)
    lines = [
        (f"{p:.3f}", f"{f:.3f}", "abc"[k])
        for p, f, k in zip(drawn.normal(4, 1, 600), flow, kind, strict=True)
    ]
    write_csv(folder / "rows.csv", ["pressure", "flow", "label"], lines)
    return write_recipe(
        folder,
        data={"time": None},
        window={"length": 1},
        target={"task": "classification", "column": "label"},
        split={"method": "stratified", "test": 0.25},
    )


def runs(folder: Path, assets: int = 8) -> Path:
    """As many pumps, each until its end; a quarter of them test."""
    lines = [
        (asset, *row[:3])
        for asset in range(assets)
        for row in pump_rows(150 + 7 * asset, seed=asset)
    ]
    write_csv(folder / "pumps.csv", ["pump", "time", "pressure", "flow"], lines)
    return write_recipe(
        folder,
        data={"asset_column": "pump"},
        target=REMAINING,
        split={"method": "group", "test": 0.25},
    )


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """A bundle of each task; none of them reproducible, so that latency is told."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(EPOCH, raising=False)
        folder = tmp_path_factory.mktemp("reports")
        return {
            "two classes": trained(pump_folder(folder / "two", target=NAMED)),
            "detector": trained(pump_folder(folder / "detector", target=DETECTOR)),
            "unlabelled": trained(pump_folder(folder / "unlabelled", 600, target=UNLABELLED)),
            "three classes": trained(three_classes(folder / "three")),
            "remaining": trained(runs(folder / "runs")),
            "optimistic": trained(
                pump_folder(
                    folder / "optimistic", target=NAMED, split={"method": "random-optimistic"}
                )
            ),
            "allowed": trained(leaking(folder / "leaking")),
            "searched": trained(
                pump_folder(
                    folder / "searched",
                    600,
                    target=NAMED,
                    split={"method": "time", "test": 0.5},
                    search={"trials": 2, "candidates": ["linear", "boosting"], "jobs": 1},
                )
            ),
        }


def leaking(folder: Path) -> Path:
    lines = [(time, p, bad, bad) for time, p, _, bad in pump_rows(1200)]
    write_csv(folder / "pump.csv", HEADER, lines)
    return write_recipe(folder, target=NAMED, checks={"allow": ["target-leak"]})


TASKS = (
    "two classes",
    "detector",
    "unlabelled",
    "three classes",
    "remaining",
    "optimistic",
    "allowed",
    "searched",
)


@pytest.fixture(params=TASKS)
def outcome(request: pytest.FixtureRequest, outcomes: dict[str, Outcome]) -> Outcome:
    return outcomes[request.param]


def test_every_metric_is_that_of_the_manifest_wherever_it_stands(outcome: Outcome) -> None:
    metrics = outcome.bundle.manifest.metrics
    page = page_of(outcome)
    assert page.metrics == {name: {metrics.formatted(name)} for name in metrics.values}
    listed = rows(page.section(METRICS))
    assert [row[:2] for row in listed] == [[n, metrics.formatted(n)] for n in metrics.values]


def test_page_asks_for_nothing_and_runs_nothing(outcome: Outcome) -> None:
    page = page_of(outcome)
    policy = {"http-equiv": "Content-Security-Policy"}
    assert page.root.all("meta", **policy)[0].attributes["content"].startswith("default-src 'none'")
    for tag in ("script", "link", "img", "image", "iframe", "a"):
        assert page.root.all(tag) == []
    assert b"://" not in outcome.bundle.report
    assert len(outcome.bundle.report) < MAX_BYTES


def test_pictures_are_named_and_described_and_share_no_id(outcome: Outcome) -> None:
    page = page_of(outcome)
    ids = [
        one.attributes["id"]
        for tag in ("title", "desc", "path", "clippath", "pattern", "g")
        for one in page.root.all(tag)
        if "id" in one.attributes
    ]
    assert len(ids) == len(set(ids))
    assert IMPORTANCE in page.pictures
    for title, svg in page.pictures.items():
        named = svg.attributes["aria-labelledby"].split()
        assert svg.attributes["role"] == "img"
        assert title
        assert [svg.all(t)[0].attributes["id"] for t in ("title", "desc")] == named


def test_each_task_has_its_pictures(outcomes: dict[str, Outcome]) -> None:
    found = {name: set(page_of(one).pictures) for name, one in outcomes.items()}
    curves = {"Scores", "ROC curve", "Precision over recall"}
    timed = {"The split on a time axis", IMPORTANCE}
    assert found["two classes"] == timed | curves | {
        "Alarms over time",
        "Calibration",
        "Leaderboard",
    }
    assert found["detector"] == timed | curves | {"Alarms over time"}
    assert found["unlabelled"] == timed | {"Alarms over time", "Scores"}
    assert found["three classes"] == {
        "The split by rows",
        IMPORTANCE,
        "Calibration",
        "Leaderboard",
    }
    assert found["remaining"] == timed | {
        "Leaderboard",
        "Answer and truth over time",
        "Residuals",
        "Residuals against truth",
    }
    assert "Leaderboard" in found["searched"]


def test_verdict_says_what_it_is_and_warns_before_anything_else(
    outcomes: dict[str, Outcome],
) -> None:
    sound, flattering, allowed, unlabelled = (
        page_of(outcomes[name]).root
        for name in ("two classes", "optimistic", "allowed", "unlabelled")
    )
    assert names(sound.text, "2 classes", "healthy, clogged", "4 samples", "4 s", "2 signals")
    assert flattering.all("div", **{"class": "notice"}) == []
    for root, values in (
        (flattering, ("random-optimistic",)),
        (allowed, ("target-leak", "'flow'")),
        (unlabelled, ("alarms",)),
    ):
        notice = root.all("div", **{"class": "notice warning"})[0]
        assert names(notice.text, *values)
        assert root.text.index(notice.text) < root.text.index(METRICS)


def test_checks_are_listed_with_what_they_found_and_those_that_found_nothing(
    outcomes: dict[str, Outcome],
) -> None:
    section = page_of(outcomes["allowed"]).section(CHECKS)
    assert ["target-leak", "overridden"] in [row[:2] for row in rows(section)]
    assert names(section.text, "stuck-signal")


def test_remarks_on_the_test_data_stand_apart_from_doubts(outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes["detector"]
    assert [one.name for one in outcome.trained.findings if one.about == "test"] == [
        "too-few-positives"
    ]
    root = page_of(outcome).root
    remarks = root.all("div", **{"class": "notice remark"})[0]
    assert names(remarks.text, "too-few-positives")
    doubts = root.all("div", **{"class": "notice"}) + root.all("div", **{"class": "notice warning"})
    assert not any("too-few-positives" in box.text for box in doubts)


def test_page_leads_with_the_figures_of_the_task(outcomes: dict[str, Outcome]) -> None:
    leads = {
        name: page_of(one).root.text.split("Metrics on the test data")[0]
        for name, one in outcomes.items()
    }
    assert names(leads["detector"], "false alarm", "of normal operation", "marked fault")
    assert names(leads["unlabelled"], "alarm", "minutes")
    assert names(leads["two classes"], "false alarm", "of 'clogged'")
    assert names(leads["three classes"], "windows right", "worst class")
    assert names(leads["remaining"], "2 runs", "each run counts once", "90 s", "target.cap")


def test_faults_and_classes_are_listed(outcomes: dict[str, Outcome]) -> None:
    listed = rows(page_of(outcomes["detector"]).section("Alarms and faults"))
    assert [len(row) for row in listed] == [4]
    section = page_of(outcomes["three classes"]).section("Answers and truth")
    table = rows(section)
    assert [row[0] for row in table] == ["a", "b", "c"]
    assert sum(int(row[1]) for row in table) == 150


def test_confusion_matrix_counts_the_test_windows(outcomes: dict[str, Outcome]) -> None:
    metrics = outcomes["three classes"].bundle.manifest.metrics
    matrix = page_of(outcomes["three classes"]).root.all("table", **{"class": "matrix"})[0]
    cells = [[int(cell.text.split()[0]) for cell in row.all("td")] for row in matrix.all("tr")[1:]]
    counts = np.array(cells)
    assert counts.shape == (3, 3)
    assert counts.sum() == metrics.test_rows
    assert np.trace(counts) / counts.sum() == pytest.approx(metrics.values["accuracy"], abs=1e-5)


def test_split_without_a_time_axis_is_a_bar_and_says_so(outcomes: dict[str, Outcome]) -> None:
    section = page_of(outcomes["three classes"]).section("Split")
    assert names(section.text, "450", "150", "0")


def test_split_by_group_counts_its_lanes(outcomes: dict[str, Outcome]) -> None:
    text = page_of(outcomes["remaining"]).section("Split").text
    assert names(text, "8", "6", "2")


def test_board_lists_families_with_seconds(outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes["searched"]
    assert outcome.trained.leaderboard is not None
    listed = rows(page_of(outcome).section("Leaderboard"))
    assert listed == outcome.trained.leaderboard.rows()
    assert "Leaderboard" not in page_of(outcomes["detector"]).headings


def test_contest_for_the_default_is_shown_with_its_reason(outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes["two classes"]
    page = page_of(outcome)
    assert [row[0] for row in rows(page.section("Leaderboard"))] == ["line", "boosting"]
    reason = next(said for said in outcome.trained.notes if said.startswith("default: line"))
    assert reason in page.root.text


def test_what_a_clock_says_is_left_out_where_bytes_are_to_be_equal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outcomes: dict[str, Outcome]
) -> None:
    cost = "Cost of serving"
    measured = page_of(outcomes["searched"]).section(cost).text
    assert f"{outcomes['searched'].trained.latency.p99_ms:.3f} ms p99" in measured
    monkeypatch.setenv(EPOCH, "1700000000")
    search = {"trials": 2, "candidates": ["linear", "boosting"], "jobs": 1}
    pages = [
        page_of(trained(pump_folder(tmp_path / name, 600, target=NAMED, search=search)))
        for name in "ab"
    ]
    assert names(pages[0].section(cost).text, "SOURCE_DATE_EPOCH")
    assert [len(row) for row in rows(pages[0].section("Leaderboard"))] == [3, 3]
    assert pages[0].root == pages[1].root


def test_sizes_are_those_of_the_members(outcome: Outcome) -> None:
    listed = {row[0]: row[1] for row in rows(page_of(outcome).section("Cost of serving"))}
    for member in outcome.bundle.manifest.files:
        if member.name != "report.html":
            assert listed[member.name] == f"{member.size} bytes"


def test_text_of_others_is_text(tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script>"
    path = pump_folder(
        tmp_path,
        600,
        bundle={"stream": "pump", "name": "<b>bold</b>"},
        signals=[{"name": "pressure", "unit": hostile}, {"name": "flow"}],
        target={**NAMED, "classes": {"0": "$x_1$ & 漢", "1": hostile}},
        split={"method": "time", "test": 0.5},
    )
    page = page_of(trained(path))
    assert page.root.all("h1")[0].text == "<b>bold</b> 1.0.0"
    assert page.root.all("script") == page.root.all("b") == []
    assert "$x_1$ & 漢" in page.pictures["Scores"].text
    assert hostile in page.pictures["Scores"].text


def test_long_recordings_of_many_assets_make_a_page_of_modest_size(tmp_path: Path) -> None:
    outcome = trained(runs(tmp_path, assets=60))
    page = page_of(outcome)
    text = page.section("Split").text
    assert names(text, "60", "45", "15", "40")
    tested = np.unique(outcome.trained.parts.test.asset)
    every = page.section("Split").all("details")[0].all("p")[0].text
    assert sorted(every.split(", ")) == sorted(
        outcome.trained.recording.assets[one] for one in tested
    )
    assert len(outcome.bundle.report) < MAX_BYTES
