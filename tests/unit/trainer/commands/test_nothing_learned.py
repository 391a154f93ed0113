"""Where nothing can be learned, the terminal and the report say so before anybody deploys."""

from pathlib import Path

import numpy as np
import pytest

from models.bundle.package import read_bundle
from tests.kit.pages import Page, rows
from tests.kit.recordings import pump_folder, pump_rows, write_csv, write_recipe
from tests.kit.wording import names
from trainer.__main__ import main

pytestmark = pytest.mark.usefixtures("without_pictures")

HEADER = ["time", "pressure", "flow", "label"]
NAMED = {"task": "classification", "column": "label", "classes": {"0": "healthy", "1": "clogged"}}


def written(recipe: Path) -> Path:
    assert main(["train", str(recipe), "--out", str(recipe.parent / "out")]) == 0
    return recipe.parent / "out" / "pump-health-1.zip"


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_noise_ends_with_a_warning_that_publish_asks_about(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], task: str
) -> None:
    rng = np.random.default_rng(1)
    noise = rng.normal(size=500) if task == "regression" else rng.integers(0, 2, 500)
    lines = [(*row[:3], label) for row, label in zip(pump_rows(500), noise, strict=True)]
    write_csv(tmp_path / "pump.csv", HEADER, lines)
    bundle = written(write_recipe(tmp_path, target={"task": task, "column": "label"}))
    said = capsys.readouterr().err.strip().splitlines()
    assert names(said[-1], "WARNING", "skill")
    page = Page(read_bundle(bundle.read_bytes()).report)
    box = page.root.all("div", **{"class": "notice warning"})[0]
    assert names(box.text, "trivial", "skill")
    registry = tmp_path / "registry"
    assert main(["registry", "init", str(registry), "--keys", str(tmp_path / "keys")]) == 0
    publish = ["publish", str(bundle), "--registry", str(registry)]
    assert main([*publish, "--keys", str(tmp_path / "keys")]) == 2


def test_detector_that_finds_none_of_the_marked_faults_says_so_last_and_in_the_box(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stuck = [(*row[:1], "4.0", "30.0", 1) if row[3] else row for row in pump_rows(1200)]
    write_csv(tmp_path / "pump.csv", HEADER, stuck)
    path = write_recipe(
        tmp_path,
        window={"length": 1},
        target={"task": "anomaly", "column": "label"},
        split={"method": "time", "test": 0.5},
    )
    bundle = read_bundle(written(path).read_bytes())
    assert bundle.manifest.metrics.values["recall"] == 0
    said = capsys.readouterr().err.strip().splitlines()
    assert names(said[-1], "WARNING", "marked faults", "none", "recall")
    box = Page(bundle.report).root.all("div", **{"class": "notice warning"})[0]
    assert names(box.text, "marked faults", "none", "recall")


def test_model_names_estimator_settings_features_and_the_origin_of_its_threshold(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    detector = {"task": "anomaly", "column": "label", "false_alarms": 0.02, "smooth": 2}
    for target, values in (
        (NAMED, ("LogisticRegression", "C 1", "2 signals", "12", "standardised", "0.5")),
        (detector, ("mahalanobis", "false_alarms 0.02", "2 moments", "last 3 samples", "0.98")),
    ):
        bundle = read_bundle(written(pump_folder(tmp_path, target=target)).read_bytes())
        shown = capsys.readouterr().out
        assert names(shown, "estimator", "hyper-parameters", "features", "threshold", *values)
        assert names(Page(bundle.report).section("Model").text, *values)
        (tmp_path / "out" / "pump-health-1.zip").unlink()


def test_sound_model_is_shown_beside_trivial_answers_without_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = read_bundle(written(pump_folder(tmp_path, target=NAMED)).read_bytes())
    said = capsys.readouterr()
    assert "WARNING" not in said.err
    assert names(said.out, "threshold", "never", "always", "skill")
    metrics = bundle.manifest.metrics
    assert metrics.values["skill"] > 0.8
    assert metrics.baselines["always"]["recall"] == 1
    table = rows(Page(bundle.report).section("Metrics on the test data"))
    assert [row[2:4] for row in table if row[0] == "recall"] == [["1", "0"]]
    assert names(Page(bundle.report).section("Metrics on the test data").text, "threshold", "0.5")


def test_two_test_assets_give_no_interval_and_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [(pump, *row) for pump in "abcdefgh" for row in pump_rows(300, seed=ord(pump))]
    write_csv(tmp_path / "pumps.csv", ["pump", *HEADER], lines)
    path = write_recipe(
        tmp_path,
        data={"asset_column": "pump"},
        target=NAMED,
        split={"method": "group", "test": 0.25},
    )
    bundle = read_bundle(written(path).read_bytes())
    assert bundle.manifest.metrics.intervals == {}
    assert names(bundle.manifest.metrics.drawn, "no interval", "2", "assets")
    said = capsys.readouterr().out
    assert "no interval" in said
    assert names(said, "Alarms and faults", "asset", "after (median)")
    box = Page(bundle.report).root.all("div", **{"class": "notice warning"})[0]
    assert names(box.text, "no interval", "2", "assets")


def last_words(capsys: pytest.CaptureFixture[str]) -> str:
    """The warnings at the end of what a training says."""
    return "\n".join(line for line in capsys.readouterr().err.splitlines() if "WARNING" in line)


def test_number_that_nothing_tells_is_answered_by_one_and_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    noise = np.random.default_rng(3).normal(10.0, 1.0, 500)
    lines = [(*row[:3], one) for row, one in zip(pump_rows(500), noise, strict=True)]
    write_csv(tmp_path / "pump.csv", HEADER, lines)
    bundle = written(write_recipe(tmp_path, target={"task": "regression", "column": "label"}))
    assert names(last_words(capsys), "the same answer", "test windows")
    box = Page(read_bundle(bundle.read_bytes()).report).root.all(
        "div", **{"class": "notice warning"}
    )
    assert names(box[0].text, "the same answer")


def test_model_that_answers_by_its_signals_is_not_called_useless(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(pump_folder(tmp_path, target={"task": "anomaly", "column": "label"}))
    assert "WARNING" not in capsys.readouterr().err
