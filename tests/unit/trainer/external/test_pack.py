"""Graphs as other tools write them are served as they were, or refused with what to do."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    IsolationForest,
)
from sklearn.neural_network import MLPRegressor
from sklearn.tree import DecisionTreeClassifier

from models.bundle.golden import MIN_COUNT, read_golden
from serving.model import explainer_of
from serving.session import Session
from tests.kit.bundles.external import (
    CLASSES,
    LENGTH,
    REQUIRED,
    SIGNALS,
    convolution,
    from_sklearn,
    linear,
    made,
    original,
    packed,
    rows,
    served,
    windows,
)
from tests.kit.recordings import pump_rows, write_csv
from tests.kit.wording import names
from trainer.commands.inspect import inspect

SHARES: dict[str, Any] = {
    "name": "probabilities",
    "tensor": "logits",
    "meaning": "probability of each state",
    "classes": CLASSES,
}
CONVOLVED: dict[str, Any] = {
    "task": "classification",
    "window": {"length": LENGTH},
    "input": {"layout": "ncl"},
    "outputs": [SHARES],
}
TREES: list[dict[str, Any]] = [
    {"name": "value", "tensor": "output_label", "meaning": "state", "classes": ["ok", "worn"]},
    {"name": "probabilities", "tensor": "output_probability", "meaning": "how probable"},
]


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    raised = np.exp(logits.astype(np.float64))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("batch", ["batch", 1], ids=["dynamic", "fixed"])
def test_convolution_of_channels_first_answers_as_it_was(tmp_path: Path, batch: int | str) -> None:
    ours = packed(
        tmp_path,
        convolution(batch),
        task="classification",
        window={"length": LENGTH, "hop": 4},
        input={"name": "x", "layout": "ncl"},
        outputs=[{**SHARES, "apply": "softmax"}],
    )
    given = windows(20, LENGTH)
    (logits,) = original(convolution("batch"), given.transpose(0, 2, 1))
    answers = served(ours.bundle, given)
    np.testing.assert_allclose(answers["probabilities"], softmax(logits), rtol=1e-4)
    np.testing.assert_array_equal(answers["value"], logits.argmax(axis=1))
    np.testing.assert_allclose(answers["score"], softmax(logits).max(axis=1), rtol=1e-4)
    assert len(set(answers["value"].tolist())) > 1
    assert ours.bundle.manifest.outputs[0].classes == tuple(CLASSES)


def test_samples_first_needs_no_transposition(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Flatten", ["x"], ["f"]),
        helper.make_node("MatMul", ["f", "w"], ["y"]),
    ]
    weights = {"w": np.arange(LENGTH * 2, dtype="f4").reshape(-1, 1)}
    model = made(nodes, {"x": ("N", LENGTH, 2)}, {"y": TensorProto.FLOAT}, weights)
    bundle = packed(tmp_path, model, window={"length": LENGTH}, input={"layout": "nlc"}).bundle
    given = windows(9, LENGTH)
    (expected,) = original(model, given)
    np.testing.assert_allclose(served(bundle, given)["value"], expected[:, 0], rtol=1e-5)


def test_flat_window_is_sample_after_sample(tmp_path: Path) -> None:
    model = linear(width=2 * LENGTH)
    ours = packed(tmp_path, model, window={"length": LENGTH}, input={"layout": "flat"})
    given = windows(9, LENGTH)
    (expected,) = original(model, given.reshape(9, -1))
    np.testing.assert_allclose(served(ours.bundle, given)["value"], expected[:, 0], rtol=1e-5)


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ([0, 1], ["ok", "worn"]),
        ([3, 7], {"3": "ok", "7": "worn"}),
        (["ok", "worn"], ["ok", "worn"]),
        (["a", "b"], {"a": "ok", "b": "worn"}),
    ],
    ids=["indices", "numbers", "names", "texts"],
)
def test_trees_with_a_zipmap_answer_as_they_were(
    tmp_path: Path, labels: list[object], classes: object
) -> None:
    x = rows()
    y = np.array(labels)[(x.sum(axis=1) > 0).astype(int)]
    model = from_sklearn(GradientBoostingClassifier(n_estimators=5, random_state=0).fit(x, y))
    assert model.graph.output[1].type.WhichOneof("value") == "sequence_type"
    outputs = [{**TREES[0], "classes": classes}, TREES[1]]
    ours = packed(tmp_path, model, task="classification", outputs=outputs)
    given = windows(200)
    label, shares = original(model, given[:, 0])
    answers = served(ours.bundle, given)
    assert [labels[index] for index in answers["value"]] == label.tolist()
    expected = [[share[label] for label in labels] for share in shares]
    np.testing.assert_allclose(answers["probabilities"], expected, rtol=1e-6)
    assert set(answers["value"].tolist()) == {0, 1}
    assert ours.bundle.manifest.outputs[0].classes == ("ok", "worn")


def test_trees_in_the_oldest_operators_are_looked_up_too(tmp_path: Path) -> None:
    """As LightGBM's converter writes them: opset 8, and an ai.onnx.ml with no such look-up."""
    x = rows()
    model = from_sklearn(GradientBoostingClassifier(n_estimators=5).fit(x, 4 * (x[:, 1] > 0)))
    ages = {"": 8, "ai.onnx.ml": 1}
    del model.opset_import[:]
    model.opset_import.extend(helper.make_opsetid(*one) for one in ages.items())
    outputs = [{**TREES[0], "classes": {"0": "ok", "4": "worn"}}, TREES[1]]
    ours = packed(tmp_path, model, task="classification", outputs=outputs)
    given = windows(50)
    answers = served(ours.bundle, given)
    np.testing.assert_array_equal(answers["value"] * 4, original(model, given[:, 0])[0])


