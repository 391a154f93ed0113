"""A new model against the bundle before it: on the same rows, and told either way."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from models.bundle.package import Bundle, read_bundle, write_bundle
from tests.kit.recordings import Row, pump_folder, pump_rows, write_csv, write_recipe
from tests.kit.wording import names
from trainer.__main__ import main
from trainer.commands.train import Champion, Outcome, train
from trainer.commands.train_summary import summarise
from trainer.console import Console
from trainer.dataset.splits import split
from trainer.dataset.subject import Subject
from trainer.dataset.training_rows import training_rows
from trainer.errors import ComparisonError
from trainer.estimators.fitting import Model, fit
from trainer.evaluation.champion import Comparison, compare
from trainer.graph.export import Graph
from trainer.recipe.document import Recipe, read_recipe

pytestmark = pytest.mark.usefixtures("without_pictures")

HEADER = ["time", "pressure", "flow", "label"]
NUMBERS = {"task": "regression", "column": "label", "unit": "mm"}
HALF = {"method": "time", "test": 0.5}
POOR = {"kinds": ["kurtosis"]}
"""What says nothing of a number that follows from the last sample."""


def rows(count: int = 600, *, seed: int = 0) -> list[Row]:
    """Time, pressure, flow, and a number that follows from both."""
    drawn = np.random.default_rng(seed)
    x = drawn.normal(size=(count, 2))
    y = 10 + 3 * x[:, 0] - 2 * x[:, 1] + drawn.normal(scale=0.3, size=count)
    stamps = np.datetime64("2025-03-01T00:00:00") + np.arange(count).astype("timedelta64[s]")
    return [(f"{t}Z", *two, one) for t, two, one in zip(stamps, x, y, strict=True)]


def folder_of(folder: Path, **sections: object) -> Path:
    write_csv(folder / "pump.csv", HEADER, rows())
    return write_recipe(folder, **{"target": NUMBERS, "split": HALF, **sections})


def trained(path: Path, champion: Champion = None, seq: int | None = None) -> Outcome:
    out = path.parent / "out"
    return train(read_recipe(path), out, console=Console(), seq=seq, champion=champion)


def compared(outcome: Outcome) -> Comparison:
    assert outcome.trained.comparison is not None, outcome.trained.notes
    return outcome.trained.comparison


def against(champion: Bundle, outcome: Outcome, recipe: Recipe | None = None) -> Comparison:
    """A trained model against another champion; nothing is trained for that."""
    one = outcome.trained
    subject = Subject(one.recording, one.truth, recipe or one.recipe, one.parts)
    return compare(champion, subject, one.spec, one.model, Graph(outcome.bundle.model))


def on_rows_of(path: Path, outcome: Outcome, model: Model | None = None) -> Comparison:
    """A model against its own bundle on the rows that a recipe tests on; nothing is trained."""
    subject = subject_of(path)
    spec = subject.recipe.window.spec(subject.recording.period_ms())
    graph = Graph(outcome.bundle.model)
    return compare(outcome.bundle, subject, spec, model or outcome.trained.model, graph)


def subject_of(path: Path) -> Subject:
    recipe = read_recipe(path)
    recording, truth = training_rows(recipe)
    parts = split(recording, truth, recipe, recipe.window.spec(recording.period_ms()))
    return Subject(recording, truth, recipe, parts)


def refused(outcome: Outcome) -> str:
    """Why there is no comparison; the bundle is there all the same."""
    assert outcome.trained.comparison is None
    assert outcome.path.is_file()
    return next(said for said in outcome.trained.notes if said.startswith("comparison: "))


def repacked(bundle: Bundle, path: Path, **changes: object) -> Path:
    """The bundle with something else in its manifest."""
    members = {
        "model.onnx": bundle.model,
        "golden.npz": bundle.golden,
        "reference.json": bundle.reference,
        "report.html": bundle.report,
    }
    write_bundle(path, bundle.manifest.model_copy(update=changes), members)
    return path


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return trained(folder_of(tmp_path_factory.mktemp("first")))


@pytest.fixture(scope="module")
def worse(first: Outcome, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """The second bundle, whose features say nothing."""
    return trained(beside(first, tmp_path_factory.mktemp("worse"), features=POOR))


def beside(first: Outcome, folder: Path, **sections: object) -> Path:
    """A recipe in whose output folder the first bundle is."""
    (folder / "out").mkdir()
    shutil.copy(first.path, folder / "out")
    return folder_of(folder, **sections)


def test_first_bundle_of_a_stream_has_no_champion(first: Outcome) -> None:
    assert first.trained.comparison is None
    assert not any("comparison" in said for said in first.trained.notes)


def test_same_model_is_not_shown_to_be_better(first: Outcome, tmp_path: Path) -> None:
    outcome = trained(beside(first, tmp_path))
    found = compared(outcome)
    assert (found.label, found.version, found.seq) == ("pump-health#1", "1.0.0", 1)
    assert found.verdict == "not shown to be better"
    assert found.difference.interval is not None
    low, high = found.difference.interval
    assert low <= 0 <= high
    assert (found.metric, found.windows) == ("rmse", 297)
    both = [one.bundle.manifest.metrics.values["rmse"] for one in (first, outcome)]
    assert [found.champion, found.challenger] == pytest.approx(both, rel=1e-4)
    (caveat,) = found.caveats
    assert "same split" in caveat
    assert found.moved == (), "its signals are as they were"


def test_better_model_is_told_from_a_poor_champion(first: Outcome, worse: Outcome) -> None:
    found = against(worse.bundle, first)
    assert found.verdict == "better"
    assert found.challenger < found.champion / 2
    assert str(found).startswith("better: rmse ")
    assert names(found, "pump-health#2")


def test_worse_model_is_written_and_called_worse(worse: Outcome) -> None:
    found = compared(worse)
    assert found.verdict == "worse"
    report = worse.bundle.report.decode()
    assert names(report, "worse")
    assert f"{found.champion:.4g}" in report
    assert found.caveats[0] in report
    assert worse.path.name == "pump-health-2.zip"


def test_champion_sees_its_own_windows_at_the_same_rows(first: Outcome, tmp_path: Path) -> None:
    found = compared(trained(beside(first, tmp_path, window={"length": 9, "hop": 3})))
    # From the ninth row of the test part on, every third; a shorter window ends at each of them.
    assert found.windows == 98
    assert found.champion == pytest.approx(first.bundle.manifest.metrics.values["rmse"], rel=0.1)
    assert len(found.caveats) == 1  # none of windows that are left out


def test_longer_window_of_the_champion_reaches_back_before_the_test_part(
    first: Outcome, tmp_path: Path
) -> None:
    old = trained(folder_of(tmp_path, window={"length": 40}))
    assert old.bundle.manifest.metrics.test_rows == 261
    assert against(old.bundle, first).windows == 297


def test_rows_the_champion_has_no_window_at_are_counted(tmp_path: Path) -> None:
    sections = {"split": {"method": "group", "test": 0.5}, "data": {"asset_column": "asset"}}
    table = [(*row, number // 150) for number, row in enumerate(rows())]
    write_csv(tmp_path / "pump.csv", [*HEADER, "asset"], table)
    given = {"target": NUMBERS, **sections}
    trained(write_recipe(tmp_path, **given, window={"length": 14}))
    found = compared(trained(write_recipe(tmp_path, **given)))
    assert found.windows == 2 * 137
    assert names(found.caveats[1], "20 of 294")


def test_champion_with_no_window_at_all_is_not_compared(first: Outcome, tmp_path: Path) -> None:
    table = [(*row, number // 3) for number, row in enumerate(rows())]
    write_csv(tmp_path / "pump.csv", [*HEADER, "asset"], table)
    given = {"target": NUMBERS, "window": {"length": 1}, "data": {"asset_column": "asset"}}
    path = write_recipe(tmp_path, **given, split={"method": "group"})
    with pytest.raises(ComparisonError, match=r"test part$"):
        on_rows_of(path, first)


def test_signals_are_found_by_name_in_any_order(first: Outcome, tmp_path: Path) -> None:
    turned = [{"name": "flow"}, {"name": "pressure", "unit": "bar"}]
    path = beside(first, tmp_path)
    text = read_recipe(path)
    assert [signal.name for signal in text.signals] == ["pressure", "flow"]
    found = compared(trained(folder_of(tmp_path, signals=turned)))
    assert found.champion == pytest.approx(first.bundle.manifest.metrics.values["rmse"], rel=1e-4)


@pytest.mark.parametrize(
    ("sections", "values"),
    [
        ({"signals": [{"name": "flow"}]}, ("'pressure'",)),
        (
            {"signals": [{"name": "pressure", "unit": "mbar"}, {"name": "flow"}]},
            ("'pressure'", "bar", "mbar"),
        ),
        ({"target": {**NUMBERS, "unit": "m"}}, ("mm", "m")),
        (
            {"target": {"task": "anomaly"}, "split": HALF},
            ("regression", "anomaly"),
        ),
        (
            {"window": {"length": 4, "period_s": 2}},
            ("1000 ms", "2000 ms"),
        ),
        (
            {"data": {"time": None}, "window": {"length": 1}, "split": {"method": "random"}},
            ("4 samples",),
        ),
    ],
    ids=["signal", "unit", "answer", "task", "pace", "no time"],
)
def test_what_cannot_be_compared_is_said(
    first: Outcome, tmp_path: Path, sections: dict[str, object], values: tuple[str, ...]
) -> None:
    subject = subject_of(folder_of(tmp_path, **sections))
    model = fit(subject.parts.train, subject.truth, subject.recipe)
    with pytest.raises(ComparisonError) as caught:
        on_rows_of(tmp_path / "recipe.toml", first, model)
    assert names(caught.value, *values)


def test_another_meaning_is_not_compared(first: Outcome, tmp_path: Path) -> None:
    value = first.bundle.manifest.outputs[0]
    outputs = (value.model_copy(update={"meaning": "remaining useful life"}),)
    other = repacked(first.bundle, tmp_path / "other.zip", outputs=outputs)
    said = refused(trained(folder_of(tmp_path), other))
    assert names(said, "other.zip", "'remaining useful life'", "'estimate'")


@pytest.mark.parametrize("broken", ["nonsense", "a changed byte", "a folder"])
def test_broken_champion_does_not_end_the_training(
    first: Outcome, tmp_path: Path, broken: str
) -> None:
    path = beside(first, tmp_path)
    file = tmp_path / "out" / "pump-health-1.zip"
    content = bytearray(first.bundle.content)
    content[content.index(b"<h1>") + 4] ^= 1
    file.unlink()
    if broken == "a folder":
        file.mkdir()
    else:
        file.write_bytes(b"PK nonsense" if broken == "nonsense" else content)
    said = refused(trained(path))
    wanted = {"nonsense": "not a ZIP", "a changed byte": "report.html", "a folder": "directory"}
    assert wanted[broken] in said
    assert str(tmp_path) not in said


def test_last_bundle_below_the_seq_is_the_champion(first: Outcome, tmp_path: Path) -> None:
    path = beside(first, tmp_path)
    repacked(first.bundle, tmp_path / "out" / "pump-health-9.zip")
    assert compared(trained(path, seq=5)).label == "pump-health#1"


def test_other_champion_can_be_named_or_none(first: Outcome, tmp_path: Path) -> None:
    path = folder_of(tmp_path)
    assert compared(trained(path, first.path)).label == "pump-health#1"
    outcome = trained(path, "none")
    assert (outcome.path.name, outcome.trained.comparison) == ("pump-health-2.zip", None)


def test_champion_that_is_not_there_is_a_wrong_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", str(folder_of(tmp_path)), "--out", str(tmp_path / "out")]
    assert main([*words, "--champion", str(tmp_path / "gone.zip")]) == 2
    assert names(capsys.readouterr().err, "gone.zip")
    assert not (tmp_path / "out").exists()


def test_comparison_is_told_on_the_terminal(
    first: Outcome, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", str(folder_of(tmp_path)), "--out", str(tmp_path / "out")]
    assert main([*words, "--champion", str(first.path)]) == 0
    told = capsys.readouterr()
    assert "not shown to be better" in told.out
    assert "pump-health#1" in told.out
    assert "comparison: " in told.err


def test_rows_the_champion_may_have_learned_from_are_told(first: Outcome, tmp_path: Path) -> None:
    path = folder_of(tmp_path, split={"method": "time", "train_rows": 123})
    (said,) = on_rows_of(path, first).caveats
    assert "flatters" in said
    assert names(said, "474 of 474", "pump.csv")


def test_file_that_has_grown_since_is_told(first: Outcome, tmp_path: Path) -> None:
    path = folder_of(tmp_path)
    write_csv(tmp_path / "pump.csv", HEADER, rows(700))
    assert names(on_rows_of(path, first).caveats[0], "none of the files", "grown")


def test_files_that_are_new_are_told(first: Outcome, tmp_path: Path) -> None:
    path = folder_of(tmp_path)
    (tmp_path / "pump.csv").unlink()
    write_csv(tmp_path / "april.csv", HEADER, rows(seed=5))
    (caveat,) = on_rows_of(path, first).caveats
    assert "none of the files" in caveat


def test_champion_from_elsewhere_is_told(first: Outcome, tmp_path: Path) -> None:
    lineage = first.bundle.manifest.lineage.model_copy(update={"origin": "graph.onnx"})
    other = repacked(first.bundle, tmp_path / "other.zip", lineage=lineage)
    (caveat,) = against(read_bundle(other.read_bytes()), first).caveats
    assert names(caveat, "elsewhere")


def test_split_that_flatters_the_new_model_is_told(first: Outcome, tmp_path: Path) -> None:
    path = folder_of(tmp_path, split={"method": "random-optimistic", "test": 0.5})
    assert any("split flatters" in one for one in on_rows_of(path, first).caveats)


def test_same_champion_gives_the_same_bytes(
    first: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    path = beside(first, tmp_path, features=POOR)
    one = trained(path, seq=2)
    one.path.unlink()
    two = trained(path, seq=2)
    assert one.bundle.content == two.bundle.content
    assert one.trained.comparison == two.trained.comparison


NAMED = {"task": "classification", "column": "label", "classes": {"0": "healthy", "1": "clogged"}}
LINEAR = {"trials": 1, "candidates": ["linear"], "jobs": 1}


@pytest.fixture(scope="module")
def poor(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """A classifier that is hardly better than chance."""
    folder = tmp_path_factory.mktemp("poor")
    window = {"length": 8}
    return trained(pump_folder(folder, target=NAMED, features=POOR, window=window, search=LINEAR))


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    folder = tmp_path_factory.mktemp("classifier")
    return trained(pump_folder(folder, target=NAMED, search=LINEAR))


@pytest.fixture(scope="module")
def judged(poor: Outcome, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """A sound classifier, compared with the poor one by its F1.

    There are several events in the test part: the poor champion never alarms, which is right in
    between.
    """
    search = {**LINEAR, "metric": "f1"}
    folder = tmp_path_factory.mktemp("judged")
    return trained(pump_folder(folder, 6000, target=NAMED, search=search), poor.path)


@pytest.mark.parametrize("metric", ["macro_f1", "f1", "average_precision", "log_loss", "accuracy"])
def test_classes_are_compared_by_what_the_search_judges_by(
    poor: Outcome, judged: Outcome, metric: str
) -> None:
    recipe = judged.trained.recipe
    assert recipe.search is not None
    search = recipe.search.model_copy(update={"metric": metric})
    found = against(poor.bundle, judged, recipe.model_copy(update={"search": search}))
    assert (found.metric, found.verdict) == (metric, "better")
    assert (found == compared(judged)) == (metric == "f1")
    if metric != "log_loss":
        assert found.challenger == judged.bundle.manifest.metrics.values[metric]


def test_classes_are_matched_by_their_names(classifier: Outcome, tmp_path: Path) -> None:
    turned = {"1": "clogged", "0": "healthy"}
    target = {**NAMED, "classes": turned, "positive": "clogged"}
    outcome = trained(pump_folder(tmp_path, target=target, search=LINEAR), classifier.path)
    assert compared(outcome).champion == classifier.bundle.manifest.metrics.values["macro_f1"]


def test_other_classes_are_not_compared(classifier: Outcome, tmp_path: Path) -> None:
    target = {**NAMED, "classes": {"0": "fine", "1": "clogged"}}
    path = pump_folder(tmp_path, target=target, search=LINEAR)
    said = refused(trained(path, classifier.path))
    assert names(said, "healthy, clogged", "fine, clogged")


def test_detectors_are_compared_by_the_f1_of_their_alarms(tmp_path: Path) -> None:
    target = {"task": "anomaly", "column": "label", "normal": 0}
    one = trained(pump_folder(tmp_path, target=target))
    found = against(one.bundle, one)
    assert (found.metric, found.verdict) == ("f1", "not shown to be better")


def test_detectors_without_labels_are_not_compared(tmp_path: Path) -> None:
    one = trained(pump_folder(tmp_path, 600, target={"task": "anomaly"}))
    with pytest.raises(ComparisonError, match=r"abnormal$"):
        against(one.bundle, one)


def test_messages_of_single_signals_are_compared(tmp_path: Path) -> None:
    table: list[Row] = []
    for time, pressure, flow, label in pump_rows(600):
        table += [(time, pressure, "", label), (time, "", flow, label)]
    write_csv(tmp_path / "pump.csv", HEADER, table)
    given = {"data": {"rows": "messages"}, "target": NAMED, "search": LINEAR}
    old = trained(write_recipe(tmp_path, **given))
    found = against(old.bundle, old)
    assert found.windows == old.bundle.manifest.metrics.test_rows
    assert found.champion == old.bundle.manifest.metrics.values["macro_f1"]


def test_grid_is_compared_at_the_last_point_of_each_row(tmp_path: Path) -> None:
    window = {"length": 4, "trigger": "period", "period_s": 0.5, "max_gap_s": 60}
    old = trained(folder_of(tmp_path, window=window))
    found = against(old.bundle, old)
    assert old.bundle.manifest.metrics.test_rows > found.windows > 290
    assert found.verdict == "not shown to be better"


def in_millibar(folder: Path, count: int = 600) -> Path:
    """The same plant, whose pressure comes in another unit."""
    table = [(one[0], 1000 * float(str(one[1])), *one[2:]) for one in rows(count)]
    write_csv(folder / "pump.csv", HEADER, table)
    return write_recipe(folder, target=NUMBERS, split=HALF)


def test_signal_in_another_unit_than_the_champions_is_told_before_better(
    first: Outcome, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = trained(in_millibar(tmp_path), champion=first.path)
    summarise(outcome.bundle, outcome.path, outcome.trained, Console())
    said = capsys.readouterr()
    warned = [line for line in said.err.splitlines() if "WARNING" in line]
    assert any(names(line, "'pressure'", "champion") for line in warned)
    assert not any("'flow'" in line for line in warned)
    found = compared(outcome)
    assert found.verdict == "better"
    assert str(found).index("pressure") < str(found).index("better")
    (one,) = found.moved
    assert names(one, "-0.135", "multiplied")
