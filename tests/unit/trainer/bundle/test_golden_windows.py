"""Golden vectors that are made up: nobody's history, and a proof of the graph all the same."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from models.bundle.golden import MIN_COUNT, compare, read_golden
from models.bundle.manifest import Channel
from models.bundle.manifest_json import write_manifest
from models.bundle.package import Bundle
from models.errors import GoldenMismatchError
from tests.kit.recordings import pump_folder, pump_rows, write_csv, write_recipe
from trainer.bundle.made_up import Profile
from trainer.commands.train import train
from trainer.console import Console
from trainer.graph.export import Graph
from trainer.recipe.document import read_recipe

pytestmark = pytest.mark.usefixtures("without_pictures")

ROWS = 1200
DAMAGED = 60
FOREST = {"task": "anomaly", "detectors": ["isolation-forest"]}
NUMBER = {"task": "regression", "column": "label"}
BOOSTING = {"trials": 1, "candidates": ["boosting"], "jobs": 1}
"""Trees, which the contest would not choose for a target that a line gives."""


def recorded() -> NDArray[np.float32]:
    return np.array([row[1:3] for row in pump_rows(ROWS)], dtype=np.float32)


def trained(folder: Path, golden: str, target: Mapping[str, object]) -> Bundle:
    rows = [(*row[:3], 5 * float(str(row[1])) + float(str(row[2]))) for row in pump_rows(ROWS)]
    write_csv(folder / "pump-line-4.csv", ["time", "pressure", "flow", "label"], rows)
    ranges = [{"name": "pressure", "range": [0, 16]}, {"name": "flow"}]
    bundle = {"stream": "pump-health", "golden": golden}
    search = {"search": BOOSTING} if target is NUMBER else {}
    path = write_recipe(folder, bundle=bundle, target=target, signals=ranges, **search)
    return train(read_recipe(path), folder / "out", console=Console()).bundle


def windows_of(bundle: Bundle) -> NDArray[np.float32]:
    return read_golden(bundle.golden, bundle.manifest).windows


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return trained(tmp_path_factory.mktemp("made-up"), "made-up", NUMBER)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return trained(tmp_path_factory.mktemp("real"), "real", NUMBER)


def rows_of_the_history(windows: NDArray[np.float32]) -> int:
    known = {tuple(row) for row in recorded().tolist()}
    return sum(tuple(row) in known for row in windows.reshape(-1, 2).tolist())


def test_no_row_of_the_history_travels(made_up: Bundle) -> None:
    assert rows_of_the_history(windows_of(made_up)) == 0


def test_recipe_may_allow_rows_of_the_history(real: Bundle) -> None:
    assert rows_of_the_history(windows_of(real)) >= 4 * MIN_COUNT


def test_names_of_files_stay_at_home(made_up: Bundle) -> None:
    for member in (
        write_manifest(made_up.manifest),
        made_up.model,
        made_up.golden,
        made_up.reference,
    ):
        assert b"pump-line-4" not in member
    assert b"pump-line-4" in made_up.report


def test_edges_middle_and_missing_values_are_among_them(made_up: Bundle) -> None:
    windows, rows = windows_of(made_up), recorded()
    ends = (0, 16), (rows[:900, 1].min(), rows[:900, 1].max())  # the range, or what was seen
    for channel, values in enumerate(ends):
        for value in values:
            assert np.isclose(windows[:, :, channel], value).all(axis=1).any()
        assert np.isnan(windows[:, :, channel]).all(axis=1).any()
        assert np.isnan(windows[:, -1, channel]).any()
    middle = rows[:900].min(axis=0) / 2 + rows[:900].max(axis=0) / 2
    assert np.isclose(windows, middle, rtol=1e-4).all(axis=(1, 2)).any()
    assert np.isclose(windows, rows[:900].mean(axis=0), rtol=1e-2).all(axis=(1, 2)).any()


def test_windows_keep_to_what_was_seen_but_at_the_edges(made_up: Bundle) -> None:
    flow = windows_of(made_up)[:, :, 1]
    assert np.nanmin(flow) >= recorded()[:, 1].min() - 1e-3
    assert np.nanmax(flow) <= recorded()[:, 1].max() + 1e-3


def test_damaged_leaves_of_trees_are_found_as_often_as_by_real_windows(
    made_up: Bundle, real: Bundle
) -> None:
    assert_finds_as_much(made_up, real)


def test_damaged_leaves_of_a_forest_are_found_as_often_as_by_real_windows(tmp_path: Path) -> None:
    made_up, real = (trained(tmp_path / mode, mode, FOREST) for mode in ("made-up", "real"))
    assert_finds_as_much(made_up, real)


def assert_finds_as_much(made_up: Bundle, real: Bundle) -> None:
    """Made-up windows find out at least as many damaged graphs as real ones of the same model."""
    assert made_up.model == real.model
    graphs = [Graph(one) for one in damaged(real.model)]
    found, known = (sum(is_refused(one, bundle) for one in graphs) for bundle in (made_up, real))
    assert found >= known > 0


def damaged(model: bytes) -> list[bytes]:
    """The graph with another value in one leaf of its trees, for leaves spread over all."""
    graphs = []
    for number, node in enumerate(onnx.load_from_string(model).graph.node):
        for place, attribute in enumerate(node.attribute):
            if attribute.name != "leaf_weights":
                continue
            weights = numpy_helper.to_array(attribute.t)
            wrong = float(weights.std()) or 1.0
            for leaf in np.linspace(0, len(weights) - 1, DAMAGED).round().astype(int).tolist():
                changed = weights.copy()
                changed[leaf] += wrong
                other = onnx.load_from_string(model)
                tensor = numpy_helper.from_array(changed)
                other.graph.node[number].attribute[place].t.CopyFrom(tensor)
                graphs.append(other.SerializeToString())
    return graphs


def is_refused(graph: Graph, bundle: Bundle) -> bool:
    golden = read_golden(bundle.golden, bundle.manifest)
    try:
        compare(golden.outputs, graph.run(golden.windows), bundle.manifest.golden)
    except GoldenMismatchError:
        return True
    return False


def test_profile_survives_signals_without_values_and_without_change() -> None:
    windows = np.random.default_rng(3).normal(size=(50, 8, 4)).astype(np.float32)
    windows[:, :, 0] = np.nan
    windows[:, :, 1] = 7
    windows[:20, 3, 2] = np.nan
    profile = Profile.of(windows)
    made = profile.windows(64)
    assert made.shape == (64, 8, 4)
    assert np.isfinite(made).all()
    assert (made[:, :, 1] == 7).all()
    np.testing.assert_array_equal(made, Profile.of(windows).windows(64))
    lowest, highest = profile.reaching(
        (Channel(name="a", valid_range=(-1, 1)), *(Channel(name=name) for name in "bcd"))
    )
    assert (lowest[0], highest[0]) == (-1, 1)


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 1, 200), (5, 70_000 // 16, 16)])
def test_profile_of_any_shape_gives_windows(shape: tuple[int, int, int]) -> None:
    made = Profile.of(np.ones(shape, np.float32)).windows(32)
    assert made.shape == (32, *shape[1:])
    assert (made == 1).all()


def test_signals_that_move_together_do_so_in_made_up_windows() -> None:
    drawn = np.random.default_rng(0).normal(size=(2000, 1, 1))
    other = 2 * drawn + np.random.default_rng(1).normal(size=(2000, 1, 1)) / 10
    windows = np.concatenate([drawn, other], axis=2).astype(np.float32)
    usual = Profile.of(windows).windows(400)[:200, 0]
    assert np.corrcoef(usual.T).min() > 0.95


def test_classifier_has_windows_of_each_class(tmp_path: Path) -> None:
    path = pump_folder(tmp_path, ROWS)
    bundle = train(read_recipe(path), tmp_path / "out", console=Console()).bundle
    golden = read_golden(bundle.golden, bundle.manifest)
    assert set(golden.outputs["value"].tolist()) == {0, 1}