def test_trees_without_an_opset_get_one(tmp_path: Path) -> None:
    x = rows()
    model = from_sklearn(GradientBoostingClassifier(n_estimators=5).fit(x, x[:, 1] > 0))
    (trees,) = [node for node in model.graph.node if node.op_type == "TreeEnsembleClassifier"]
    del model.graph.node[:], model.opset_import[:], model.graph.output[:]
    model.graph.node.append(trees)
    model.graph.output.append(onnx.ValueInfoProto(name=trees.output[1]))
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 1))
    shares = {**TREES[1], "tensor": trees.output[1], "classes": ["ok", "worn"]}
    ours = packed(tmp_path, model, task="classification", outputs=[shares])
    given = windows(50)
    answers = served(ours.bundle, given)
    np.testing.assert_array_equal(answers["probabilities"], original(model, given[:, 0])[0])


def test_functions_that_the_file_brings_along_are_no_foreign_operators(tmp_path: Path) -> None:
    """As PyTorch's newer exporter writes them."""
    opset = helper.make_opsetid("", 17)
    add = helper.make_node("Add", ["a", "a"], ["b"])
    twice = helper.make_function("pkg.torch", "Twice", ["a"], ["b"], [add], [opset])
    node = helper.make_node("Twice", ["y"], ["out"], domain="pkg.torch")
    imports = [opset, helper.make_opsetid("pkg.torch", 1)]
    model = linear(node, output="out", opset_imports=imports, functions=[twice])
    outputs = [{"name": "value", "tensor": "out", "meaning": "hours left"}]
    given = windows(5)
    answers = served(packed(tmp_path, model, outputs=outputs).bundle, given)
    np.testing.assert_allclose(answers["value"], 2 * (given[:, 0] @ [1, 2]), rtol=1e-5)


def test_threshold_decides_where_the_graph_does_not(tmp_path: Path) -> None:
    x = rows()
    tree = DecisionTreeClassifier(max_depth=2, min_samples_leaf=50).fit(x, x.sum(axis=1) > 5)
    outputs = [{**TREES[1], "classes": ["ok", "worn"], "threshold": 0.25}]
    model = from_sklearn(tree)
    ours = packed(tmp_path, model, task="classification", outputs=outputs, signals=REQUIRED)
    given = windows(200)
    answers = served(ours.bundle, given)
    share = np.array([one[True] for one in original(model, given[:, 0])[1]])
    np.testing.assert_allclose(answers["score"], share, rtol=1e-6)
    np.testing.assert_array_equal(answers["value"], share > 0.25)
    assert ours.bundle.manifest.outputs[1].threshold == 0.25


