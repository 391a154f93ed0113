"""Export of a model as an ONNX graph, and the parity check of the graph with the model.

The graph has the input `window` and the outputs `value`, `score` and `probabilities`. Imputation,
features, thresholds and the choice of the class are inside, so a gateway computes nothing. Graphs
are run by `serving.runtime.graph`, with the settings of a gateway.
"""

import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from models.bundle.manifest import GoldenSpec
from models.errors import IncompatibleBundleError
from serving.errors import InferenceError
from serving.runtime.graph import INPUT, load_graph, run_graph
from trainer.errors import ParityError
from trainer.estimators.fitting import Answers, Model
from trainer.graph.converters import convert

# Windows in one run of a graph; it bounds the memory of a parity check on a large test part.
_BLOCK = 4096
_TIMED_ROUNDS = 5
_TIMED_RUNS = 100


@dataclass(frozen=True, slots=True)
class Parity:
    """The result of a parity check that has passed.

    Attributes:
        rows: number of windows that were compared.
        worst: largest absolute error, by the name of the output.
        undecided: number of windows whose class may differ, because the score is nearer to another
            class than the tolerance.
    """

    rows: int
    worst: Mapping[str, float]
    undecided: int


@dataclass(frozen=True, slots=True)
class Latency:
    """Time for one window on one thread, as measured on this machine.

    Attributes:
        p50_ms: median, milliseconds.
        p99_ms: 99th percentile, milliseconds.
    """

    p50_ms: float
    p99_ms: float


class Graph:
    """A graph in onnxruntime, set up as on a gateway, whether or not it is in a bundle yet.

    Args:
        content: the serialised ONNX model.

    Attributes:
        outputs: names of the graph's outputs, in its own order.

    Raises:
        IncompatibleBundleError: onnxruntime refuses the graph.
    """

    def __init__(self, content: bytes) -> None:
        self._session = load_graph(content)
        self.outputs = [output.name for output in self._session.get_outputs()]

    def run(self, windows: NDArray[np.float32]) -> Answers:
        """Answer windows `[n, length, channels]` in blocks: every output by name, first axis `n`.

        Raises:
            IncompatibleBundleError: the graph fails on them.
        """
        blocks = [self._run(windows[at : at + _BLOCK]) for at in range(0, len(windows), _BLOCK)]
        return {
            name: np.concatenate([block[index] for block in blocks])
            for index, name in enumerate(self.outputs)
        }

    def latency(self, windows: NDArray[np.float32]) -> Latency:
        """The time for one window, from the fastest of several rounds over `windows`.

        Other load on the machine can only add to the time, so the least is nearest to the graph's
        own.
        """
        rounds = (self._timed(windows) for _ in range(_TIMED_ROUNDS))
        return min(rounds, key=lambda one: one.p99_ms)

    def durations_ms(self, windows: NDArray[np.float32], runs: int) -> NDArray[np.float64]:
        """Milliseconds that one window takes, measured `runs` times over `windows`, `[runs]`."""
        taken = np.empty(runs)
        for run in range(runs):
            window = windows[run % len(windows)][np.newaxis]
            start = time.perf_counter_ns()
            self._run(window)
            taken[run] = time.perf_counter_ns() - start
        return taken / 1e6

    def _timed(self, windows: NDArray[np.float32]) -> Latency:
        p50_ms, p99_ms = np.quantile(self.durations_ms(windows, _TIMED_RUNS), [0.5, 0.99]).tolist()
        return Latency(p50_ms, p99_ms)

    def _run(self, windows: NDArray[np.float32]) -> list[NDArray[Any]]:
        try:
            return run_graph(self._session, self.outputs, windows)
        except InferenceError as exc:
            raise IncompatibleBundleError(f"the graph fails on {windows.shape}: {exc}") from exc


def export(model: Model, shape: tuple[int, int], stream: str, seq: int) -> bytes:
    """Export a model for windows of `shape` (length, signals); the bytes are reproducible.

    The graph's metadata repeats stream and seq, so that it cannot be put into another bundle.

    Raises:
        ParityError: the estimator cannot be exported.
    """
    proto = _converted(model, shape, f"{stream}-{seq}")
    graph = proto.graph
    estimate = graph.output[-1].name  # a classifier has its label first, then its probabilities
    del graph.output[:]
    _HEADS[model.task](graph, model, estimate)
    helper.set_model_props(proto, {"stream": stream, "seq": str(seq)})
    onnx.checker.check_model(proto, full_check=True)
    content: bytes = proto.SerializeToString(deterministic=True)
    return content


def _converted(model: Model, shape: tuple[int, int], name: str) -> Any:  # noqa: ANN401  a ModelProto
    last = model.pipeline.steps[-1][1]
    try:
        with warnings.catch_warnings():
            # skl2onnx reads attributes of support vector machines that scikit-learn has deprecated.
            warnings.filterwarnings("ignore", "Attribute `prob._`", FutureWarning)
            return convert(model.pipeline, INPUT, shape, name)
    except RuntimeError as exc:  # from skl2onnx: no converter, or not for this setting
        reason = str(exc).strip().split("\n")[0]
        raise ParityError(f"{type(last).__name__} cannot be exported as ONNX: {reason}") from exc


