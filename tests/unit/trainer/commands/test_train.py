"""From a recipe to a bundle, whole or not at all."""

import json
from pathlib import Path

import numpy as np
import pytest

from models.bundle.golden import MIN_COUNT, read_golden
from models.bundle.package import read_bundle, write_bundle
from models.errors import BundleError, IncompatibleBundleError
from tests.kit.pictures import empty_pictures
from tests.kit.recordings import pump_folder, pump_rows, write_csv, write_recipe
from tests.kit.wording import names, naming
from trainer.bundle.earlier import next_seq
from trainer.commands.inspect import inspect
from trainer.commands.train import Outcome, train
from trainer.console import Console
from trainer.errors import DataError, ParityError
from trainer.graph.export import Graph
from trainer.recipe.document import read_recipe

HEADER = ["time", "pressure", "flow", "label"]
NAMED = {
    "task": "classification",
    "column": "label",
    "classes": {"0": "healthy", "1": "clogged"},
}

DETECTOR = {"task": "anomaly"}


def trained(path: Path, out: Path | None = None, seq: int | None = None) -> Outcome:
    with empty_pictures():
        return train(read_recipe(path), out or path.parent / "out", console=Console(), seq=seq)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return trained(pump_folder(tmp_path_factory.mktemp("pump"), target=NAMED))


def test_bundle_is_written_under_stream_and_seq(classifier: Outcome) -> None:
    assert classifier.path.name == "pump-health-1.zip"
    assert read_bundle(classifier.path.read_bytes()).sha256 == classifier.bundle.sha256


def test_manifest_says_what_the_model_is(classifier: Outcome) -> None:
    manifest = classifier.bundle.manifest
    assert (manifest.stream, manifest.seq, manifest.task) == ("pump-health", 1, "classification")
    assert [channel.name for channel in manifest.channels] == ["pressure", "flow"]
    assert (manifest.window.length, manifest.window.sample_period_ms) == (4, 1000)
    assert manifest.outputs[0].classes == ("healthy", "clogged")
    assert list(manifest.lineage.data) == ["recorded-1"]
    assert "optuna" not in manifest.lineage.packages
    assert manifest.metrics.values["f1"] > 0.9
    assert manifest.metrics.test_rows == 297
    assert manifest.golden.count >= MIN_COUNT


def test_graph_answers_what_the_manifest_promises(classifier: Outcome) -> None:
    manifest = classifier.bundle.manifest
    graph = Graph(classifier.bundle.model)
    golden = read_golden(classifier.bundle.golden, manifest)
    assert graph.outputs == [output.name for output in manifest.outputs]
    np.testing.assert_array_equal(graph.run(golden.windows)["value"], golden.outputs["value"])


def test_reference_describes_signals_and_score(classifier: Outcome) -> None:
    reference = json.loads(classifier.bundle.reference)
    pressure = reference["signals"]["pressure"]
    assert pressure["mean"] == pytest.approx(4.0, abs=0.05)
    assert pressure["missing_share"] == 0
    assert list(pressure["quantiles"]) == [
        "0",
        "0.01",
        "0.05",
        "0.25",
        "0.5",
        "0.75",
        "0.95",
        "0.99",
        "1",
    ]
    assert reference["score"]["count"] == pressure["count"] == 897  # each by a model without it
    assert reference["drift"]["window"] == 88


def test_inspection_proves_the_bundle(classifier: Outcome) -> None:
    bundle, evidence = inspect(classifier.path)
    assert bundle.sha256 == classifier.bundle.sha256
    assert evidence.golden_error < 1e-5


def test_manifest_states_the_memory_that_a_gateway_needs(classifier: Outcome) -> None:
    bundle, evidence = inspect(classifier.path)
    stated = bundle.manifest.budget
    assert (stated.memory_batch, evidence.batch) == (256, 256)
    assert stated.memory_bytes is not None
    assert 0.8 * evidence.memory_bytes < stated.memory_bytes < 2 * evidence.memory_bytes
    assert inspect(classifier.path, memory_bytes=stated.memory_bytes)[1].batch == 256
    with pytest.raises(BundleError) as caught:
        inspect(classifier.path, memory_bytes=stated.memory_bytes - 1)
    assert caught.value.code == "proof_memory"