def test_column_of_numbers_becomes_one_a_window(tmp_path: Path) -> None:
    x = rows()
    model = from_sklearn(GradientBoostingRegressor(n_estimators=5).fit(x, x[:, 0] * 2))
    outputs = [{"name": "value", "tensor": "variable", "meaning": "hours left", "unit": "h"}]
    ours = packed(tmp_path, model, outputs=outputs)
    given = windows(50)
    (expected,) = original(model, given[:, 0])
    assert expected.shape == (50, 1)
    np.testing.assert_array_equal(served(ours.bundle, given)["value"], expected[:, 0])
    assert ours.bundle.manifest.outputs[0].unit == "h"


def test_detector_with_labels_of_its_own_is_normal_or_not(tmp_path: Path) -> None:
    forest = IsolationForest(n_estimators=10, random_state=0).fit(rows(64) / 10)
    model = from_sklearn(forest)
    outputs: list[dict[str, Any]] = [
        {"name": "value", "tensor": "label", "meaning": "1 where abnormal"},
        {"name": "score", "tensor": "scores", "meaning": "the lower the more abnormal"},
    ]
    outputs[0] |= {"classes": {"1": "normal", "-1": "abnormal"}}
    ours = packed(tmp_path, model, task="anomaly", outputs=outputs)
    given = windows(200)
    label, scores = original(model, given[:, 0])
    answers = served(ours.bundle, given)
    np.testing.assert_array_equal(answers["value"], label.ravel() == -1)
    np.testing.assert_allclose(answers["score"], scores.ravel(), rtol=1e-5)
    assert set(answers["value"].tolist()) == {0, 1}


def test_score_that_is_abnormal_below_its_threshold_is_turned(tmp_path: Path) -> None:
    forest = IsolationForest(n_estimators=10, random_state=0).fit(rows(64))
    model = from_sklearn(forest)
    score = {"name": "score", "tensor": "scores", "meaning": "how normal", "threshold": -0.05}
    recorded = write_csv(tmp_path / "rows.csv", ["pressure", "flow"], rows(64).tolist())
    ours = packed(
        tmp_path, model, [recorded], task="anomaly", outputs=[{**score, "direction": "below"}]
    )
    given = windows(200)
    scores = original(model, given[:, 0])[1].ravel()
    answers = served(ours.bundle, given)
    np.testing.assert_array_equal(answers["value"], scores < np.float32(-0.05))
    np.testing.assert_array_equal(answers["score"], -scores)
    assert ours.bundle.manifest.outputs[1].threshold == 0.05
    assert ours.answered.shares["normal"] > 0.5
    assert not any("direction" in note for note in ours.notes)


def test_detector_that_alarms_in_most_recorded_windows_is_remarked(tmp_path: Path) -> None:
    score = {"name": "score", "tensor": "y", "meaning": "wear", "threshold": -1000}
    recorded = write_csv(tmp_path / "rows.csv", ["pressure", "flow"], rows(64).tolist())
    ours = packed(tmp_path, linear(), [recorded], task="anomaly", outputs=[score])
    (told,) = [note for note in ours.notes if "direction" in note]
    assert names(told, "100.0% of 64 recorded windows")
    assert names(ours.answered.said, "anomaly 100.0%")


