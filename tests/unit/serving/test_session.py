"""Only a graph that is what its manifest says becomes a session, and it answers in its shape."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import ModelProto, TensorProto, helper

from models.bundle.golden import Golden, write_golden
from models.bundle.manifest import GoldenSpec, Manifest, Output
from models.bundle.package import Bundle, pack_bundle
from models.errors import BundleError, GoldenMismatchError, IncompatibleBundleError
from serving.errors import InferenceError
from serving.runtime.graph import load_graph
from serving.session import Session
from tests.kit.bundles.factories import make_bundle, make_manifest, make_members
from tests.kit.bundles.graphs import LinearGraph, detector_bundle, linear_bundle
from tests.kit.wording import names

ROOT = Path(__file__).parents[3]
WEIGHTS = [1.0, 10.0]
MANIFEST = make_manifest(2)
GRAPH = LinearGraph(weights=WEIGHTS)


def bundle_of(model: bytes, manifest: Manifest = MANIFEST) -> Bundle:
    return pack_bundle(manifest, make_members(manifest, model))


def changed(change: Callable[[ModelProto], object]) -> Bundle:
    """A bundle whose graph was right before the change."""
    model = onnx.load_model_from_string(GRAPH.to_onnx(MANIFEST.stream, MANIFEST.seq))
    change(model)
    return bundle_of(model.SerializeToString())


def refusal(bundle: Bundle, *, is_shared: bool = False) -> str:
    with pytest.raises(IncompatibleBundleError) as caught:
        Session(bundle, is_shared=is_shared)
    assert caught.value.code == "incompatible"
    return str(caught.value)


def windows(count: int = 3, length: int = 1, width: int = 2) -> np.ndarray:
    return np.arange(count * length * width, dtype=np.float32).reshape(count, length, width)


@pytest.mark.parametrize("is_shared", [False, True])
def test_session_answers_a_whole_batch(*, is_shared: bool) -> None:
    session = Session(linear_bundle("s", 1, WEIGHTS, bias=0.5), is_shared=is_shared)
    assert session.run(windows())["value"].tolist() == [10.5, 32.5, 54.5]


def test_outputs_are_those_of_the_manifest() -> None:
    answers = Session(detector_bundle("s", 1, WEIGHTS, threshold=20.0)).run(windows())
    assert answers["value"].dtype == np.int64
    assert answers["value"].tolist() == [0, 1, 1]
    assert answers["score"].tolist() == [10.0, 32.0, 54.0]


def test_missing_values_are_imputed_inside_the_graph() -> None:
    session = Session(linear_bundle("s", 1, WEIGHTS, median=2.0))
    assert session.run(np.full((1, 1, 2), np.nan, np.float32))["value"].tolist() == [22.0]


def test_golden_windows_are_replayed_with_the_worst_error() -> None:
    bundle = linear_bundle("s", 1, WEIGHTS)
    assert Session(bundle).replay_golden(bundle.golden) < 1e-3


def test_model_that_does_not_answer_as_promised_is_a_golden_mismatch() -> None:
    bundle = linear_bundle("s", 1, WEIGHTS, golden_wrong=True)
    with pytest.raises(GoldenMismatchError, match="'value' differs") as caught:
        Session(bundle).replay_golden(bundle.golden)
    assert caught.value.code == "golden_mismatch"


def test_graph_that_fails_on_its_golden_windows_is_incompatible() -> None:
    def only_one_row(model: ModelProto) -> None:
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1

    bundle = changed(only_one_row)
    with pytest.raises(IncompatibleBundleError, match="golden"):
        Session(bundle).replay_golden(bundle.golden)


def test_unreadable_golden_vectors_are_refused() -> None:
    bundle = linear_bundle("s", 1, WEIGHTS)
    with pytest.raises(BundleError):
        Session(bundle).replay_golden(b"PK")


@pytest.mark.parametrize(
    ("stream", "seq", "told"),
    [("other", 1, "other#1"), ("pump-health", 2, "pump-health#2")],
)
def test_graph_of_another_stream_or_seq_is_refused(stream: str, seq: int, told: str) -> None:
    assert told in refusal(bundle_of(GRAPH.to_onnx(stream, seq)))


def test_graph_without_stream_and_seq_is_refused() -> None:
    told = refusal(changed(lambda model: model.ClearField("metadata_props")))
    assert "None#None" in told


@pytest.mark.parametrize(
    "content",
    [b"", b"no graph", b"\x00" * 100, b"\x08\x08" * 1000],
    ids=["empty", "text", "zeros", "another message"],
)
def test_bytes_that_are_no_graph_are_refused(content: bytes) -> None:
    assert "graph" in refusal(bundle_of(content))


def test_unknown_operator_is_refused() -> None:
    def rename(model: ModelProto) -> None:
        model.graph.node[0].op_type = "PhoneHome"

    assert "PhoneHome" in refusal(changed(rename))


def test_window_of_another_length_or_width_is_refused() -> None:
    longer = LinearGraph(weights=WEIGHTS, length=3).to_onnx(MANIFEST.stream, MANIFEST.seq)
    assert names(refusal(bundle_of(longer)), "[batch, 1, 2]", "['n', 3, 2]")
    wider = LinearGraph(weights=[1.0] * 3).to_onnx(MANIFEST.stream, MANIFEST.seq)
    assert names(refusal(bundle_of(wider)), "[batch, 1, 2]", "['n', 1, 3]")


def test_input_of_another_name_is_refused() -> None:
    def rename(model: ModelProto) -> None:
        model.graph.input[0].name = "x"
        model.graph.node[0].input[0] = "x"

    assert names(refusal(changed(rename)), "float32 'window'", "x tensor(float)")


def test_second_input_is_refused() -> None:
    def add(model: ModelProto) -> None:
        model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, [1]))

    assert "window tensor(float), more tensor(float)" in refusal(changed(add))


def test_input_of_another_type_is_refused() -> None:
    graph = helper.make_graph(
        [helper.make_node("Cast", ["window"], ["value"], to=TensorProto.FLOAT)],
        "double",
        [helper.make_tensor_value_info("window", TensorProto.DOUBLE, ["n", 1, 2])],
        [helper.make_tensor_value_info("value", TensorProto.FLOAT, None)],
    )
    told = refusal(bundle_of(marked(graph)))
    assert names(told, "float32 'window'", "window tensor(double)")


def marked(graph: onnx.GraphProto) -> bytes:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {"stream": MANIFEST.stream, "seq": str(MANIFEST.seq)})
    content: bytes = model.SerializeToString()
    return content


def test_output_that_the_graph_does_not_have_is_refused() -> None:
    score = Output(name="score", dtype="float32", meaning="how sure")
    manifest = MANIFEST.model_copy(update={"outputs": (*MANIFEST.outputs, score)})
    told = refusal(bundle_of(GRAPH.to_onnx(MANIFEST.stream, MANIFEST.seq), manifest))
    assert names(told, "'score'", "float32", "{'value': 'tensor(float)'}")


def test_output_of_another_type_is_refused() -> None:
    value = Output(name="value", dtype="int64", meaning="class")
    manifest = MANIFEST.model_copy(update={"outputs": (value,), "task": "classification"})
    told = refusal(bundle_of(GRAPH.to_onnx(MANIFEST.stream, MANIFEST.seq), manifest))
    assert names(told, "'value'", "int64")


@pytest.mark.parametrize("is_shared", [False, True])
def test_weights_outside_the_bundle_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_shared: bool
) -> None:
    """External data would resolve against the working or the graph's folder, past every digest."""
    outside = tmp_path / "weights.bin"
    outside.write_bytes(np.array(WEIGHTS, np.float32).tobytes())
    monkeypatch.chdir(tmp_path)
    file = os.open(outside, os.O_RDONLY)
    for location in ("weights.bin", str(outside), "../weights.bin", "/dev/zero", str(file)):

        def move_out(model: ModelProto, location: str = location) -> None:
            (weights,) = (one for one in model.graph.initializer if one.name == "weights")
            weights.ClearField("raw_data")
            weights.data_location = TensorProto.EXTERNAL
            for key, value in (("location", location), ("offset", "0"), ("length", "8")):
                weights.external_data.add(key=key, value=value)

        assert "graph" in refusal(changed(move_out), is_shared=is_shared)
    os.close(file)


