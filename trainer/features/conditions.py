"""Normalisation by operating condition: each signal beside what is usual in the same regime.

A machine that changes between regimes (altitudes, loads, products) moves its signals far more than
wear does. Within one regime, mean and deviation of a signal are those of the regime, and what is
left tells the wear. L. Peel (2008), "Data driven prognostics using a Kalman filter ensemble of
neural network models" (PHM'08), normalised the turbofans of C-MAPSS in this way.

A condition is the nearest of several centres, so a gateway needs nothing but the graph, and
settings that lie between those of the training part belong to the nearest regime.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from trainer.errors import DataError

MAX_CONDITIONS = 50
# Windows that centres are found on; more are thinned out evenly.
_MOST_ROWS = 20_000
# With fewer samples the deviation in a condition is that of the signal over all conditions.
_LEAST_SAMPLES = 10

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ConditionSpec:
    """How operating conditions are told apart.

    Attributes:
        signals: names of the signals that tell the condition.
        clusters: number of conditions, found by k-means; None takes every combination of values
            in the training part as a condition.
        seed: seed of k-means.
    """

    signals: tuple[str, ...]
    clusters: int | None = None
    seed: int = 0


class Conditions:
    """The conditions of a training part, with mean and deviation of each signal in each of them.

    Attributes:
        filling: value that replaces a missing one of a signal that tells the condition, `[told]`.
        spread: deviation of each of these signals, by which distances are measured, `[told]`.
        centres: their values at the centre of each condition, `[conditions, told]`.
        means: mean of each signal in each condition, `[conditions, signals]`.
        deviations: its deviation there, `[conditions, signals]`.
    """

    def fit(self, told: Array, seen: Array, spec: ConditionSpec, own: NDArray[np.bool_]) -> Self:
        """Find the conditions, and what is usual in each.

        Args:
            told: samples of the signals that tell the condition, `[n, told]`; NaN for missing.
            seen: the same samples of the signals to normalise, `[n, signals]`; NaN for missing.
            spec: how conditions are told apart.
            own: which of `seen` tell the condition themselves, and stay as they are, `[signals]`.

        Raises:
            DataError: there are too many combinations of values, or too few for the clusters.
        """
        self.filling = _by_column(np.nanmedian, told)
        filled = np.where(np.isnan(told), self.filling, told)
        spread = filled.std(axis=0)
        self.spread = np.where(spread > 0, spread, 1.0)
        self.centres = _centres(filled, self.spread, spec)
        condition = self.weights(filled[:, np.newaxis])[:, 0].argmax(axis=1)
        self.means = np.zeros((len(self.centres), seen.shape[1]))
        self.deviations = np.ones_like(self.means)
        anywhere = _usable(_by_column(np.nanstd, seen), _by_column(np.nanmean, seen))
        for at in range(len(self.centres)):
            within = seen[condition == at]
            mean, deviation = _by_column(np.nanmean, within), _by_column(np.nanstd, within)
            many = (~np.isnan(within)).sum(axis=0) >= _LEAST_SAMPLES
            self.means[at] = np.where(own, 0.0, mean)
            self.deviations[at] = np.where(
                own, 1.0, np.where(many, _usable(deviation, mean), anywhere)
            )
        return self

    def weights(self, told: Any) -> Any:  # noqa: ANN401  an array, or a symbol
        """1 for the nearest condition and 0 for the others, `[n, length, conditions]`.

        Args:
            told: signals that tell the condition, without gaps, `[n, length, told]`.
        """
        apart: Any = 0.0
        for at in range(len(self.spread)):
            one = (told[:, :, at : at + 1] - self.centres[:, at]) / self.spread[at]
            apart = apart + one * one
        nearest = apart.min(axis=-1, keepdims=True)
        chosen = np.where(apart > nearest, 0.0, 1.0)
        # Two conditions that are equally near each weigh a half.
        return chosen / chosen.sum(axis=-1, keepdims=True)

    def compute(self, told: Any, seen: Any) -> Any:  # noqa: ANN401  arrays, or symbols
        """Signals in deviations from what is usual in their condition, `[n, length, signals]`.

        Args:
            told: signals that tell the condition, `[n, length, told]`; NaN for missing.
            seen: signals to normalise, `[n, length, signals]`; a missing one stays missing.
        """
        weights = self.weights(np.where(np.isnan(told), self.filling, told))
        return (seen - weights @ self.means) / (weights @ self.deviations)


def _centres(filled: Array, spread: Array, spec: ConditionSpec) -> Array:
    every = np.unique(filled, axis=0)
    named = ", ".join(spec.signals)
    if spec.clusters is None:
        if len(every) > MAX_CONDITIONS:
            raise DataError(
                f"conditions.signals: {named} have {len(every)} combinations of values in the "
                f"training part, at most {MAX_CONDITIONS} are conditions; give conditions.clusters"
            )
        return every
    if len(every) < spec.clusters:
        raise DataError(
            f"conditions.clusters is {spec.clusters}, but {named} have {len(every)} combinations "
            "of values in the training part; lower it, or leave it out"
        )
    some = filled[:: -(-len(filled) // _MOST_ROWS)] / spread
    found = KMeans(spec.clusters, n_init=10, random_state=spec.seed).fit(some)
    centres: Array = found.cluster_centers_ * spread
    return centres


def _by_column(statistic: Any, values: Array) -> Array:  # noqa: ANN401  a function of NumPy
    """A statistic of each column that skips what is missing; 0 for a column without a value."""
    found = np.zeros(values.shape[1])
    present = ~np.isnan(values).all(axis=0) if len(values) else np.zeros(len(found), dtype=bool)
    found[present] = statistic(values[:, present], axis=0)
    return found


def _usable(deviation: Array, mean: Array) -> Array:
    """Deviations to divide by; 1 where a signal is steady but for the rounding of float32."""
    steady = deviation <= np.abs(mean) * np.finfo(np.float32).eps
    return np.where(steady, 1.0, deviation)
