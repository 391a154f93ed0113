"""Small ONNX models as other tools write them, and descriptions for `millhand-trainer pack`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import tomli_w
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType

from models.bundle.package import Bundle
from serving.session import Session
from trainer.commands.pack import Packed, pack
from trainer.console import Console

LENGTH = 16
SIGNALS = ({"name": "pressure", "range": [0, 10]}, {"name": "flow", "range": [-50, 50]})
CLASSES = ["healthy", "bearing", "cavitation"]
REQUIRED = [{**signal, "missing": "require"} for signal in SIGNALS]


def made(
    nodes: Sequence[NodeProto],
    inputs: Mapping[str, tuple[Any, ...]],
    outputs: Mapping[str, int | None],
    weights: Mapping[str, NDArray[Any]] | None = None,
    **model: Any,  # noqa: ANN401  what helper.make_model takes
) -> ModelProto:
    """A model with inputs of float32 by shape, outputs by type (None: no type), and weights."""
    graph = helper.make_graph(
        nodes,
        "foreign",
        [helper.make_tensor_value_info(k, TensorProto.FLOAT, s) for k, s in inputs.items()],
        [
            helper.make_tensor_value_info(k, t, None) if t else onnx.ValueInfoProto(name=k)
            for k, t in outputs.items()
        ],
        [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()],
    )
    options = {"opset_imports": [helper.make_opsetid("", 17)], "ir_version": 8}
    return helper.make_model(graph, **(options | model))


def convolution(batch: int | str = "batch", *, softmax: bool = False) -> ModelProto:
    """A convolution as PyTorch exports it: `[batch, channels, length]` in, logits of three classes.

    Its inner tensors have the names of a bundle's outputs.
    """
    drawn = np.random.default_rng(1)
    weights = {
        "conv.weight": drawn.normal(size=(8, 2, 3)).astype("f4") / 10,
        "conv.bias": drawn.normal(size=8).astype("f4"),
        "fc.weight": drawn.normal(size=(3, 8)).astype("f4"),
        "fc.bias": drawn.normal(size=3).astype("f4"),
    }
    last = "window" if softmax else "logits"
    nodes = [
        helper.make_node("Conv", ["x", "conv.weight", "conv.bias"], ["score"], kernel_shape=[3]),
        helper.make_node("Relu", ["score"], ["value"]),
        helper.make_node("GlobalAveragePool", ["value"], ["probabilities"]),
        helper.make_node("Flatten", ["probabilities"], ["flat"]),
        helper.make_node("Gemm", ["flat", "fc.weight", "fc.bias"], [last], transB=1),
    ]
    if softmax:
        nodes.append(helper.make_node("Softmax", ["window"], ["logits"], axis=1))
    shape = (batch, 2, LENGTH)
    return made(
        nodes, {"x": shape}, {"logits": TensorProto.FLOAT}, weights, producer_name="pytorch"
    )


def linear(
    *after: NodeProto,
    width: int = 2,
    output: str = "y",
    **options: Any,  # noqa: ANN401  see `made`
) -> ModelProto:
    """`y` `[N, 1]` is `x` `[N, width]` times weights; further nodes end in `output`."""
    weights = {"w": np.linspace(1, 2, width).astype("f4").reshape(-1, 1)}
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"]), *after]
    weights |= options.pop("weights", {})
    return made(nodes, {"x": ("N", width)}, {output: None}, weights, **options)


def rows(count: int = 400, seed: int = 0) -> NDArray[np.float32]:
    """Random pressure and flow within the ranges of `SIGNALS`, float32 `[count, 2]`."""
    drawn = np.random.default_rng(seed).random((count, 2))
    return (drawn * [10, 100] - [0, 50]).astype(np.float32)


def from_sklearn(estimator: Any, **options: Any) -> ModelProto:  # noqa: ANN401  a fitted estimator
    """An estimator as skl2onnx writes it by default, with a ZipMap."""
    kind = [("input", FloatTensorType([None, 2]))]
    model: ModelProto = convert_sklearn(
        estimator, initial_types=kind, target_opset={"": 17, "ai.onnx.ml": 3}, **options
    )
    return model


def document(**sections: object) -> dict[str, Any]:
    """A complete description of a regression; `sections` replace those of it."""
    base: dict[str, Any] = {
        "task": "regression",
        "bundle": {"stream": "pump-health"},
        "signals": REQUIRED,
        "outputs": [{"name": "value", "tensor": "y", "meaning": "hours left", "unit": "h"}],
        "budget": {"latency_ms": 5000},  # a busy machine is no fault of the graph
    }
    return {k: v for k, v in (base | sections).items() if v is not None}


def packed(
    folder: Path,
    model: ModelProto,
    files: Sequence[Path] = (),
    **sections: Any,  # noqa: ANN401  as TOML
) -> Packed:
    """Write a model and its description into a folder, and pack them."""
    folder.mkdir(parents=True, exist_ok=True)
    path, description = folder / "net.onnx", folder / "net.toml"
    path.write_bytes(model.SerializeToString())
    description.write_text(tomli_w.dumps(document(**sections)))
    return pack(path, description, folder / "out", console=Console(), files=files)


def windows(count: int, length: int = 1, seed: int = 5) -> NDArray[np.float32]:
    """Random windows within the ranges of `SIGNALS`, float32 `[count, length, 2]`."""
    return rows(count * length, seed).reshape(count, length, 2)


def served(bundle: Bundle, given: NDArray[np.float32]) -> Mapping[str, NDArray[Any]]:
    """The outputs of a bundle on a gateway, after its golden vectors were checked there."""
    session = Session(bundle)
    session.replay_golden(bundle.golden)
    return session.run(given)


def original(model: ModelProto, given: NDArray[Any]) -> list[Any]:
    """The outputs of a model in onnxruntime before it was packed."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    answers: list[Any] = session.run(None, {session.get_inputs()[0].name: given})
    return answers