def test_logit_of_two_classes_is_a_score_by_sigmoid(tmp_path: Path) -> None:
    outputs = [
        {
            "name": "score",
            "tensor": "y",
            "meaning": "probability of wear",
            "apply": "sigmoid",
            "threshold": 0.5,
            "classes": ["ok", "worn"],
        }
    ]
    ours = packed(tmp_path, linear(), task="classification", outputs=outputs)
    given = windows(50)
    logit = original(linear(), given[:, 0])[0][:, 0].astype(np.float64)
    answers = served(ours.bundle, given)
    np.testing.assert_array_equal(answers["value"], logit > 0)
    np.testing.assert_allclose(answers["score"], 1 / (1 + np.exp(-logit)), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("dtype", [TensorProto.DOUBLE, TensorProto.FLOAT16])
def test_other_floats_are_cast_both_ways(tmp_path: Path, dtype: int) -> None:
    kind = helper.tensor_dtype_to_np_dtype(dtype)
    model = linear(weights={"w": np.array([[1], [2]], kind)})
    model.graph.input[0].type.tensor_type.elem_type = dtype
    ours = packed(tmp_path, model)
    answers = served(ours.bundle, windows(5))["value"]
    assert answers.dtype == np.float32
    expected = original(model, windows(5)[:, 0].astype(kind))[0][:, 0]
    np.testing.assert_array_equal(answers, expected.astype(np.float32))


def test_weights_beside_the_file_are_taken_in(tmp_path: Path) -> None:
    model, beside = linear(), linear()
    onnx.save_model(
        beside,
        tmp_path / "split.onnx",
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=0,
    )
    assert (tmp_path / "weights.bin").stat().st_size
    ours = packed(tmp_path, onnx.load(tmp_path / "split.onnx", load_external_data=False))
    given = windows(5)
    np.testing.assert_array_equal(
        served(ours.bundle, given)["value"], original(model, given[:, 0])[0][:, 0]
    )
    assert set(ours.bundle.manifest.lineage.data) == {"net.onnx", "net.toml", "weights.bin"}


def test_weights_listed_as_inputs_stay_weights(tmp_path: Path) -> None:
    model = linear()
    model.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [2, 1]))
    given = windows(5)
    expected = original(linear(), given[:, 0])[0][:, 0]
    answers = served(packed(tmp_path, model).bundle, given)
    np.testing.assert_array_equal(answers["value"], expected)


def test_loops_keep_their_view_of_outer_tensors(tmp_path: Path) -> None:
    """The branch reads a weight of the graph around it, whose tensors get other names."""
    inner = helper.make_graph(
        [helper.make_node("Mul", ["y", "scale"], ["value"])],
        "branch",
        [],
        [helper.make_tensor_value_info("value", TensorProto.FLOAT, None)],
    )
    choice = helper.make_node("If", ["yes"], ["out"], then_branch=inner, else_branch=inner)
    weights = {"yes": np.array([True]), "scale": np.array(3, "f4")}
    model = linear(choice, output="out", weights=weights)
    outputs = [{"name": "value", "tensor": "out", "meaning": "hours left"}]
    given = windows(5)
    answers = served(packed(tmp_path, model, outputs=outputs).bundle, given)
    np.testing.assert_allclose(answers["value"], 3 * (given[:, 0] @ [1, 2]), rtol=1e-5)


def test_missing_values_are_tried_and_shown_to_gateways(tmp_path: Path) -> None:
    x = rows()
    model = from_sklearn(GradientBoostingRegressor(n_estimators=5).fit(x, x[:, 0] * 2))
    outputs = [{"name": "value", "tensor": "variable", "meaning": "hours left"}]
    signals = [SIGNALS[0], REQUIRED[1]]
    ours = packed(tmp_path, model, outputs=outputs, signals=signals)
    golden = read_golden(ours.bundle.golden, ours.bundle.manifest)
    assert np.isnan(golden.windows[:, :, 0]).any()
    assert not np.isnan(golden.windows[:, :, 1]).any()
    assert any(names(said, "'pressure'") for said in ours.notes)


def test_golden_windows_reach_the_edges_of_the_ranges(tmp_path: Path) -> None:
    ours = packed(tmp_path, linear())
    golden = read_golden(ours.bundle.golden, ours.bundle.manifest)
    assert len(golden.windows) >= MIN_COUNT
    assert golden.windows.min(axis=(0, 1)).tolist() == [0, -50]
    assert golden.windows.max(axis=(0, 1)).tolist() == [10, 50]


def test_bundle_says_what_nobody_measured(tmp_path: Path) -> None:
    ours = packed(tmp_path, convolution(softmax=True), **CONVOLVED)
    bundle, evidence = inspect(ours.path)
    manifest = bundle.manifest
    assert ours.path.name == "pump-health-1.zip"
    assert evidence.golden_error == 0
    assert "not measured" in manifest.metrics.split
    assert manifest.metrics.values == {}
    assert "pytorch" in manifest.lineage.origin
    assert "transport" in manifest.lineage.origin
    page = bundle.report.decode()
    assert "not trained by millhand" in page
    assert "not that the answers are right" in page
    assert not re.search(r"<script|src=|href=|https?://", page)
    assert json.loads(bundle.reference)["signals"]["flow"]["count"] == 0


