"""Anomaly detectors: statistics that are learned from normal features, larger for abnormal ones.

Each detector is written once: `statistics` computes with NumPy arrays, and writes the ONNX graph
when it is given a `Symbol`. A plant often has few normal hours and many features, so that raw
estimates of a covariance are unstable; here they are shrunk or bounded before they are inverted.

- `Pca`: T2 within the plane of normal variation and Q off it. J. F. MacGregor, T. Kourti:
  Statistical process control of multivariate processes. Control Engineering Practice 3(3), 1995,
  403-414.
- `Mahalanobis`: distance under a shrunk covariance. O. Ledoit, M. Wolf: A well-conditioned
  estimator for large-dimensional covariance matrices. J. Multivariate Analysis 88, 2004, 365-411.
  How much of their shrinkage is used, `trainer.estimators.shrinkage` chooses.
- `Isolation`: how few cuts set a row apart. F. T. Liu, K. M. Ting, Z.-H. Zhou: Isolation forest.
  ICDM 2008, 413-422.
- `OneClass`: distance from the support of normal rows. B. Schölkopf et al.: Estimating the support
  of a high-dimensional distribution. Neural Computation 13(7), 2001, 1443-1471.
- `Autoencoder`: what a narrow neural network cannot reproduce.
"""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor
from sklearn.svm import OneClassSVM

from trainer.estimators.shrinkage import shrunk_covariance
from trainer.estimators.trees import forest_tree, tree_ensemble
from trainer.features.symbols import Symbol

Array = NDArray[np.float64]
# Above the rounding errors of a statistic that is always zero, so nothing is divided by less.
_LEAST = 1e-9
# Share of the variance that the plane of `Pca` explains.
_EXPLAINED = 0.9
# scikit-learn's default, and the number at which Liu et al. (2008) found path lengths to converge.
_TREES = 100
# `nu` of Schölkopf et al.: share of the rows that may lie outside the support.
_SUPPORT = 0.05
# Time and memory of a support vector machine grow with the square of its rows; more rows are
# thinned out evenly.
_MOST_ROWS = 2000


class Detector(Protocol):
    """Learns from standardised features of normal windows, float64 `[n, features]`."""

    def fit(self, z: Array, seed: int) -> Self:
        """Learn what is normal; `seed` is for whatever the detector draws."""

    def statistics(self, z: Any) -> list[Any]:  # noqa: ANN401  an array, or a symbol
        """One or more statistics `[n, 1]`, none below zero; larger is less normal."""


class Pca:
    """Hotelling's T2 and the squared prediction error Q, of a principal component analysis."""

    def fit(self, z: Array, seed: int) -> Self:  # noqa: ARG002  nothing here is random
        """Find the plane that explains nine tenths of the variation."""
        variances, axes = np.linalg.eigh(z.T @ z / len(z))
        variances, axes = np.maximum(variances[::-1], 0.0), axes[:, ::-1]
        explained = np.cumsum(variances) / max(float(variances.sum()), _LEAST)
        kept = min(int(np.searchsorted(explained, _EXPLAINED)) + 1, len(variances))
        self.axes = np.ascontiguousarray(axes[:, :kept])
        self.variances = np.maximum(variances[:kept], _LEAST)
        return self

    def statistics(self, z: Any) -> list[Any]:  # noqa: ANN401  an array, or a symbol
        """T2, the squared distance within the plane, and Q, the squared distance from it."""
        along = z @ self.axes
        off = z - along @ np.ascontiguousarray(self.axes.T)
        return [
            (along * along / self.variances).sum(axis=1, keepdims=True),
            (off * off).sum(axis=1, keepdims=True),
        ]


class Mahalanobis:
    """Squared Mahalanobis distance under a covariance that is shrunk as held-out rows ask for."""

    def fit(self, z: Array, seed: int) -> Self:  # noqa: ARG002  nothing here is random
        """Estimate the covariance, and the transformation that makes it the identity."""
        variances, axes = np.linalg.eigh(shrunk_covariance(z))
        self.whitening = axes / np.sqrt(np.maximum(variances, _LEAST))
        return self

    def statistics(self, z: Any) -> list[Any]:  # noqa: ANN401  an array, or a symbol
        """The squared distance from the mean of the normal windows."""
        white = z @ self.whitening
        return [(white * white).sum(axis=1, keepdims=True)]


