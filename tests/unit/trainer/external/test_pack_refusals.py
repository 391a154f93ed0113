"""A graph that a gateway could not serve is refused with what to do, and nothing is written."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import ModelProto, NodeProto, TensorProto, helper
from sklearn.base import BaseEstimator
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import GradientBoostingClassifier, IsolationForest
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.kit.bundles.external import (
    CLASSES,
    LENGTH,
    SIGNALS,
    convolution,
    document,
    from_sklearn,
    linear,
    made,
    packed,
    rows,
    served,
    windows,
)
from tests.kit.gateway.evil import evil_bundle
from tests.kit.recordings import write_csv
from tests.kit.wording import names, naming
from trainer.commands.pack import pack
from trainer.console import Console
from trainer.errors import DataError, GraphError, RecipeError, UsageError
from trainer.external.declaration import read_declaration

STATE = {"name": "value", "tensor": "y", "meaning": "state", "classes": ["ok", "worn"]}
SHARES = {"name": "probabilities", "tensor": "y", "meaning": "each", "classes": ["ok", "worn"]}
NET: dict[str, Any] = {
    "task": "classification",
    "window": {"length": LENGTH},
    "input": {"layout": "ncl"},
    "outputs": [{**SHARES, "tensor": "logits", "classes": CLASSES, "apply": "softmax"}],
}


def refusal(folder: Path, model: ModelProto, **sections: Any) -> str:  # noqa: ANN401  as TOML
    with pytest.raises(GraphError) as caught:
        packed(folder, model, **sections)
    assert not (folder / "out").exists()
    return str(caught.value)


def then(kind: str, *more: str, **options: Any) -> ModelProto:  # noqa: ANN401  as `linear`
    """The linear graph with one more node before its output `out`."""
    weights = options.pop("weights", {})
    node = helper.make_node(kind, ["y", *more], ["out"], **options)
    return linear(node, output="out", weights=weights)


OUT = [{"name": "value", "tensor": "out", "meaning": "hours left"}]
SCORE = [{**STATE, "tensor": "out", "name": "score", "threshold": 0.5}]


def test_answer_that_depends_on_the_batch_is_refused(tmp_path: Path) -> None:
    told = refusal(tmp_path, then("Softmax", axis=0), outputs=OUT)
    assert names(told, "'value'")
    assert "model.eval()" in told


def test_answer_that_is_drawn_at_random_is_refused(tmp_path: Path) -> None:
    told = refusal(tmp_path, then("RandomUniformLike"), outputs=OUT)
    assert names(told, "'value'")


def test_graph_without_an_answer_to_missing_values_asks_for_require(tmp_path: Path) -> None:
    told = refusal(tmp_path, linear(), signals=SIGNALS)
    assert names(told, "'pressure', 'flow'", "missing = 'require'")


def test_class_alone_does_not_show_what_is_made_of_missing_values(tmp_path: Path) -> None:
    trees = from_sklearn(GradientBoostingClassifier(n_estimators=2).fit(rows(), rows()[:, 0] > 5))
    outputs = [{**STATE, "tensor": "output_label"}]
    told = refusal(tmp_path, trees, task="classification", outputs=outputs, signals=SIGNALS)
    assert names(told, "score", "probabilities")


def test_answer_that_is_no_number_within_the_ranges_is_refused(tmp_path: Path) -> None:
    told = refusal(tmp_path, then("Log"), outputs=OUT)
    assert names(told, "'value'", "nan")
    assert names(told, "pressure")


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (made([], {"a": ("N", 2), "b": ("N", 2)}, {"a": 1}), "has 2 inputs (a, b)"),
        (made([], {}, {"a": 1}), "has 0 inputs"),
        (made([], {"x": ("N", 1, 2, 1)}, {"x": 1}), "nlc [batch, 1, 2]"),
        (made([], {"x": ("N", 3)}, {"x": 1}), "[?, 3]"),
        (made([], {"x": ("N", 1, 2)}, {"x": 1}), "input.layout"),
    ],
    ids=["two", "none", "images", "width", "unsaid"],
)
def test_input_that_takes_no_window_is_refused(
    tmp_path: Path, model: ModelProto, said: str
) -> None:
    assert said in refusal(tmp_path, model)


def test_input_by_another_name_is_refused(tmp_path: Path) -> None:
    told = refusal(tmp_path, linear(), input={"name": "z"})
    assert names(told, "input.name", "'z'", "x")


def test_layout_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    told = refusal(tmp_path, convolution(), **{**NET, "input": {"layout": "nlc"}})
    assert names(told, "[?, 2, 16]", "nlc")


def test_layout_is_never_guessed(tmp_path: Path) -> None:
    told = refusal(tmp_path, convolution(), **{**NET, "input": {}})
    assert names(told, "input.layout", "ncl")


def test_whole_numbers_as_input_are_refused(tmp_path: Path) -> None:
    model = linear()
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64
    assert names(refusal(tmp_path, model), "'x'", "int64", "float32, float64, float16")


def test_batch_that_is_fixed_inside_is_refused(tmp_path: Path) -> None:
    nodes = [helper.make_node("Reshape", ["y", "shape"], ["out"])]
    model = linear(*nodes, output="out", weights={"shape": np.array([1, 1])})
    told = refusal(tmp_path, model, outputs=OUT)
    assert "fixed batch" in told
    assert "dynamic_axes" in told


@pytest.mark.parametrize(
    ("model", "outputs", "said"),
    [
        (linear(), OUT, "'out'"),
        (then("ReduceSum", keepdims=0), OUT, "batch axis"),
        (then("Concat", "y", axis=1), OUT, "2 numbers each"),
        (then("SequenceConstruct"), OUT, "'out'"),
    ],
    ids=["unknown", "batch lost", "two", "sequence"],
)
def test_output_that_is_not_one_number_a_window_is_refused(
    tmp_path: Path, model: ModelProto, outputs: list[dict[str, Any]], said: str
) -> None:
    if model.graph.node[-1].op_type == "SequenceConstruct":
        element = helper.make_tensor_type_proto(TensorProto.FLOAT, None)
        model.graph.output[0].type.CopyFrom(helper.make_sequence_type_proto(element))
    assert said in refusal(tmp_path, model, outputs=outputs)


@pytest.mark.parametrize(
    ("model", "outputs", "said"),
    [
        (linear(), [STATE], "threshold"),
        (linear(), [SHARES], "threshold"),
        (then("Concat", "y", "y", axis=1), [{**SHARES, "tensor": "out"}], "[batch, 2] is needed"),
        (then("Concat", "y", axis=1), [{**SHARES, "tensor": "out"}], "apply = 'softmax'"),
        (then("Round"), [{**STATE, "tensor": "out"}], "0, 1"),
    ],
    ids=["fraction", "single", "three", "logits", "labels"],
)
def test_class_that_is_none_is_refused(
    tmp_path: Path, model: ModelProto, outputs: list[dict[str, Any]], said: str
) -> None:
    assert said in refusal(tmp_path, model, task="classification", outputs=outputs)


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        (["ok", "worn"], "3, 7"),
        ({"7": "worn", "3": "ok"}, "3, 7"),
        ({"three": "ok", "seven": "worn"}, "3, 7"),
    ],
)
def test_columns_of_other_labels_are_refused(tmp_path: Path, classes: object, said: str) -> None:
    y = np.where(rows()[:, 0] > 5, 7, 3)
    model = from_sklearn(GradientBoostingClassifier(n_estimators=2).fit(rows(), y))
    shares = {**SHARES, "tensor": "output_probability", "classes": classes}
    assert said in refusal(tmp_path, model, task="classification", outputs=[shares])


@pytest.mark.parametrize("options", [{}, {"zipmap": False}], ids=["zipmap", "plain"])
@pytest.mark.parametrize(
    "estimator",
    [
        GradientBoostingClassifier(n_estimators=2),
        LogisticRegression(),
        MLPClassifier((2,), max_iter=5000, tol=0.1, random_state=0),
        make_pipeline(StandardScaler(), LinearDiscriminantAnalysis()),
    ],
    ids=["trees", "line", "network", "discriminant"],
)
def test_columns_in_another_order_than_the_classes_are_refused(
    tmp_path: Path, estimator: BaseEstimator, options: dict[str, bool]
) -> None:
    """A worn window would be answered as healthy."""
    y = np.where(rows()[:, 0] > 5, "worn", "healthy")
    model = from_sklearn(estimator.fit(rows(), y), options=options)
    tensor = model.graph.output[1].name
    shares = {**SHARES, "tensor": tensor, "classes": ["worn", "healthy"]}
    told = refusal(tmp_path, model, task="classification", outputs=[shares])
    assert names(told, "healthy, worn")


def test_detector_that_alarms_on_the_wrong_side_is_refused(tmp_path: Path) -> None:
    """An isolation forest of scikit-learn is abnormal below zero."""
    model = from_sklearn(IsolationForest(n_estimators=10, random_state=0).fit(rows(64) / 10))
    score = {"name": "score", "tensor": "scores", "meaning": "how normal", "threshold": 0}
    told = refusal(tmp_path, model, task="anomaly", outputs=[score])
    assert names(told, "direction = 'below'")
    turned = {**score, "tensor": "turned", "direction": "below"}
    model.graph.node.append(helper.make_node("Neg", ["scores"], ["turned"]))
    model.graph.output.append(onnx.ValueInfoProto(name="turned"))
    told = refusal(tmp_path, model, task="anomaly", outputs=[turned])
    assert names(told, "direction = 'above'")


def test_labels_that_are_no_numbers_are_refused_for_a_graph_of_numbers(tmp_path: Path) -> None:
    zero = then("Greater", "half", weights={"half": np.array(0.5, "f4")})
    outputs = [{**STATE, "tensor": "out", "classes": {"0": "ok", "1": "worn", "x": "none"}}]
    told = refusal(tmp_path, zero, task="classification", outputs=outputs)
    assert names(told, "0, 1, x")


def test_threshold_that_the_graph_does_not_keep_is_refused(tmp_path: Path) -> None:
    above = helper.make_node("Greater", ["y", "half"], ["out"])
    model = linear(above, output="out", weights={"half": np.array(0.5, "f4")})
    model.graph.output.append(onnx.ValueInfoProto(name="y"))
    score = {"name": "score", "tensor": "y", "meaning": "wear", "threshold": 30}
    outputs = [{**STATE, "tensor": "out"}, score]
    told = refusal(tmp_path, model, task="classification", outputs=outputs)
    assert names(told, "'worn'")
    assert names(told, "30")


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (linear(opset_imports=[helper.make_opsetid("", 99)]), "13 to 21"),
        (linear(opset_imports=[helper.make_opsetid("", 6)]), "opset 6"),
        (linear(ir_version=99), "model.ir_version = 10"),
        (then("Fly"), "No Op registered for Fly"),
        (then("Fly", domain="my.ops"), "my.ops.Fly"),
    ],
    ids=["new opset", "old opset", "new IR", "unknown", "custom"],
)
def test_graph_that_no_gateway_can_run_is_refused(
    tmp_path: Path, model: ModelProto, said: str
) -> None:
    sections = {"outputs": OUT} if len(model.graph.node) > 1 else {}
    assert said in refusal(tmp_path, model, **sections)


@pytest.mark.parametrize(
    "content",
    [b"", b"no graph", b"\x08\x08" * 10, b"PK\x03\x04"],
    ids=["empty", "text", "another message", "archive"],
)
def test_file_that_is_no_graph_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    (tmp_path / "net.toml").write_text(tomli_w.dumps(document()))
    with pytest.raises(GraphError, match=naming("net.onnx")):
        pack(path, tmp_path / "net.toml", tmp_path / "out", console=Console())


@settings(max_examples=100)
@given(data=st.data())
def test_damaged_graph_is_refused_or_packed_but_never_breaks_out(data: st.DataObject) -> None:
    content = bytearray(convolution(1).SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with TemporaryDirectory() as folder:
        path, description = Path(folder) / "net.onnx", Path(folder) / "net.toml"
        path.write_bytes(content)
        description.write_text(tomli_w.dumps(document(**NET)))
        try:
            bundle = pack(path, description, Path(folder), console=Console()).bundle
        except GraphError:
            assert [one.name for one in Path(folder).glob("*.zip")] == []
        else:
            assert served(bundle, windows(3, LENGTH))["value"].shape == (3,)


@pytest.mark.parametrize("location", ["gone.bin", "../secret.bin", "/etc/hostname"])
def test_weights_that_are_not_beside_the_file_are_refused(tmp_path: Path, location: str) -> None:
    model = linear()
    (tmp_path / "secret.bin").write_bytes(bytes(8))
    tensor = model.graph.initializer[0]
    onnx.external_data_helper.set_external_data(tensor, location, offset=0, length=8)
    tensor.ClearField("raw_data")
    told = refusal(tmp_path / "inner", model)
    assert names(told, f"'{location}'")


def test_weights_that_are_cut_short_are_refused(tmp_path: Path) -> None:
    model = linear()
    (tmp_path / "cut.bin").write_bytes(bytes(4))
    tensor = model.graph.initializer[0]
    onnx.external_data_helper.set_external_data(tensor, "cut.bin", offset=0, length=8)
    tensor.ClearField("raw_data")
    assert names(refusal(tmp_path, model), "cut.bin")


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        ({"latency_ms": 1e-6}, "budget.latency_ms is 1e-06"),
        ({"model_mb": 1e-5}, "budget.model_mb"),
        ({"memory_mb": 1}, "budget.memory_mb is 1"),
    ],
)
def test_graph_beyond_its_budget_is_refused(
    tmp_path: Path, budget: dict[str, float], said: str
) -> None:
    assert said in refusal(tmp_path, linear(), budget=budget)


def test_graph_that_crashes_onnxruntime_is_refused(tmp_path: Path) -> None:
    model = onnx.load_model_from_string(evil_bundle("crash at load", "mass", 1).model)
    told = refusal(
        tmp_path,
        model,
        signals=[{"name": "c0", "range": [-50, 50]}],
        input={"layout": "nlc"},
        outputs=[{**OUT[0], "tensor": "value"}],
    )
    assert "SIGSEGV" in told


def test_answer_that_never_changes_is_remarked(tmp_path: Path) -> None:
    nothing = then("Mul", "zero", weights={"zero": np.array(0, "f4")})
    (remark,) = packed(tmp_path, nothing, outputs=OUT, explain="never").notes
    assert names(remark, "512 windows")


def test_value_against_the_probabilities_is_remarked(tmp_path: Path) -> None:
    """Whoever declares the classes in another order than the graph's gets told."""
    nodes: list[NodeProto] = [
        helper.make_node("Sigmoid", ["y"], ["p"]),
        helper.make_node("Sub", ["one", "p"], ["q"]),
        helper.make_node("Concat", ["p", "q"], ["out"], axis=1),
        helper.make_node("Greater", ["y", "zero"], ["class"]),
    ]
    weights = {"one": np.array(1, "f4"), "zero": np.array(0, "f4")}
    model = linear(*nodes, output="out", weights=weights)
    model.graph.output.append(onnx.ValueInfoProto(name="class"))
    shares = {"name": "probabilities", "tensor": "out", "meaning": "each"}
    outputs = [{**STATE, "tensor": "class"}, shares]
    sections: dict[str, Any] = {"task": "classification", "outputs": outputs, "explain": "never"}
    (told,) = packed(tmp_path, model, **sections).notes
    assert names(told, "512 of 512")