def test_inspection_refuses_a_changed_byte(classifier: Outcome, tmp_path: Path) -> None:
    content = bytearray(classifier.bundle.content)
    content[content.index(b"<h1>") + 4] ^= 1
    changed = tmp_path / "changed.zip"
    changed.write_bytes(content)
    with pytest.raises(BundleError, match=r"report.html"):
        inspect(changed)


def test_inspection_refuses_a_graph_of_another_seq(tmp_path: Path, classifier: Outcome) -> None:
    members = {
        "model.onnx": classifier.bundle.model,
        "golden.npz": classifier.bundle.golden,
        "reference.json": classifier.bundle.reference,
        "report.html": classifier.bundle.report,
    }
    manifest = classifier.bundle.manifest.model_copy(update={"seq": 2})
    write_bundle(tmp_path / "b.zip", manifest, members)
    with pytest.raises(IncompatibleBundleError, match=naming("pump-health#1")):
        inspect(tmp_path / "b.zip")


@pytest.mark.parametrize("target", [NAMED, DETECTOR], ids=["trees", "monitor"])
def test_same_recipe_and_data_give_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: dict[str, object]
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    path = pump_folder(tmp_path, 600, split={"method": "time", "test": 0.5}, target=target)
    one, two = (
        train(read_recipe(path), tmp_path / name, console=Console(), seq=1).path.read_bytes()
        for name in ("a", "b")
    )
    assert one == two
    manifest = read_bundle(one).manifest
    assert manifest.created.timestamp() == 1_700_000_000
    assert manifest.budget.memory_bytes is None, "what is measured differs each time"


def test_reproducible_bundle_states_the_memory_that_its_recipe_allows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    budget = {"memory_mb": 200, "batch": 64}
    path = pump_folder(tmp_path, 600, target=DETECTOR, budget=budget)
    stated = trained(path, tmp_path / "out").bundle.manifest.budget
    assert (stated.memory_bytes, stated.memory_batch) == (200_000_000, 64)


def test_seq_follows_the_highest_of_the_stream_in_the_folder(tmp_path: Path) -> None:
    for name in ("pump-2.zip", "pump-10.zip", "pump-x.zip", "pump-health-99.zip", "pump-11.zip~"):
        (tmp_path / name).touch()
    assert next_seq(tmp_path, "pump") == 11
    assert next_seq(tmp_path, "fan") == 1
    assert next_seq(tmp_path / "none", "pump") == 1


def test_one_of_three_classes_is_told(tmp_path: Path) -> None:
    rows = [
        (time, p, f, "clogged" if bad else ("high" if float(p) > 4 else "low"))  # type: ignore[arg-type]  # text
        for time, p, f, bad in pump_rows(1200)
    ]
    write_csv(tmp_path / "pump.csv", HEADER, rows)
    manifest = trained(write_recipe(tmp_path)).bundle.manifest
    assert manifest.outputs[0].classes == ("clogged", "high", "low")
    assert manifest.outputs[1].threshold is None
    assert manifest.metrics.values["macro_f1"] > 0.9


def test_regression_learns_a_number(tmp_path: Path) -> None:
    rows = [(time, p, f, float(p) * 5 + float(f) / 10) for time, p, f, _ in pump_rows(600)]  # type: ignore[arg-type]  # text
    write_csv(tmp_path / "pump.csv", HEADER, rows)
    target = {"task": "regression", "column": "label", "unit": "mbar"}
    manifest = trained(write_recipe(tmp_path, target=target)).bundle.manifest
    assert manifest.outputs[0].unit == "mbar"
    assert manifest.metrics.values["r2"] > 0.9
    assert manifest.golden.atol < 2e-5


def test_detector_learns_from_normal_rows_and_finds_the_others(tmp_path: Path) -> None:
    path = pump_folder(tmp_path, target={"task": "anomaly", "column": "label", "normal": 0})
    outcome = trained(path)
    values = outcome.bundle.manifest.metrics.values
    assert values["recall"] > 0.9
    assert values["false_alarm_rate"] < 0.1
    assert any("not wholly normal" in remark for remark in outcome.trained.notes)


