"""Converters that skl2onnx needs for our own steps, for trees and for support vectors.

A step of ours has `compute`, which writes the graph when it is given a `Symbol`, and `width`, the
number of columns it returns. All trees are written by `trainer.estimators.trees`. Lines, support
vector and neural network regressions are written in double precision: in float32 sums over many
vectors lose more digits than the tolerance allows.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import ModelProto
from onnx.helper import make_opsetid
from skl2onnx import convert_sklearn, update_registered_converter
from skl2onnx.common.data_types import FloatTensorType
from skl2onnx.common.shape_calculator import (
    calculate_linear_classifier_output_shapes,
    calculate_linear_regressor_output_shapes,
)
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.svm import SVR

from trainer.estimators.lines import LatentLine, RidgeLine, TrimmedLine
from trainer.estimators.monitor import Monitor
from trainer.estimators.network import Network
from trainer.estimators.trees import (
    ONE_TARGET,
    ONE_TARGET_SINCE,
    boosting_trees,
    forest_tree,
    tree_ensemble,
)
from trainer.features.scaling import Standardise
from trainer.features.sliding import SlidingFeatures
from trainer.features.symbols import ML, Nodes, Symbol
from trainer.features.window_features import WindowFeatures

STEPS = (WindowFeatures, SlidingFeatures, Standardise, Monitor)
# skl2onnx 1.20 writes opsets up to 22, and of ai.onnx.ml up to 3.
_OPSETS = {"": 21, ML: 3}
# The options that skl2onnx itself accepts for classifiers; `convert` sets `zipmap`.
_OPTIONS = {"zipmap": [True, False], "nocl": [True, False]}
_TWO = 2
Written = Callable[[Any, Any, Any], None]


def convert(pipeline: Any, name: str, shape: tuple[int, ...], title: str) -> ModelProto:  # noqa: ANN401  scikit-learn is untyped
    """A fitted pipeline as an ONNX model that declares the operator versions its nodes need.

    Args:
        pipeline: the pipeline; of a classifier the outputs are its labels and its probabilities.
        name: the name of the input, float32 `[n, *shape]`.
        shape: the shape of one row of the input.
        title: the name of the graph.

    Raises:
        RuntimeError: skl2onnx cannot convert a step.
    """
    _register()
    last = pipeline.steps[-1][1]
    proto: ModelProto = convert_sklearn(
        pipeline,
        name=title,
        initial_types=[(name, FloatTensorType([None, *shape]))],
        target_opset=_OPSETS,
        options={id(last): {"zipmap": False}} if hasattr(last, "predict_proba") else None,
    )
    # skl2onnx lists the domains in the order of a set, which differs from process to process.
    del proto.opset_import[:]
    is_new = any(node.op_type == ONE_TARGET for node in proto.graph.node)
    needed = _OPSETS | {ML: ONE_TARGET_SINCE} if is_new else _OPSETS
    proto.opset_import.extend(make_opsetid(*item) for item in needed.items())
    return proto


def _register() -> None:
    """Register the converters with skl2onnx; calling it again changes nothing."""
    for step in STEPS:
        update_registered_converter(step, f"Millhand{step.__name__}", _shape, _step, overwrite=True)
    for kind, (shape, converter) in _ESTIMATORS.items():
        options = _OPTIONS if converter in (_boosted_classes, _forest_classes) else None
        name = f"Millhand{kind.__name__}"
        update_registered_converter(kind, name, shape, converter, overwrite=True, options=options)


def _shape(operator: Any) -> None:  # noqa: ANN401  skl2onnx is untyped
    operator.outputs[0].type = FloatTensorType([None, operator.raw_operator.width])


def _step(scope: Any, operator: Any, container: Any) -> None:  # noqa: ANN401  skl2onnx is untyped
    step = operator.raw_operator
    step.compute(_input(scope, operator, container)).write(operator.outputs[0].full_name)


def _boosted_numbers(scope: Any, operator: Any, container: Any) -> None:  # noqa: ANN401  skl2onnx is untyped
    model = operator.raw_operator
    x = _input(scope, operator, container)
    _of_boosting(x, model).write(operator.outputs[0].full_name)


def _boosted_classes(scope: Any, operator: Any, container: Any) -> None:  # noqa: ANN401  skl2onnx is untyped
    model = operator.raw_operator
    raw = _of_boosting(_input(scope, operator, container), model)
    if model.n_trees_per_iteration_ == 1:
        # One tree an iteration is fitted for two classes: the raw value is the log-odds.
        either = [raw.nodes.add("Sigmoid", one.name) for one in (-raw, raw)]
        name = raw.nodes.add("Concat", *either, axis=1)
    else:
        name = raw.nodes.add("Softmax", raw.name, axis=1)
    _write_classes(Symbol(raw.nodes, name, np.float32), operator)


def _forest_numbers(scope: Any, operator: Any, container: Any) -> None:  # noqa: ANN401  skl2onnx is untyped
    x = _input(scope, operator, container)
    _of_forest(x, operator.raw_operator).write(operator.outputs[0].full_name)


def _forest_classes(scope: Any, operator: Any, container: Any) -> None:  # noqa: ANN401  skl2onnx is untyped
    forest = operator.raw_operator
    x = _input(scope, operator, container)
    if len(forest.classes_) != _TWO:
        _write_classes(_of_forest(x, forest), operator)
        return
    # The share of the second class is enough, and lets a leaf add to one target.
    second = _of_forest(x, forest, slice(1, 2))
    first = np.float32(1.0) - second
    name = x.nodes.add("Concat", first.name, second.name, axis=1)
    _write_classes(Symbol(x.nodes, name, np.float32), operator)


def _computed(scope: Any, operator: Any, container: Any) -> None:  # noqa: ANN401  skl2onnx is untyped
    x = operator.raw_operator.compute(_input(scope, operator, container))
    x.astype(np.float32).write(operator.outputs[0].full_name)


def _support(scope: Any, operator: Any, container: Any) -> None:  # noqa: ANN401  skl2onnx is untyped
    machine = operator.raw_operator
    x = _input(scope, operator, container).astype(np.float64)
    vectors = machine.support_vectors_.astype(np.float64)
    own = (x * x).sum(axis=1, keepdims=True)
    across = x @ np.ascontiguousarray(vectors.T)
    squared = np.maximum(own + (vectors * vectors).sum(axis=1) - 2.0 * across, 0.0)
    kernel = np.exp(squared * -float(machine._gamma))  # noqa: SLF001  the number "scale" stands for
    value = kernel @ np.ascontiguousarray(machine.dual_coef_.T) + machine.intercept_
    value.astype(np.float32).write(operator.outputs[0].full_name)


def _of_boosting(x: Symbol, model: Any) -> Symbol:  # noqa: ANN401  scikit-learn is untyped
    base = np.ravel(model._baseline_prediction)  # noqa: SLF001  nowhere public
    return tree_ensemble(x, boosting_trees(model), base)


def _of_forest(x: Symbol, forest: Any, chosen: slice = slice(None)) -> Symbol:  # noqa: ANN401  scikit-learn is untyped
    """The mean of all trees, float32 `[n, targets]`: numbers, or the share of each chosen class."""
    trees = [one.tree_ for one in forest.estimators_]
    weights = [tree.value[:, 0, chosen] / len(trees) for tree in trees]
    columns = (forest_tree(tree, weight) for tree, weight in zip(trees, weights, strict=True))
    return tree_ensemble(x, columns, np.zeros(weights[0].shape[1]))


def _write_classes(probabilities: Symbol, operator: Any) -> None:  # noqa: ANN401  skl2onnx is untyped
    label, likely = (output.full_name for output in operator.outputs)
    probabilities.write(likely)
    probabilities.nodes.add("ArgMax", probabilities.name, axis=1, keepdims=0, output=label)


def _input(scope: Any, operator: Any, container: Any) -> Symbol:  # noqa: ANN401  skl2onnx is untyped
    return Symbol(Nodes(scope, container), operator.inputs[0].full_name, np.float32)


_CLASSES = calculate_linear_classifier_output_shapes
_NUMBERS = calculate_linear_regressor_output_shapes
_ESTIMATORS: dict[type, tuple[Callable[[Any], None], Written]] = {
    ExtraTreesClassifier: (_CLASSES, _forest_classes),
    ExtraTreesRegressor: (_NUMBERS, _forest_numbers),
    HistGradientBoostingClassifier: (_CLASSES, _boosted_classes),
    HistGradientBoostingRegressor: (_NUMBERS, _boosted_numbers),
    LatentLine: (_NUMBERS, _computed),
    Network: (_NUMBERS, _computed),
    RandomForestClassifier: (_CLASSES, _forest_classes),
    RandomForestRegressor: (_NUMBERS, _forest_numbers),
    RidgeLine: (_NUMBERS, _computed),
    TrimmedLine: (_NUMBERS, _computed),
    SVR: (_NUMBERS, _support),
}
