"""Fitted trees of scikit-learn as one ONNX node that decides as they do for every float32 value.

scikit-learn compares with thresholds in double precision, ONNX's TreeEnsembleRegressor in float32.
skl2onnx 1.20 rounds thresholds of gradient boosting to the nearest float32, so that a value
between the two decides differently (1 row in 20,000, off by a whole leaf), and it writes booleans
where protobuf wants integers. Here thresholds are rounded down: for a float32 `x` the
comparison `x <= t` then has the same result.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.features.symbols import ML, Symbol

Columns = dict[str, list[Any]]
"""Attributes of TreeEnsembleRegressor by name, a list with one item for each node or leaf."""


def tree_ensemble(x: Symbol, trees: Iterable[Columns], base: NDArray[np.float64]) -> Symbol:
    """The sum of `base`, `[targets]`, and of the leaves of all trees: float32 `[n, targets]`."""
    columns: Columns = {}
    for number, tree in enumerate(trees):
        for name, values in tree.items():
            columns.setdefault(name, []).extend(values)
        nodes = len(tree["nodes_nodeids"])
        columns.setdefault("nodes_treeids", []).extend([number] * nodes)
        columns.setdefault("target_treeids", []).extend([number] * len(tree["target_nodeids"]))
    marks: dict[str, Any] = {
        "n_targets": len(base),
        "base_values": base.astype(np.float32).tolist(),
        "post_transform": "NONE",
    }
    name = x.nodes.add("TreeEnsembleRegressor", x.name, domain=ML, **(marks | columns))
    return Symbol(x.nodes, name, np.float32)


def boosting_trees(model: Any) -> Iterable[Columns]:  # noqa: ANN401  scikit-learn is untyped
    """The trees of a fitted histogram gradient boosting, each with its part of the attributes."""
    for iteration in model._predictors:  # noqa: SLF001  the fitted trees are nowhere public
        for target, predictor in enumerate(iteration):
            tree = predictor.nodes
            leaf = tree["is_leaf"].astype(bool)
            yield _columns(
                leaf=leaf,
                features=tree["feature_idx"],
                thresholds=tree["num_threshold"],
                children=(tree["left"], tree["right"]),
                missing_left=tree["missing_go_to_left"],
                weights=_one_target(tree["value"][leaf], target),
            )


def forest_tree(tree: Any, weights: NDArray[np.float64]) -> Columns:  # noqa: ANN401  scikit-learn is untyped
    """One tree of a forest, as its part of the attributes.

    Args:
        tree: the `tree_` of a fitted decision tree.
        weights: value of each node if it is a leaf, `[nodes, targets]`.
    """
    leaf = tree.children_left < 0
    return _columns(
        leaf=leaf,
        features=tree.feature,
        thresholds=tree.threshold,
        children=(tree.children_left, tree.children_right),
        missing_left=np.zeros(len(leaf), dtype=np.int64),
        weights=weights[leaf],
    )


def _one_target(values: NDArray[np.float64], target: int) -> NDArray[np.float64]:
    """Weights of leaves that add to one target only, `[leaves, targets]`; NaN for the others."""
    weights = np.full((len(values), target + 1), np.nan)
    weights[:, target] = values
    return weights


def _columns(  # noqa: PLR0913  the attributes of the ONNX node
    *,
    leaf: NDArray[np.bool_],
    features: NDArray[Any],
    thresholds: NDArray[np.float64],
    children: tuple[NDArray[Any], NDArray[Any]],
    missing_left: NDArray[Any],
    weights: NDArray[np.float64],
) -> Columns:
    """One tree's part of each attribute of TreeEnsembleRegressor, except the tree's number."""
    count = len(leaf)
    at, targets = np.nonzero(~np.isnan(weights))
    left, right = children
    return {
        "nodes_nodeids": list(range(count)),
        "nodes_modes": np.where(leaf, "LEAF", "BRANCH_LEQ").tolist(),
        "nodes_featureids": np.where(leaf, 0, features).tolist(),
        "nodes_values": np.where(leaf, 0.0, _rounded_down(thresholds)).tolist(),
        "nodes_truenodeids": np.where(leaf, 0, left).tolist(),
        "nodes_falsenodeids": np.where(leaf, 0, right).tolist(),
        "nodes_missing_value_tracks_true": missing_left.astype(int).tolist(),
        "nodes_hitrates": [1.0] * count,
        "target_nodeids": np.flatnonzero(leaf)[at].tolist(),
        "target_ids": targets.tolist(),
        "target_weights": weights[at, targets].astype(np.float32).tolist(),
    }


def _rounded_down(thresholds: NDArray[np.float64]) -> NDArray[np.float32]:
    """The largest float32 that is not above each threshold."""
    nearest = thresholds.astype(np.float32)
    below = np.nextafter(nearest, np.float32(-np.inf))
    return np.where(nearest > thresholds, below, nearest)
