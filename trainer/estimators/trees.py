"""Fitted trees of scikit-learn as one ONNX node that decides as they do for every float32 value.

scikit-learn compares with thresholds in double precision, an ONNX tree with float32. skl2onnx 1.20
rounds thresholds of gradient boosting to the nearest float32, so that a value between the two
decides differently (1 row in 20,000, off by a whole leaf), and it writes booleans where protobuf
wants integers. Here thresholds are rounded down: for a float32 `x` the comparison `x <= t` then has
the same result.

The node is TreeEnsemble of ai.onnx.ml 5, a third of the bytes of TreeEnsembleRegressor, wherever a
leaf adds to one target. A forest of three or more classes adds to several from one leaf, which
TreeEnsemble cannot say: it stays with TreeEnsembleRegressor of ai.onnx.ml 3.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import numpy_helper

from trainer.features.symbols import ML, Symbol

ONE_TARGET = "TreeEnsemble"
"""The operator for leaves that add to one target each."""
ONE_TARGET_SINCE = 5
"""The version of ai.onnx.ml that brought it, and deprecated the other."""
_MANY_TARGETS = "TreeEnsembleRegressor"


@dataclass(frozen=True, slots=True)
class Tree:
    """One fitted tree, an entry for each node; only leaves have weights, only others the rest.

    Attributes:
        leaf: whether the node is a leaf, `[nodes]`.
        features: index of the feature that is compared, `[nodes]`.
        thresholds: a row with `x <= threshold` goes left, `[nodes]`.
        left: number of the node for rows that go left, `[nodes]`.
        right: number of the node for other rows, `[nodes]`.
        missing_left: whether a row without the feature goes left, `[nodes]`.
        weights: what a leaf adds, `[nodes, targets]`.
        target: the target that the first column of `weights` adds to.
    """

    leaf: NDArray[np.bool_]
    features: NDArray[Any]
    thresholds: NDArray[np.float64]
    left: NDArray[Any]
    right: NDArray[Any]
    missing_left: NDArray[Any]
    weights: NDArray[np.float64]
    target: int = 0


def boosting_trees(model: Any) -> Iterable[Tree]:  # noqa: ANN401  scikit-learn is untyped
    """The trees of a fitted histogram gradient boosting."""
    for iteration in model._predictors:  # noqa: SLF001  the fitted trees are nowhere public
        for target, predictor in enumerate(iteration):
            nodes = predictor.nodes
            yield Tree(
                leaf=nodes["is_leaf"].astype(bool),
                features=nodes["feature_idx"],
                thresholds=nodes["num_threshold"],
                left=nodes["left"],
                right=nodes["right"],
                missing_left=nodes["missing_go_to_left"],
                weights=nodes["value"][:, np.newaxis],
                target=target,
            )


def forest_tree(tree: Any, weights: NDArray[np.float64]) -> Tree:  # noqa: ANN401  scikit-learn is untyped
    """One tree of a forest.

    Args:
        tree: the `tree_` of a fitted decision tree.
        weights: value of each node if it is a leaf, `[nodes, targets]`.
    """
    leaf = tree.children_left < 0
    return Tree(
        leaf=leaf,
        features=tree.feature,
        thresholds=tree.threshold,
        left=tree.children_left,
        right=tree.children_right,
        missing_left=np.zeros(len(leaf), dtype=np.int64),
        weights=weights,
    )


def tree_ensemble(x: Symbol, trees: Iterable[Tree], base: NDArray[np.float64]) -> Symbol:
    """The sum of `base`, `[targets]`, and of the leaves of all trees: float32 `[n, targets]`."""
    grown = list(trees)
    if all(tree.weights.shape[1] == 1 for tree in grown):
        kind, attributes = ONE_TARGET, _one_target_a_leaf(grown)
    else:
        kind, attributes = _MANY_TARGETS, _many_targets_a_leaf(grown)
    name = x.nodes.add(kind, x.name, domain=ML, n_targets=len(base), **attributes)
    total = Symbol(x.nodes, name, np.float32)
    return total + base.astype(np.float32) if base.any() else total


def _one_target_a_leaf(trees: Sequence[Tree]) -> dict[str, Any]:
    """Attributes of TreeEnsemble: branches and leaves are counted apart, through all trees.

    A tree that is one leaf is a branch with this leaf on both sides, as the operator's
    specification says.
    """
    branches = [_with_a_branch(tree) for tree in trees]
    starts = np.cumsum([0] + [int((~tree.leaf).sum()) for tree in branches])
    first_leaves = np.cumsum([0] + [int(tree.leaf.sum()) for tree in branches])
    parts = [
        _branch_columns(tree, start, first)
        for tree, start, first in zip(branches, starts[:-1], first_leaves[:-1], strict=True)
    ]
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    tensors = {
        name: numpy_helper.from_array(columns.pop(name))
        for name in ("nodes_modes", "nodes_splits", "leaf_weights")
    }
    lists = {name: values.tolist() for name, values in columns.items()}
    return {"tree_roots": starts[:-1].tolist()} | lists | tensors


def _with_a_branch(tree: Tree) -> Tree:
    """The tree itself, or for one that is a single leaf the same with a branch above it."""
    if not tree.leaf[0]:
        return tree
    both = np.ones(2, dtype=np.int64)
    return Tree(
        leaf=np.array([False, True]),
        features=np.zeros(2, dtype=np.int64),
        thresholds=np.zeros(2),
        left=both,
        right=both,
        missing_left=np.zeros(2, dtype=np.int64),
        weights=np.repeat(tree.weights[:1], 2, axis=0),
        target=tree.target,
    )


def _branch_columns(tree: Tree, start: int, first_leaf: int) -> dict[str, NDArray[Any]]:
    """One tree's part of the attributes; its branches and leaves are counted from the arguments."""
    branch = ~tree.leaf
    number = np.where(
        tree.leaf, first_leaf + np.cumsum(tree.leaf) - 1, start + np.cumsum(branch) - 1
    )
    left, right = tree.left[branch], tree.right[branch]
    weights = tree.weights[tree.leaf, 0].astype(np.float32)
    return {
        "nodes_featureids": tree.features[branch],
        "nodes_splits": _rounded_down(tree.thresholds[branch]),
        "nodes_modes": np.zeros(len(left), dtype=np.uint8),  # BRANCH_LEQ
        "nodes_truenodeids": number[left],
        "nodes_trueleafs": tree.leaf[left].astype(np.int64),
        "nodes_falsenodeids": number[right],
        "nodes_falseleafs": tree.leaf[right].astype(np.int64),
        "nodes_missing_value_tracks_true": tree.missing_left[branch].astype(np.int64),
        "leaf_weights": weights,
        "leaf_targetids": np.full(len(weights), tree.target),
    }


