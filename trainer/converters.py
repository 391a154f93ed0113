"""How our steps, and gradient boosting, become ONNX nodes.

skl2onnx has a converter for histogram gradient boosting, but rounds thresholds to the nearest
float32, so that a value between both decides differently (1 row in 20,000, off by a whole leaf),
and writes booleans where protobuf wants integers. Ours rounds down, which decides as scikit-learn
does for every float32 value.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper
from skl2onnx import update_registered_converter
from skl2onnx.common.data_types import FloatTensorType
from skl2onnx.common.shape_calculator import (
    calculate_linear_classifier_output_shapes,
    calculate_linear_regressor_output_shapes,
)
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from trainer.features import WindowFeatures, time_axis
from trainer.monitor import MAX_SCORE, PcaMonitor


def register() -> None:
    """Teach skl2onnx our converters; doing it again changes nothing."""
    for step, shapes, converter in (
        (WindowFeatures, _features_shape, _features),
        (PcaMonitor, _monitor_shape, _monitor),
        (HistGradientBoostingRegressor, calculate_linear_regressor_output_shapes, _regressor),
        (HistGradientBoostingClassifier, calculate_linear_classifier_output_shapes, _classifier),
    ):
        update_registered_converter(
            step,
            f"Millhand{step.__name__}",
            shapes,
            converter,
            overwrite=True,
            options={"zipmap": [True, False], "nocl": [True, False]}
            if step is HistGradientBoostingClassifier
            else None,
        )


_ML = "ai.onnx.ml"
_ML_VERSION = 3


class _Nodes:
    """Adds nodes to the graph that is being written; a node is known by the name of its output."""

    def __init__(self, scope: Any, container: Any) -> None:  # noqa: ANN401  skl2onnx is untyped
        self._scope = scope
        self._container = container

    def constant(self, array: NDArray[Any]) -> str:
        name = str(self._scope.get_unique_variable_name("constant"))
        self._container.add_initializer(name, None, None, numpy_helper.from_array(array, name))
        return name

    def add(self, kind: str, *inputs: str, output: str = "", domain: str = "", **marks: Any) -> str:  # noqa: ANN401  any attribute of a node
        """Add a node; its output gets a name of its own unless `output` gives one."""
        output = output or str(self._scope.get_unique_variable_name(kind.lower()))
        self._container.add_node(
            kind,
            list(inputs),
            [output],
            op_domain=domain,
            op_version=_ML_VERSION if domain else None,
            name=self._scope.get_unique_operator_name(kind),
            **marks,
        )
        return output

    def summed(self, x: str, axis: int, *, keep: bool = False) -> str:
        return self.add("ReduceSum", x, self.constant(np.array([axis])), keepdims=int(keep))


def _features_shape(operator: Any) -> None:  # noqa: ANN401  skl2onnx is untyped
    operator.outputs[0].type = FloatTensorType([None, operator.raw_operator.width])


def _features(scope: Any, operator: Any, container: Any) -> None:  # noqa: ANN401  skl2onnx is untyped
    """`WindowFeatures._describe`, step by step."""
    step, nodes = operator.raw_operator, _Nodes(scope, container)
    window, output = operator.inputs[0].full_name, operator.outputs[0].full_name
    filled = nodes.add("Where", nodes.add("IsNaN", window), nodes.constant(step.medians_), window)
    last = nodes.add("Gather", filled, nodes.constant(np.array(step.length_ - 1)), axis=1)
    if step.length_ == 1:
        nodes.add("Identity", last, output=output)
        return
    x = nodes.add("Cast", filled, to=TensorProto.DOUBLE)
    length = nodes.constant(np.array(float(step.length_)))
    time, spread = time_axis(step.length_)
    mean = nodes.add("Div", nodes.summed(x, 1, keep=True), length)
    apart = nodes.add("Sub", x, mean)
    variance = nodes.add("Div", nodes.summed(nodes.add("Mul", apart, apart), 1), length)
    leaned = nodes.add("Mul", apart, nodes.constant(time[:, np.newaxis]))
    first_axis = nodes.constant(np.array([1]))
    exact = [
        nodes.add("Squeeze", mean, first_axis),
        nodes.add("Sqrt", variance),
        nodes.add("Div", nodes.summed(leaned, 1), nodes.constant(np.array(spread))),
    ]
    rounded = [nodes.add("Cast", each, to=TensorProto.FLOAT) for each in exact]
    least = nodes.add("ReduceMin", filled, first_axis, keepdims=0)
    most = nodes.add("ReduceMax", filled, first_axis, keepdims=0)
    described = (last, rounded[0], rounded[1], least, most, rounded[2])
    nodes.add("Concat", *described, axis=1, output=output)


def _monitor_shape(operator: Any) -> None:  # noqa: ANN401  skl2onnx is untyped
    operator.outputs[0].type = FloatTensorType([None, 1])


def _monitor(scope: Any, operator: Any, container: Any) -> None:  # noqa: ANN401  skl2onnx is untyped
    """`PcaMonitor.transform`, step by step."""
    step, nodes = operator.raw_operator, _Nodes(scope, container)
    x = nodes.add("Cast", operator.inputs[0].full_name, to=TensorProto.DOUBLE)
    centred = nodes.add("Sub", x, nodes.constant(step.mean_))
    z = nodes.add("Div", centred, nodes.constant(step.scale_))
    along = nodes.add("MatMul", z, nodes.constant(step.axes_))
    within = nodes.add("MatMul", along, nodes.constant(np.ascontiguousarray(step.axes_.T)))
    off = nodes.add("Sub", z, within)
    weighed = nodes.add("Div", nodes.add("Mul", along, along), nodes.constant(step.variances_))
    t2 = nodes.summed(weighed, 1, keep=True)
    q = nodes.summed(nodes.add("Mul", off, off), 1, keep=True)
    ratios = [
        nodes.add("Div", statistic, nodes.constant(limit))
        for statistic, limit in zip((t2, q), step.limits_.reshape(2, 1), strict=True)
    ]
    score = nodes.add("Min", nodes.add("Max", *ratios), nodes.constant(np.array(MAX_SCORE)))
    nodes.add("Cast", score, to=TensorProto.FLOAT, output=operator.outputs[0].full_name)


def _regressor(scope: Any, operator: Any, container: Any) -> None:  # noqa: ANN401  skl2onnx is untyped
    nodes = _Nodes(scope, container)
    _trees(nodes, operator, operator.outputs[0].full_name)


def _classifier(scope: Any, operator: Any, container: Any) -> None:  # noqa: ANN401  skl2onnx is untyped
    nodes = _Nodes(scope, container)
    raw = _trees(nodes, operator)
    label, probabilities = (output.full_name for output in operator.outputs)
    if operator.raw_operator.n_trees_per_iteration_ == 1:
        positive = nodes.add("Sigmoid", raw)
        negative = nodes.add("Sigmoid", nodes.add("Neg", raw))
        nodes.add("Concat", negative, positive, axis=1, output=probabilities)
    else:
        nodes.add("Softmax", raw, axis=1, output=probabilities)
    nodes.add("ArgMax", probabilities, axis=1, keepdims=0, output=label)


def _trees(nodes: _Nodes, operator: Any, output: str = "") -> str:  # noqa: ANN401  skl2onnx is untyped
    """The sum of all trees, float32 `[n, trees per iteration]`."""
    model = operator.raw_operator
    trees = [
        (tree.nodes, target)
        for iteration in model._predictors  # noqa: SLF001  the fitted trees are nowhere public
        for target, tree in enumerate(iteration)
    ]
    columns: dict[str, list[Any]] = {}
    for number, (tree, target) in enumerate(trees):
        for name, values in _tree(tree, number, target).items():
            columns.setdefault(name, []).extend(values)
    return nodes.add(
        "TreeEnsembleRegressor",
        operator.inputs[0].full_name,
        output=output,
        domain=_ML,
        n_targets=model.n_trees_per_iteration_,
        base_values=np.ravel(model._baseline_prediction).astype(np.float32).tolist(),  # noqa: SLF001  as above
        post_transform="NONE",
        **columns,
    )


def _tree(tree: NDArray[Any], number: int, target: int) -> dict[str, list[Any]]:
    """One tree's share of each attribute of TreeEnsembleRegressor."""
    leaf = tree["is_leaf"].astype(bool)
    count, leaves = len(tree), np.flatnonzero(leaf)
    return {
        "nodes_treeids": [number] * count,
        "nodes_nodeids": list(range(count)),
        "nodes_modes": np.where(leaf, "LEAF", "BRANCH_LEQ").tolist(),
        "nodes_featureids": np.where(leaf, 0, tree["feature_idx"]).tolist(),
        "nodes_values": np.where(leaf, 0.0, _rounded_down(tree["num_threshold"])).tolist(),
        "nodes_truenodeids": np.where(leaf, 0, tree["left"]).tolist(),
        "nodes_falsenodeids": np.where(leaf, 0, tree["right"]).tolist(),
        "nodes_missing_value_tracks_true": tree["missing_go_to_left"].astype(int).tolist(),
        "nodes_hitrates": [1.0] * count,
        "target_treeids": [number] * len(leaves),
        "target_nodeids": leaves.tolist(),
        "target_ids": [target] * len(leaves),
        "target_weights": tree["value"][leaves].astype(np.float32).tolist(),
    }


def _rounded_down(thresholds: NDArray[np.float64]) -> NDArray[np.float32]:
    """The largest float32 that is not above each threshold: `x <= t` stays what it was."""
    nearest = thresholds.astype(np.float32)
    below = np.nextafter(nearest, np.float32(-np.inf))
    return np.where(nearest > thresholds, below, nearest)
