"""Networks in eight bits: smaller, as good, told where one looks, and refused in words."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.neural_network import MLPClassifier

from tests.kit.recordings import recipe as read
from tests.kit.recordings import write_csv
from trainer.bundle.eight_bits import in_eight_bits
from trainer.commands.inspect import inspect
from trainer.commands.train import Outcome, train
from trainer.console import Console
from trainer.dataset.splits import Parts, split
from trainer.dataset.targets import Truth
from trainer.dataset.training_rows import training_rows
from trainer.estimators.candidate import Candidate, steps
from trainer.estimators.fitting import Model, fit
from trainer.estimators.lines import RidgeLine
from trainer.estimators.network import Network
from trainer.graph.export import export
from trainer.recipe.document import Recipe

pytestmark = pytest.mark.usefixtures("without_pictures")

ROWS, LENGTH, HOP = 3_000, 32, 8
SECTIONS: dict[str, Any] = {
    "window": {"length": LENGTH, "hop": HOP},
    "features": {"kinds": ["mean", "lags"], "lags": [*range(LENGTH)]},
    "target": {"task": "regression", "column": "label"},
    "optimise": {"int8": True},
    "search": {"trials": 1, "jobs": 1, "candidates": ["mlp"]},
}


def write_rows(folder: Path) -> None:
    drawn = np.random.default_rng(1)
    x = drawn.normal(size=(ROWS, 2)).cumsum(axis=0) % 7 + 30
    y = np.abs(x[:, 0] - 33) + 0.5 * np.roll(x[:, 1], 3) + drawn.normal(scale=0.1, size=ROWS)
    stamps = np.datetime64("2025-03-01T00:00:00") + np.arange(ROWS).astype("timedelta64[s]")
    lines = [(f"{t}Z", *row, label) for t, row, label in zip(stamps, x, y, strict=True)]
    write_csv(folder / "pump.csv", ["time", "pressure", "flow", "label"], lines)


@dataclass(frozen=True)
class Case:
    """A fitted model, its graph, and what both were made from."""

    model: Model
    content: bytes
    parts: Parts
    truth: Truth
    recipe: Recipe


def case(folder: Path, estimator: object, *, scaled: bool = True, **optimise: object) -> Case:
    write_rows(folder)
    recipe = read(folder, **{**SECTIONS, "optimise": {"int8": True, **optimise}})
    recording, truth = training_rows(recipe)
    parts = split(recording, truth, recipe, recipe.window.spec(recording.period_ms()))
    candidate = Candidate(recipe.described, steps(estimator, scaled=scaled))
    model = fit(parts.train, truth, recipe, candidate)
    content = export(model, (LENGTH, 2), "pump-health", 1)
    return Case(model, content, parts, truth, recipe)


def network(*widths: int) -> Network:
    return Network(hidden_layer_sizes=widths, max_iter=40, random_state=0)


def tried(one: Case) -> tuple[Any, str]:
    return in_eight_bits(one.model, one.content, one.parts, one.truth, one.recipe)


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return case(tmp_path_factory.mktemp("wide"), network(512, 256))


def test_network_is_a_quarter_as_large_and_as_good(wide: Case) -> None:
    found, said = tried(wide)
    assert len(found.content) < len(wide.content) / 4
    one = found.optimised
    assert one.after <= 1.01 * one.before
    assert (one.metric, one.bytes_before, one.bytes_after) == (
        "rmse",
        len(wide.content),
        len(found.content),
    )
    assert f"{one.after:.4g} instead of {one.before:.4g}" in said


def test_answer_does_not_depend_on_the_other_windows_of_a_batch(wide: Case) -> None:
    found, _ = tried(wide)
    windows = wide.parts.test.values[:40].copy()
    together = found.graph.run(windows)["value"]
    windows[20:] *= 1_000
    np.testing.assert_array_equal(found.graph.run(windows)["value"][:20], together[:20])
    alone = [found.graph.run(window[np.newaxis])["value"][0] for window in windows[:20]]
    np.testing.assert_allclose(alone, together[:20], rtol=1e-6)


def test_classes_are_kept(tmp_path: Path) -> None:
    write_rows(tmp_path)
    text = (tmp_path / "pump.csv").read_text().splitlines()
    worn = [f"{line.rsplit(',', 1)[0]},{float(line.rsplit(',', 1)[1]) > 18}" for line in text[1:]]
    (tmp_path / "pump.csv").write_text("\n".join([text[0], *worn]) + "\n")
    recipe = read(tmp_path, **{**SECTIONS, "target": {"task": "classification", "column": "label"}})
    recording, truth = training_rows(recipe)
    parts = split(recording, truth, recipe, recipe.window.spec(recording.period_ms()))
    net = MLPClassifier(hidden_layer_sizes=(1_024, 256), max_iter=10, random_state=0)
    model = fit(parts.train, truth, recipe, Candidate(recipe.described, steps(net, scaled=True)))
    content = export(model, (LENGTH, 2), "pump-health", 1)
    found, said = in_eight_bits(model, content, parts, truth, recipe)
    assert found is not None, said
    windows = parts.test.values
    wanted, given = model.answer(windows), found.model.answer(windows)
    assert (wanted["value"] == given["value"]).mean() > 0.97
    assert np.abs(wanted["probabilities"] - given["probabilities"]).max() < 0.05


@pytest.mark.parametrize(
    ("estimator", "optimise", "said"),
    [
        pytest.param(RidgeLine(), {}, ("RidgeLine", "no network"), id="line"),
        pytest.param(network(32), {}, ("1000000",), id="small network"),
        pytest.param(network(512, 256), {"tolerance": 1e-7}, ("differs",), id="narrow tolerance"),
    ],
)
def test_refusal_says_why(
    tmp_path: Path, estimator: object, optimise: dict[str, Any], said: tuple[str, ...]
) -> None:
    found, reason = tried(case(tmp_path, estimator, **optimise))
    assert found is None
    assert reason.startswith("optimise: no eight bits: ")
    assert all(part in reason for part in said)


def test_worse_figure_is_refused(wide: Case) -> None:
    # A limit that nothing keeps: the error would have to be halved.
    strict = wide.recipe.optimise.model_copy(update={"worse": -0.5})
    recipe = wide.recipe.model_copy(update={"optimise": strict})
    found, reason = in_eight_bits(wide.model, wide.content, wide.parts, wide.truth, recipe)
    assert found is None
    assert "rmse would be" in reason
    assert "optimise.worse allows -0.5" in reason


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    folder = tmp_path_factory.mktemp("trained")
    write_rows(folder)
    features = {"kinds": ["mean", "kernels"], "kernels": 4_400}
    further = {"optimise": {"int8": True, "tolerance": 0.5}, "budget": {"latency_ms": 1_000}}
    recipe = read(folder, **{**SECTIONS, "features": features, **further})
    return train(recipe, folder / "out", console=Console())


def test_bundle_tells_the_figures_before_and_after(outcome: Outcome) -> None:
    bundle, evidence = inspect(outcome.path)
    one = bundle.manifest.optimised
    assert one is not None, outcome.trained.notes
    assert one.bytes_after == len(bundle.model) < one.bytes_before / 4
    assert bundle.manifest.metrics.values["rmse"] == pytest.approx(one.after)
    assert bundle.manifest.schema_version == 2
    assert evidence.memory_bytes > 0
    assert f"optimise: eight bits: {one}" in outcome.trained.notes


def test_report_tells_them_too(outcome: Outcome) -> None:
    page = outcome.bundle.report.decode()
    assert "in eight bits" in page
    assert f"{outcome.bundle.manifest.optimised}" in page