def _many_targets_a_leaf(trees: Sequence[Tree]) -> dict[str, Any]:
    """Attributes of TreeEnsembleRegressor, where a leaf has a weight for each target."""
    columns: dict[str, list[Any]] = {}
    for number, tree in enumerate(trees):
        part = _node_columns(tree)
        part["nodes_treeids"] = [number] * len(part["nodes_nodeids"])
        part["target_treeids"] = [number] * len(part["target_nodeids"])
        for name, values in part.items():
            columns.setdefault(name, []).extend(values)
    return columns


def _node_columns(tree: Tree) -> dict[str, list[Any]]:
    """One tree's part of each attribute of TreeEnsembleRegressor, except the tree's number."""
    leaf, count = tree.leaf, len(tree.leaf)
    leaves, targets = np.flatnonzero(leaf), tree.weights.shape[1]
    return {
        "nodes_nodeids": list(range(count)),
        "nodes_modes": np.where(leaf, "LEAF", "BRANCH_LEQ").tolist(),
        "nodes_featureids": np.where(leaf, 0, tree.features).tolist(),
        "nodes_values": np.where(leaf, 0.0, _rounded_down(tree.thresholds)).tolist(),
        "nodes_truenodeids": np.where(leaf, 0, tree.left).tolist(),
        "nodes_falsenodeids": np.where(leaf, 0, tree.right).tolist(),
        "nodes_missing_value_tracks_true": tree.missing_left.astype(int).tolist(),
        "target_nodeids": np.repeat(leaves, targets).tolist(),
        "target_ids": np.tile(np.arange(targets), len(leaves)).tolist(),
        "target_weights": tree.weights[leaf].astype(np.float32).ravel().tolist(),
    }


def _rounded_down(thresholds: NDArray[np.float64]) -> NDArray[np.float32]:
    """The largest float32 that is not above each threshold."""
    nearest = thresholds.astype(np.float32)
    below = np.nextafter(nearest, np.float32(-np.inf))
    return np.where(nearest > thresholds, below, nearest)