def check_parity(
    graph: Graph, model: Model, windows: NDArray[np.float32], tolerance: GoldenSpec
) -> Parity:
    """Compare the graph's answers with the model's on every window.

    A class may differ only where it is undecided; see `is_decided`.

    Args:
        graph: the exported graph.
        model: the model it was exported from.
        windows: float32 `[n, length, channels]`.
        tolerance: allowed absolute and relative error of each answer.

    Raises:
        ParityError: an answer is beyond the tolerance; the message names the worst one.
    """
    wanted, given = model.answer(windows), graph.run(windows)
    decided = is_decided(model, wanted, tolerance)
    worst = {}
    for name, expected in wanted.items():
        error = np.abs(given[name].astype(np.float64) - expected.astype(np.float64))
        allowed = tolerance.atol + tolerance.rtol * np.abs(expected)
        if name == "value" and model.classes:
            error, allowed = np.where(decided, error, 0.0), np.zeros(len(expected))
        beyond = ~(error <= allowed)  # a NaN compares false, so it counts as beyond
        if beyond.any():
            excess = np.where(beyond, error, -1.0).reshape(len(windows), -1).max(axis=1)
            row = int(np.argmax(np.where(np.isnan(excess), np.inf, excess)))
            raise ParityError(
                f"the graph differs from the model: '{name}' of window {row} is "
                f"{given[name][row]} instead of {expected[row]}, the worst of "
                f"{int(beyond.sum())} answers beyond atol {tolerance.atol:g}, rtol "
                f"{tolerance.rtol:g}"
            )
        worst[name] = float(error.max())
    return Parity(rows=len(windows), worst=worst, undecided=int((~decided).sum()))


def is_decided(model: Model, answers: Answers, tolerance: GoldenSpec) -> NDArray[np.bool_]:
    """Whether no error within the tolerance could change the class of an answer, `[n]`.

    Two scores may both be off, in opposite directions, so twice the tolerance is needed.
    """
    scale = np.abs(answers["score"]) if "score" in answers else np.float32(0)
    decided: NDArray[np.bool_] = model.margin(answers) > 2 * (
        tolerance.atol + tolerance.rtol * scale
    )
    return decided


def _regression_head(graph: Any, _: Model, estimate: str) -> None:  # noqa: ANN401  a GraphProto
    _add(graph, "Reshape", [estimate, _constant(graph, "flat", [-1])], "value")
    _declare(graph, "value", TensorProto.FLOAT)


def _anomaly_head(graph: Any, _: Model, estimate: str) -> None:  # noqa: ANN401  a GraphProto
    _add(graph, "Reshape", [estimate, _constant(graph, "flat", [-1])], "score")
    limit = _constant(graph, "limit", np.float32(1))
    _add(graph, "Greater", ["score", limit], "is_beyond")
    _add(graph, "Cast", ["is_beyond"], "value", to=TensorProto.INT64)
    _declare(graph, "value", TensorProto.INT64)
    _declare(graph, "score", TensorProto.FLOAT)


def _classification_head(graph: Any, model: Model, estimate: str) -> None:  # noqa: ANN401  a GraphProto
    if estimate != "probabilities":
        _add(graph, "Identity", [estimate], "probabilities")
    if model.threshold is None:
        _add(graph, "ArgMax", [estimate], "value", axis=1, keepdims=0)
        _add(graph, "ReduceMax", [estimate, _constant(graph, "axes", [1])], "score", keepdims=0)
    else:
        _add(
            graph, "Gather", [estimate, _constant(graph, "about", model.positive)], "score", axis=1
        )
        limit = _constant(graph, "limit", np.float32(model.threshold))
        _add(graph, "Greater", ["score", limit], "is_beyond")
        choices = [_constant(graph, f"class_{i}", i) for i in (model.positive, 1 - model.positive)]
        _add(graph, "Where", ["is_beyond", *choices], "value")
    _declare(graph, "value", TensorProto.INT64)
    _declare(graph, "score", TensorProto.FLOAT)
    _declare(graph, "probabilities", TensorProto.FLOAT, len(model.classes))


_HEADS = {
    "regression": _regression_head,
    "anomaly": _anomaly_head,
    "classification": _classification_head,
}


def _add(graph: Any, kind: str, inputs: list[str], output: str, **marks: Any) -> None:  # noqa: ANN401  a GraphProto
    graph.node.append(helper.make_node(kind, inputs, [output], name=f"head_{output}", **marks))


def _constant(graph: Any, name: str, value: object) -> str:  # noqa: ANN401  a GraphProto
    array = np.asarray(value)
    graph.initializer.append(numpy_helper.from_array(array, f"head_{name}"))
    return f"head_{name}"


def _declare(graph: Any, name: str, dtype: int, width: int | None = None) -> None:  # noqa: ANN401  a GraphProto
    shape = [None] if width is None else [None, width]
    graph.output.append(helper.make_tensor_value_info(name, dtype, shape))