def test_claimed_figures_are_called_claims(tmp_path: Path) -> None:
    claim = {"split": "last tenth of 2024", "test_rows": 900, "values": {"mae": 1.5}}
    ours = packed(tmp_path, linear(), metrics=claim)
    metrics = ours.bundle.manifest.metrics
    assert names(metrics.split, "claimed", "not measured", "last tenth of 2024")
    assert (metrics.test_rows, metrics.values) == (900, {"mae": 1.5})
    assert "claimed" in ours.bundle.report.decode()


def test_recorded_rows_become_golden_windows_if_that_is_allowed(tmp_path: Path) -> None:
    history = write_csv(
        tmp_path / "pump.csv", ["time", "pressure", "flow", "label"], pump_rows(300)
    )
    signals = [{"name": "pressure", "missing": "require"}, {"name": "flow", "missing": "require"}]
    ours = packed(
        tmp_path,
        linear(width=8),
        signals=signals,
        window={"length": 4},
        input={"layout": "flat"},
        data={"files": [str(history)], "time": {"column": "time"}},
        bundle={"stream": "pump-health", "golden": "real"},
    )
    manifest = ours.bundle.manifest
    assert manifest.window.sample_period_ms == 1000
    assert "recorded-1" in manifest.lineage.data
    golden = read_golden(ours.bundle.golden, manifest)
    recorded = np.array([row[1:3] for row in pump_rows(300)], np.float32)
    np.testing.assert_array_equal(golden.windows[0], recorded[:4])
    extremes = recorded.min(axis=0), recorded.max(axis=0)
    assert golden.windows.min(axis=(0, 1)).tolist() == extremes[0].tolist()
    assert golden.windows.max(axis=(0, 1)).tolist() == extremes[1].tolist()
    reference = json.loads(ours.bundle.reference)
    assert reference["signals"]["pressure"]["count"] == 297
    assert reference["score"]["count"] == 297
    assert reference["reason"]


def test_rows_of_the_command_line_need_no_data_section(tmp_path: Path) -> None:
    history = write_csv(tmp_path / "a.csv", ["pressure", "flow"], rows(40).tolist())
    ours = packed(tmp_path, linear(), [history])
    assert "recorded-1" in ours.bundle.manifest.lineage.data
    assert b"a.csv" not in ours.bundle.content


def test_same_graph_and_description_give_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    one, two = (packed(tmp_path / name, linear()).bundle for name in ("a", "b"))
    assert one.content == two.content


def test_seq_rises_in_the_folder(tmp_path: Path) -> None:
    packed(tmp_path, linear())
    ours = packed(tmp_path, linear())
    assert (ours.path.name, ours.bundle.manifest.seq) == ("pump-health-2.zip", 2)
    assert served(ours.bundle, windows(1))["value"].shape == (1,)


def test_network_without_an_imputer_is_served_with_required_signals(tmp_path: Path) -> None:
    x = rows()
    net = MLPRegressor(hidden_layer_sizes=(4,), max_iter=2000, random_state=0).fit(x, x[:, 0])
    outputs = [{"name": "value", "tensor": "variable", "meaning": "pressure, guessed"}]
    ours = packed(tmp_path, from_sklearn(net), outputs=outputs)
    given = windows(9)
    np.testing.assert_allclose(
        served(ours.bundle, given)["value"], net.predict(given[:, 0]), rtol=1e-3, atol=1e-3
    )


@pytest.mark.parametrize(
    ("explain", "method"), [("alarm", "shapley"), ("always", "shapley"), ("never", None)]
)
def test_recorded_rows_let_a_foreign_graph_be_explained(
    tmp_path: Path, explain: str, method: str | None
) -> None:
    history = write_csv(tmp_path / "a.csv", ["pressure", "flow"], rows(40).tolist())
    bundle = packed(tmp_path, linear(), [history], explain=explain).bundle
    section = bundle.manifest.explain
    assert (section and section.method) == method
    Session(bundle).replay_golden(bundle.golden)
    explainer = explainer_of(bundle)
    assert (explainer is not None) == (method is not None)


def test_without_recorded_rows_there_is_a_note_and_no_explanation(tmp_path: Path) -> None:
    ours = packed(tmp_path, linear())
    assert ours.bundle.manifest.explain is None
    assert any(note.startswith("explain: ") for note in ours.notes)
    assert not any("explain" in note for note in packed(tmp_path, linear(), explain="never").notes)