def test_single_rows_without_time_are_enough(tmp_path: Path) -> None:
    outcome = trained(
        pump_folder(
            tmp_path,
            600,
            data={"time": None},
            window={"length": 1},
            target={"task": "regression", "column": "label"},
            split={"method": "random", "test": 0.3},
        )
    )
    assert outcome.bundle.manifest.window.sample_period_ms is None


def test_optimistic_split_is_called_so_in_the_manifest(tmp_path: Path) -> None:
    outcome = trained(
        pump_folder(tmp_path, 600, target=DETECTOR, split={"method": "random-optimistic"})
    )
    assert "OPTIMISTIC" in outcome.bundle.manifest.metrics.split


def test_figures_come_with_their_interval(classifier: Outcome) -> None:
    metrics = classifier.bundle.manifest.metrics
    low, high = metrics.intervals["accuracy"]
    assert low < high
    assert low <= metrics.values["accuracy"] <= high
    assert "blocks of" in classifier.bundle.report.decode()


def leaking(folder: Path, **sections: object) -> Path:
    rows = [(time, p, bad, bad) for time, p, _, bad in pump_rows(1200)]
    write_csv(folder / "pump.csv", HEADER, rows)
    return write_recipe(folder, target=NAMED, **sections)


def test_leak_ends_the_training_unless_the_recipe_allows_it(tmp_path: Path) -> None:
    assert names(refusal(leaking(tmp_path / "no"), DataError), "target-leak", "'flow'")
    outcome = trained(leaking(tmp_path / "yes", checks={"allow": ["target-leak"]}))
    assert [one.name for one in outcome.trained.findings if one.overridden] == ["target-leak"]


def refusal(path: Path, error: type[Exception]) -> str:
    """What is said of a recipe that is refused; nothing is written then."""
    with pytest.raises(error) as caught:
        trained(path)
    assert not (path.parent / "out").exists()
    return str(caught.value)


def test_one_class_only_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    write_csv(tmp_path / "pump.csv", HEADER, [(*row[:3], 0) for row in pump_rows(200)])
    assert "second class" in refusal(write_recipe(tmp_path), DataError)


def test_class_that_training_never_sees_is_refused(tmp_path: Path) -> None:
    rows = [(*row[:3], int(number > 190)) for number, row in enumerate(pump_rows(200))]
    write_csv(tmp_path / "pump.csv", HEADER, rows)
    said = refusal(write_recipe(tmp_path, target=NAMED), DataError)
    assert names(said, "clogged")


def test_target_that_never_changes_is_refused(tmp_path: Path) -> None:
    write_csv(tmp_path / "pump.csv", HEADER, [(*row[:3], 5) for row in pump_rows(200)])
    target = {"task": "regression", "column": "label"}
    said = refusal(write_recipe(tmp_path, target=target), DataError)
    assert names(said, "5")


def test_class_that_the_data_does_not_have_is_refused(tmp_path: Path) -> None:
    target = {"task": "classification", "column": "label", "positive": "worn"}
    said = refusal(pump_folder(tmp_path, 400, target=target), DataError)
    assert names(said, "'label'", "target.positive", "'worn'", "0, 1")


def test_normal_label_that_no_row_has_is_refused(tmp_path: Path) -> None:
    target = {"task": "anomaly", "column": "label", "normal": "OK"}
    said = refusal(pump_folder(tmp_path, 400, target=target), DataError)
    assert names(said, "'OK'", "target.normal", "'0', '1'")


def test_empty_target_is_refused_with_the_reason(tmp_path: Path) -> None:
    write_csv(tmp_path / "pump.csv", HEADER, [(*row[:3], "") for row in pump_rows(200)])
    said = refusal(write_recipe(tmp_path), DataError)
    assert names(said, "4 samples", "147 windows")