class Isolation:
    """Anomaly score of an isolation forest, between 0 and 1 (Liu et al. 2008, equation 2)."""

    def fit(self, z: Array, seed: int) -> Self:
        """Grow the trees."""
        self.forest = IsolationForest(n_estimators=_TREES, random_state=seed).fit(_single(z))
        return self

    def statistics(self, z: Any) -> list[Any]:  # noqa: ANN401  an array, or a symbol
        """2 to the power of minus the mean depth, relative to the depth among random rows."""
        if not isinstance(z, Symbol):
            return [-self.forest.score_samples(_single(z))[:, np.newaxis]]
        # The graph sums a depth for each leaf, as scikit-learn's `score_samples` does.
        usual = self.forest._average_path_length_per_tree  # noqa: SLF001  depths are nowhere public
        features = self.forest.estimators_features_
        chance = len(usual) * _usual_depth(self.forest.max_samples_)
        trees = []
        for fitted, lengths, depths, at in zip(
            (one.tree_ for one in self.forest.estimators_),
            usual,
            self.forest._decision_path_lengths,  # noqa: SLF001  as above
            features,
            strict=True,
        ):
            tree = forest_tree(fitted, (depths + lengths - 1.0)[:, np.newaxis])
            # Each tree sees some features only, and numbers them by itself.
            trees.append(replace(tree, features=at[tree.features]))
        depth = tree_ensemble(z.astype(np.float32), trees, np.zeros(1)).astype(np.float64)
        return [np.exp(depth * (-np.log(2.0) / chance))]


class OneClass:
    """Distance from the support of normal rows, by a one-class SVM with a radial kernel."""

    def fit(self, z: Array, seed: int) -> Self:  # noqa: ARG002  nothing here is random
        """Find the support vectors, among at most 2000 rows."""
        thinned = z[np.linspace(0, len(z) - 1, min(len(z), _MOST_ROWS)).astype(np.int64)]
        machine = OneClassSVM(nu=_SUPPORT, gamma="scale").fit(thinned)
        self.gamma = float(machine._gamma)  # noqa: SLF001  the number that "scale" stands for
        self.vectors = machine.support_vectors_
        # The sum of the coefficients grows with the number of rows, and the limits are found on
        # folds with fewer rows; divided by it, statistics of both can be compared.
        self.weights = machine.dual_coef_.T / machine.dual_coef_.sum()
        return self

    def statistics(self, z: Any) -> list[Any]:  # noqa: ANN401  an array, or a symbol
        """1 minus the weighted mean of the kernel to all support vectors, between 0 and 1."""
        own = (z * z).sum(axis=1, keepdims=True)
        across = z @ np.ascontiguousarray(self.vectors.T)
        theirs = (self.vectors * self.vectors).sum(axis=1)
        squared = np.maximum(own + theirs - 2.0 * across, 0.0)
        return [np.maximum(1.0 - np.exp(squared * -self.gamma) @ self.weights, 0.0)]


class _Network(MLPRegressor):  # type: ignore[misc]  # sklearn is untyped
    """A network whose loss and gradient belong together, whatever the number of its outputs.

    scikit-learn 1.9 takes the mean of the squared errors over the outputs as the loss, but their
    sum as the gradient; the penalty is the same in both. So the line search of L-BFGS looks for a
    descent that is not there and ends as "ABNORMAL" after a number of rounds that depends on the
    last digits, which differ from one processor to another.
    """

    def _loss_grad_lbfgs(self, packed: Array, X: Array, *rest: Any) -> tuple[float, Array]:  # noqa: ANN401  scikit-learn is untyped
        loss, gradient = super()._loss_grad_lbfgs(packed, X, *rest)
        squares = sum(float((weights * weights).sum()) for weights in self.coefs_)
        penalty = 0.5 * self.alpha * squares / len(X)
        return penalty + (loss - penalty) * self.n_outputs_, gradient


class Autoencoder:
    """Squared reconstruction error of a network with a narrow hidden layer."""

    def fit(self, z: Array, seed: int) -> Self:
        """Train the network to reproduce its input; its weights are decayed by `alpha`."""
        narrow = max(1, z.shape[1] // 3)
        network = _Network(
            hidden_layer_sizes=(narrow,),
            activation="tanh",
            solver="lbfgs",
            alpha=0.1,
            max_iter=300,
            random_state=seed,
        )
        with warnings.catch_warnings():
            # The number of rounds is a limit of time. Any other early end is still a warning.
            warnings.filterwarnings("ignore", r".*\(status=1\)", ConvergenceWarning)
            network.fit(z, z if z.shape[1] > 1 else z[:, 0])
        self.layers = list(zip(network.coefs_, network.intercepts_, strict=True))
        return self

    def statistics(self, z: Any) -> list[Any]:  # noqa: ANN401  an array, or a symbol
        """The squared error of the reconstruction."""
        (inwards, shift), (outwards, back) = self.layers
        off = z - (np.tanh(z @ inwards + shift) @ outwards + back)
        return [(off * off).sum(axis=1, keepdims=True)]


DETECTORS: Mapping[str, Callable[[], Detector]] = {
    "pca": Pca,
    "mahalanobis": Mahalanobis,
    "isolation-forest": Isolation,
    "one-class-svm": OneClass,
    "autoencoder": Autoencoder,
}


def _single(z: Array) -> NDArray[np.float32]:
    return z.astype(np.float32)


def _usual_depth(rows: int) -> float:
    """Mean depth of an unsuccessful search in a binary tree of `rows` rows (equation 1 there)."""
    if rows <= 1:
        return 0.0 if rows < 1 else 1.0
    two = 2
    if rows == two:
        return 1.0
    return float(2.0 * (np.log(rows - 1.0) + np.euler_gamma) - 2.0 * (rows - 1.0) / rows)
