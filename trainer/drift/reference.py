"""The distribution of signals and score in training, with which a gateway compares new data."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.bundle.manifest import Channel
from models.bundle.reference import (
    BINS,
    CONDITIONS,
    Condition,
    Document,
    Histogram,
    Judgement,
    Quantity,
    Relation,
)
from models.drift import MISSING, ORDINARY, OUTSIDE, REPEATED

QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
# Relations are regressions on all other signals, whose cost on a gateway grows with the square of
# their number; with more signals they are left out.
MAX_RELATED = 128
# Samples without a gap for each signal; with fewer the regressions fit noise.
MIN_SAMPLES_A_SIGNAL = 20
# Added to the correlation matrix, so that signals that are copies of each other can be inverted.
_RIDGE = 1e-6
# Values count as outside from so many times the range beyond the smallest and the largest value.
_OUTSIDE = 0.25
# Edges of the histogram beyond all values of the training part, in ranges of the signal.
_BESIDE = (0.01, 0.5, 4.0)

Floats = NDArray[np.float64]


class Samples(NamedTuple):
    """The samples a gateway would have seen: the newest of each window, by asset and time.

    Attributes:
        asset: index of the asset, `[n]`.
        values: the last sample of each window, float32 `[n, channels]`, NaN = missing.
        scores: score of each window by a model that was not fitted on it, `[n]`; NaN = unknown.
    """

    asset: NDArray[np.int64]
    values: NDArray[np.float32]
    scores: NDArray[Any]

    def take(self, chosen: NDArray[Any]) -> "Samples":
        """Some of the samples, by a mask or by indices in rising order."""
        return Samples(self.asset[chosen], self.values[chosen], self.scores[chosen])


def is_related(samples: Samples) -> bool:
    """Whether there are enough samples without a gap for the regressions of all signals."""
    rows, width = samples.values, samples.values.shape[1]
    whole = int((~np.isnan(rows).any(axis=1)).sum())
    return bool(1 < width <= MAX_RELATED and whole >= MIN_SAMPLES_A_SIGNAL * width)


def describe(
    samples: Samples,
    channels: Sequence[Channel],
    drift: Judgement | None,
    *,
    related: bool | None = None,
) -> Document:
    """The content of `reference.json`, in which the limits of drift are still 1.

    Args:
        samples: samples of the training part.
        channels: names and units of the signals.
        drift: length of the window and share of false alarms; None if drift is not judged.
        related: whether signals are compared with their regressions on the others; None: if there
            are enough samples.
    """
    rows = samples.values.astype(np.float64)
    quantities = [
        _quantity(column, samples.asset, unit)
        for column, unit in zip(
            [*rows.T, samples.scores.astype(np.float64)],
            [*(channel.unit for channel in channels), ""],
            strict=True,
        )
    ]
    signals, score = quantities[:-1], quantities[-1]
    if is_related(samples) if related is None else related:
        signals = _related(signals, rows)
    named = {channel.name: signal for channel, signal in zip(channels, signals, strict=True)}
    return Document(signals=named, score=score, drift=drift)


def _quantity(values: Floats, asset: NDArray[np.int64], unit: str) -> Quantity:
    present = values[~np.isnan(values)]
    if not len(present):
        nothing = Histogram(edges=(), counts=(0,))
        return Quantity(
            unit=unit,
            count=0,
            missing_share=1.0,
            level=nothing,
            condition=_condition(values, asset, None),
        )
    mean, std = _short(present.mean()), _short(present.std())
    z = (present - mean) / (std or 1.0)
    low, high = float(present.min()), float(present.max())
    margin = _OUTSIDE * (high - low or abs(low) or 1.0)
    outside = _short(low - margin), _short(high + margin)
    quantiles = np.quantile(present, QUANTILES)
    return Quantity(
        unit=unit,
        count=len(present),
        missing_share=_short(1 - len(present) / len(values)),
        mean=mean,
        std=std,
        skewness=_short((z**3).mean()),
        kurtosis=_short((z**4).mean()),
        quantiles={f"{q:g}": _short(v) for q, v in zip(QUANTILES, quantiles, strict=True)},
        outside=outside,
        level=_histogram(present),
        condition=_condition(values, asset, outside),
    )


def _histogram(values: Floats) -> Histogram:
    """Cells that are equally full, as far as equal values allow, and some beyond either end."""
    low, high = float(values.min()), float(values.max())
    reach = high - low or 0.01 * abs(low) or 0.01
    inner = np.quantile(values, np.arange(1, BINS) / BINS, method="inverted_cdf")
    beyond = [edge for far in _BESIDE for edge in (low - far * reach, high + far * reach)]
    edges = np.unique([_short(edge) for edge in (*inner[inner > low], *beyond)])
    cells = np.searchsorted(edges, values, side="right")
    counts = np.bincount(cells, minlength=len(edges) + 1)
    return Histogram(
        edges=tuple(edges.tolist()),
        counts=tuple(counts.tolist()),
        scale=_short(float(values.std())) or reach,
    )


def _condition(
    values: Floats, asset: NDArray[np.int64], outside: tuple[float, float] | None
) -> Condition:
    order = np.argsort(asset, kind="stable")
    values, asset = values[order], asset[order]
    condition = np.full(len(values), ORDINARY)
    condition[1:][(values[1:] == values[:-1]) & (asset[1:] == asset[:-1])] = REPEATED
    if outside is not None:
        condition[(values < outside[0]) | (values > outside[1])] = OUTSIDE
    condition[np.isnan(values)] = MISSING
    counts = np.bincount(condition, minlength=len(CONDITIONS))
    return Condition(counts=tuple(counts.tolist()))


def _related(signals: list[Quantity], rows: Floats) -> list[Quantity]:
    """Add to each signal its residual: what a linear regression on all others leaves.

    The coefficients of all these regressions are in the inverse of the correlation matrix
    (D. R. Cox, N. Wermuth: Multivariate Dependencies, 1996, section 3.4).
    """
    whole = rows[~np.isnan(rows).any(axis=1)]
    width = len(signals)
    z = (whole - [s.mean for s in signals]) / [s.std or 1.0 for s in signals]
    inverse = np.linalg.inv(z.T @ z / len(z) + _RIDGE * np.eye(width))
    weights = np.vectorize(_precise)(inverse / np.diag(inverse))
    return [
        signal.model_copy(
            update={
                "relation": Relation(
                    **_histogram(z @ weights[:, index]).model_dump(),
                    weights=tuple(weights[:, index].tolist()),
                )
            }
        )
        for index, signal in enumerate(signals)
    ]


def _short(value: float) -> float:
    return float(f"{value:.7g}")


def _precise(value: float) -> float:
    return float(f"{value:.12g}")