def test_rows_that_all_have_one_time_are_refused_with_the_reason(tmp_path: Path) -> None:
    write_csv(tmp_path / "pump.csv", HEADER, [("2025-03-01", *row[1:]) for row in pump_rows(200)])
    said = refusal(write_recipe(tmp_path), DataError)
    assert names(said, "200 rows", "2025-03-01T00:00:00Z", "data.time")


def test_labels_of_one_name_are_one_class(tmp_path: Path) -> None:
    rows = [
        (*row[:3], ("Fault", "fault")[n % 2] if row[3] else "ok")
        for n, row in enumerate(pump_rows(600))
    ]
    write_csv(tmp_path / "pump.csv", HEADER, rows)
    search = {"trials": 1, "candidates": ["linear"], "jobs": 1}
    as_found = trained(write_recipe(tmp_path, search=search))
    assert names("".join(as_found.trained.notes), "'Fault'", "'fault'")
    classes = {"ok": "healthy", "fault": "clogged", "Fault": "clogged"}
    target = {"task": "classification", "column": "label", "classes": classes}
    outcome = trained(write_recipe(tmp_path, target=target, search=search))
    assert outcome.bundle.manifest.outputs[0].classes == ("healthy", "clogged")
    assert outcome.bundle.manifest.metrics.values["accuracy"] > 0.95


def test_signal_may_be_named_as_the_score_is(tmp_path: Path) -> None:
    signals = [{"name": "score", "column": "pressure"}, {"name": "flow"}]
    outcome = trained(pump_folder(tmp_path, 1200, target=DETECTOR, signals=signals))
    document = json.loads(outcome.bundle.reference)
    assert document["drift"]
    assert list(document["signals"]) == ["score", "flow"]


def test_many_signals_with_gaps_are_a_few_remarks(tmp_path: Path) -> None:
    columns = [f"s{number}" for number in range(20)]
    drawn = np.random.default_rng(0).normal(size=(400, 20)).round(4).astype(str)
    for number in range(20):
        drawn[2 * number : 3 * number + 1, number] = ""
    rows = [(row[0], *values, row[3]) for row, values in zip(pump_rows(400), drawn, strict=True)]
    write_csv(tmp_path / "pump.csv", ["time", *columns, "label"], rows)
    signals = [{"name": name} for name in columns]
    outcome = trained(write_recipe(tmp_path, signals=signals, target=DETECTOR))
    lacking = [one for one in outcome.trained.notes if "no value" in one]
    assert names(lacking[0], "'s19'", "20 of 400", "5.0%")
    assert len(lacking) == 6
    assert names(lacking[5], "15 more", "3.8%")


def test_long_pause_that_windows_span_is_told(tmp_path: Path) -> None:
    rows = [("1970-01-01T00:00:00Z", 4.0, 30.0, 0), *pump_rows(400)]
    write_csv(tmp_path / "pump.csv", HEADER, rows)
    (said,) = (
        one
        for one in trained(write_recipe(tmp_path, target=DETECTOR)).trained.notes
        if "apart" in one
    )
    assert names(said, "pump.csv line 3", "window.max_gap_s")
    gap = write_recipe(tmp_path, target=DETECTOR, window={"max_gap_s": 60})
    assert not [one for one in trained(gap).trained.notes if "apart" in one]


def test_too_few_windows_are_refused(tmp_path: Path) -> None:
    assert names(refusal(pump_folder(tmp_path, 30), DataError), "20")


def test_too_little_normal_operation_is_refused(tmp_path: Path) -> None:
    path = pump_folder(
        tmp_path,
        120,
        target=DETECTOR,
        window={"length": 40},
        split={"method": "time", "test": 0.4},
    )
    assert names(refusal(path, DataError), "20")


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        ({"latency_ms": 1e-6}, "budget.latency_ms"),
        ({"model_mb": 1e-6}, "budget.model_mb"),
        ({"memory_mb": 1}, "budget.memory_mb"),
    ],
)
def test_model_beyond_its_budget_is_not_written(
    tmp_path: Path, budget: dict[str, float], said: str
) -> None:
    recipe = pump_folder(tmp_path, 600, budget=budget, target=DETECTOR)
    assert said in refusal(recipe, ParityError)