def test_operators_of_onnxruntime_are_remarked(tmp_path: Path) -> None:
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    node = helper.make_node("Gelu", ["y"], ["out"], domain="com.microsoft")
    model = linear(node, output="out", opset_imports=imports)
    assert packed(tmp_path, model, outputs=OUT).notes[0].startswith("Gelu")


def test_ranges_are_needed_where_there_are_no_samples(tmp_path: Path) -> None:
    signals = [{"name": "pressure"}, {"name": "flow"}]
    with pytest.raises(RecipeError) as caught:
        packed(tmp_path, linear(), signals=signals)
    one, two = str(caught.value).splitlines()
    assert names(one, f"{tmp_path}/net.toml", "signals[0].range")
    assert "signals[1].range" in two


def test_samples_need_a_time_for_windows(tmp_path: Path) -> None:
    history = write_csv(tmp_path / "a.csv", ["pressure", "flow"], rows(40).tolist())
    with pytest.raises(UsageError, match=naming("--samples", "[data]")):
        packed(tmp_path, convolution(), [history], **NET)


def test_samples_without_a_window_are_refused(tmp_path: Path) -> None:
    history = write_csv(tmp_path / "a.csv", ["pressure", "flow"], [(99, 0), (99, 1)])
    with pytest.raises(DataError, match=naming("2 rows", "1 samples")):
        packed(tmp_path, linear(), [history])


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        (
            {"outputs": [{**STATE, "thresold": 1}]},
            "outputs[0].thresold: ",
        ),
        ({"inputs": {}}, "inputs: "),
        ({"input": {"layout": "nchw"}}, "input.layout: found 'nchw'"),
        ({"task": "magic"}, "task: found 'magic'"),
        ({"signals": [SIGNALS[0], SIGNALS[0]]}, "'pressure'"),
        ({"signals": [{"name": "a"}, {"name": "a.b"}]}, "'a.b'"),
        ({"window": {"length": 60_000}}, "120000"),
        ({"outputs": OUT * 2}, "value"),
        ({"outputs": SCORE}, "name = 'value'"),
        ({"outputs": [*OUT, SHARES]}, "probabilities"),
        ({"outputs": [STATE]}, "threshold"),
        ({"task": "classification", "outputs": OUT}, "[]"),
        ({"task": "anomaly", "outputs": [SHARES]}, "probabilities"),
        ({"task": "anomaly", "outputs": [{**STATE, "classes": CLASSES}]}, "two classes"),
        ({"outputs": [{**OUT[0], "threshold": 1}]}, "threshold"),
        ({"outputs": [{**OUT[0], "apply": "sigmoid"}]}, "'sigmoid'"),
        ({"outputs": [{**OUT[0], "direction": "below"}]}, "direction = 'below'"),
        ({"outputs": [{**SCORE[0], "threshold": None, "direction": "below"}]}, "threshold"),
        ({"outputs": [{**SCORE[0], "apply": "sigmoid", "direction": "below"}]}, "logit"),
        ({"outputs": []}, "outputs: "),
        ({"metrics": {"values": {}}}, "metrics.split: is missing"),
        (
            {"window": {"length": 2}, "data": {"files": ["a.csv"]}},
            "data.time",
        ),
        (
            {"task": "classification", "outputs": [{**SCORE[0], "threshold": None}]},
            "outputs",
        ),
        (
            {"task": "classification", "outputs": [{**SCORE[0], "classes": CLASSES}]},
            "threshold",
        ),
        (
            {"task": "classification", "outputs": [STATE, SHARES]},
            "classes",
        ),
        (
            {"task": "classification", "outputs": [*SCORE, {**SHARES, "threshold": 0.5}]},
            "threshold",
        ),
    ],
)
def test_mistake_in_the_description_is_told_with_its_key(
    tmp_path: Path, sections: dict[str, Any], said: str
) -> None:
    path = tmp_path / "net.toml"
    parts = document(**sections)
    parts["outputs"] = [
        {key: value for key, value in one.items() if value is not None} for one in parts["outputs"]
    ]
    path.write_text(tomli_w.dumps(parts))
    with pytest.raises(RecipeError) as caught:
        read_declaration(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"task =", "is not TOML"),
        (b"\xff\xfe", "is not TOML"),
        (b"#" * 300_000, "262144 bytes"),
        (None, "No such file"),
    ],
    ids=["cut off", "no text", "too long", "missing"],
)
def test_file_that_is_no_description_is_refused(
    tmp_path: Path, content: bytes | None, said: str
) -> None:
    path = tmp_path / "net.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RecipeError, match=said):
        read_declaration(path)