def test_answer_without_the_batch_axis_is_an_inference_error() -> None:
    graph = helper.make_graph(
        [helper.make_node("ReduceSum", ["window"], ["value"], keepdims=0)],
        "total",
        [helper.make_tensor_value_info("window", TensorProto.FLOAT, ["n", 1, 2])],
        [helper.make_tensor_value_info("value", TensorProto.FLOAT, None)],
    )
    session = Session(bundle_of(marked(graph)))
    with pytest.raises(InferenceError, match=r"batch axis.*\[\] for 3 windows"):
        session.run(windows())


def test_answers_beside_the_batch_are_a_golden_mismatch() -> None:
    """[n, 1] instead of [n] would shift no answer, [n, 2] every one."""
    manifest = make_manifest(2, golden=GoldenSpec(count=32))
    graph = helper.make_graph(
        [helper.make_node("Squeeze", ["window", "axis"], ["value"])],
        "same",
        [helper.make_tensor_value_info("window", TensorProto.FLOAT, ["n", 1, 2])],
        [helper.make_tensor_value_info("value", TensorProto.FLOAT, None)],
        initializer=[helper.make_tensor("axis", TensorProto.INT64, [1], [1])],
    )
    golden = Golden(windows(32), {"value": np.zeros(32, np.float32)})
    session = Session(bundle_of(marked(graph), manifest))
    with pytest.raises(GoldenMismatchError, match="shape"):
        session.replay_golden(write_golden(golden))


def test_windows_of_another_shape_are_an_inference_error() -> None:
    with pytest.raises(InferenceError) as caught:
        Session(make_runnable()).run(windows(length=2))
    assert caught.value.code == "model_failed"


def make_runnable() -> Bundle:
    return bundle_of(GRAPH.to_onnx(MANIFEST.stream, MANIFEST.seq))


def outcome(graph: bytes) -> str:
    try:
        Session(bundle_of(graph)).run(windows())
    except (BundleError, InferenceError) as refusal:
        return refusal.code
    return "answered"


@settings(max_examples=60)
@given(data=st.data())
def test_damaged_graph_is_refused_or_runs_but_never_breaks_out(data: st.DataObject) -> None:
    content = bytearray(GRAPH.to_onnx(MANIFEST.stream, MANIFEST.seq))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    assert outcome(bytes(content)) in ("answered", "incompatible", "model_failed")


def test_telemetry_is_off_before_onnxruntime_is_imported() -> None:
    script = """
import os, sys
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "onnxruntime":
            print(os.environ.get("ORT_DISABLE_TELEMETRY"))
sys.meta_path.insert(0, Watch())
import serving.session
"""
    environment = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"}
    ran = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout == "1\n"


def test_bundle_without_a_graph_is_refused_by_name() -> None:
    assert refusal(make_bundle()).startswith("pump-health#1")


def test_session_does_not_keep_the_bytes_of_its_graph() -> None:
    content = linear_bundle("mass", 1, [1.0]).model
    before = sys.getrefcount(content)
    session = load_graph(content)
    assert session.get_inputs()[0].name == "window"
    assert sys.getrefcount(content) == before
