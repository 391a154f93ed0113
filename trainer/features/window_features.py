"""The features of a window: statistics of each signal, and of the relation between signals.

Everything is computed in double precision and rounded to float32 once, at the end. Sums of float32
values are exact in double precision whatever their order, so NumPy and the graph agree to the last
bit, and a tree decides the same on both sides of a threshold (`symbols.py` writes the graph).
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin

from trainer.features.conditions import Conditions, ConditionSpec
from trainer.features.expression import Expression
from trainer.features.kernels import COUNT, DEFAULT_MOST, TAPS, Kernels, sampled
from trainer.features.symbols import power_spectrum

BASIC = ("last", "mean", "std", "min", "max", "slope")
# Values in a block of windows, in double precision 32 MB.
_BLOCK_VALUES = 4_000_000
# A variance below this share of the squared mean is rounding, and counts as zero.
_STEADY = 1e-24
# A band below this share of the signal's deviation is rounding, and counts as zero.
_SILENT = 1e-9
# The smallest divisor; the square of the smallest float32, 1.4e-45, is still larger.
_TINY = 1e-150
_LARGEST = float(np.finfo(np.float32).max)
# Share of the variance of the signals' means that the plane of `residual` explains.
_EXPLAINED = 0.9
# Distance from one of `sparse_lags` to the next, as a share of the lag.
_SPARSE = 0.2
# Shorter windows have no octave bands that are worth the name.
_SHORTEST_SPECTRUM = 8


class _Stretch:
    """The last `length` samples of every window, and the moments that several features share."""

    def __init__(self, x: Any, length: int) -> None:  # noqa: ANN401  an array, or a symbol
        self.x, self.length = x, length
        self.mean = x.sum(axis=1, keepdims=True) / length
        self.apart = x - self.mean
        variance = (self.apart * self.apart).sum(axis=1) / length
        middle = self.mean[:, 0]
        self.variance = np.where(variance > _STEADY * middle * middle, variance, 0.0)

    @property
    def rms(self) -> Any:  # noqa: ANN401  an array, or a symbol
        """Root mean square, `[n, channels]`."""
        return np.sqrt((self.x * self.x).sum(axis=1) / self.length)

    def slope(self) -> Any:  # noqa: ANN401  an array, or a symbol
        """Slope of the least squares line, units per sample, `[n, channels]`."""
        time = np.arange(self.length, dtype=np.float64) - (self.length - 1) / 2
        spread = max(float((time * time).sum()), 1.0)
        return (self.apart * time[:, np.newaxis]).sum(axis=1) / spread

    def crest(self) -> Any:  # noqa: ANN401  an array, or a symbol
        """Crest factor, the peak over the root mean square, `[n, channels]`; 0 if that is 0."""
        rms = self.rms
        return np.where(rms > 0.0, np.abs(self.x).max(axis=1) / np.maximum(rms, _TINY), 0.0)

    def kurtosis(self) -> Any:  # noqa: ANN401  an array, or a symbol
        """Fourth moment over the squared variance, `[n, channels]`; 3 for noise, 0 if constant."""
        squares = self.apart * self.apart
        fourth = (squares * squares).sum(axis=1) / self.length
        spread = np.maximum(self.variance, _TINY)
        return np.where(self.variance > _TINY, fourth / spread / spread, 0.0)


_OF_A_STRETCH: dict[str, Callable[[_Stretch], Any]] = {
    "mean": lambda s: s.mean[:, 0],
    "std": lambda s: np.sqrt(s.variance),
    "min": lambda s: s.x.min(axis=1),
    "max": lambda s: s.x.max(axis=1),
    "range": lambda s: s.x.max(axis=1) - s.x.min(axis=1),
    "rms": lambda s: s.rms,
    "slope": _Stretch.slope,
    "crest": _Stretch.crest,
    "kurtosis": _Stretch.kurtosis,
    "difference": lambda s: s.x[:, -1] - s.x[:, 0],
}
KINDS = ("last", *_OF_A_STRETCH, "bands", "residual", "lags", "kernels")
"""All kinds of features: the last sample; statistics of the last samples; octave bands of the
spectrum, as the root mean square in each; `residual`, the part of the signals' means that the other
signals do not explain; `lags`, single samples before the last one; and `kernels`, the shares of
samples at which a convolution with fixed kernels is above a limit."""


class WindowFeatures(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """Fills gaps with the signal's median, then computes features of each signal.

    Args:
        kinds: kinds of features, from `KINDS`, in order. A window of one sample has `last` and
            `residual` only.
        lengths: numbers of last samples that statistics are computed over, beside the whole window.
        signals: names of the signals, where some are derived or only some have features.
        derived: name and expression of each derived signal, computed sample by sample.
        described: names of the signals, derived ones among them, that have features; empty is all.
        lags: for the kind `lags`, how many samples before the last one each taken sample lies;
            empty takes `sparse_lags` of the window. Lags beyond the window are left out.
        most_kernels: for the kind `kernels`, most features of all signals together.
        conditions: how operating conditions are told apart; each sample is then given in
            deviations from what is usual in its condition. None leaves samples as they are.

    Attributes:
        medians_: value that replaces a missing one, float64 `[described signals]`, derived ones
            last.
        length_: number of samples in a window.
        centre_: mean of each signal's window means, `[described signals]`; for `residual`.
        scale_: deviation of each signal's window means, `[described signals]`; for `residual`.
        kernels_: the fitted kernels, if the window has features of this kind.
        conditions_: the operating conditions, if they are told apart.
        plane_: projection onto the plane that explains most of them, `[signals, signals]`.
    """

    def __init__(  # noqa: PLR0913  scikit-learn's way: a parameter for each setting
        self,
        kinds: Sequence[str] = BASIC,
        lengths: Sequence[int] = (),
        signals: Sequence[str] = (),
        derived: Sequence[tuple[str, str]] = (),
        described: Sequence[str] = (),
        *,
        lags: Sequence[int] = (),
        most_kernels: int = DEFAULT_MOST,
        conditions: ConditionSpec | None = None,
    ) -> None:
        self.kinds = kinds
        self.lengths = lengths
        self.signals = signals
        self.derived = derived
        self.described = described
        self.lags = lags
        self.most_kernels = most_kernels
        self.conditions = conditions

    def fit(self, X: NDArray[np.float32], y: object = None) -> Self:  # noqa: ARG002  sklearn's
        """Find the medians in windows `[n, length, channels]`; 0 for a signal without a value."""
        if self.conditions is not None:
            self._fit_conditions(X[:, -1:], self.conditions)
        last = self._extended(X[:, -1:])[:, 0]
        present = ~np.isnan(last).all(axis=0)
        self.medians_ = np.zeros(last.shape[1])
        self.medians_[present] = np.nanmedian(last[:, present], axis=0)
        self.length_ = X.shape[1]
        if "residual" in self.kinds:
            self._fit_plane(X)
        if self._has_kernels:
            self.kernels_ = Kernels().fit(self._filled(sampled(X)), self.most_kernels)
        return self

    def transform(self, X: NDArray[np.float32]) -> NDArray[np.float32]:
        """Features of windows `[n, length, channels]`: float32 `[n, features]`."""
        blocks = [self.compute(block) for block in in_blocks(X, self._copies(X.shape[2]))]
        return np.concatenate(blocks) if blocks else np.empty((0, self.width), np.float32)

    def names(self, channels: Sequence[str]) -> list[str]:
        """Name of each feature, in order, such as `pressure mean 30` over 30 samples."""
        every = [*channels, *(name for name, _ in self.derived)]
        seen = [name for name in every if name in self.described] if self.described else every
        return [f"{channel} {feature}" for feature in self._features() for channel in seen]

    @property
    def width(self) -> int:
        """Number of columns that `transform` returns."""
        return len(self._features()) * len(self.medians_)

    def compute(self, X: Any) -> Any:  # noqa: ANN401  an array, or a symbol
        """The features of windows, of an array or of a symbol."""
        x = self._filled(X)
        stretches = [_Stretch(x[:, -length:], length) for length in self._stretches()]
        whole = stretches[0] if stretches else None
        found = []
        for kind in self._kinds():
            if kind == "last":
                found.append(x[:, -1])
            elif kind == "bands":
                found += self._bands(x)
            elif kind == "lags":
                found += [x[:, -1 - lag] for lag in self._lags()]
            elif kind == "kernels":
                found += self.kernels_.compute(x) if self._has_kernels else []
            elif kind == "residual":
                found.append(self._residual(whole.mean[:, 0] if whole else x[:, -1]))
            else:
                found += [_OF_A_STRETCH[kind](stretch) for stretch in stretches]
        described = np.concatenate(found, axis=1)
        return np.minimum(np.maximum(described, -_LARGEST), _LARGEST).astype(np.float32)

    def _filled(self, X: Any) -> Any:  # noqa: ANN401  an array, or a symbol
        """All signals that have features, without gaps, in double precision."""
        x = self._extended(X)
        return np.where(np.isnan(x), self.medians_, x)

    def _extended(self, X: Any) -> Any:  # noqa: ANN401  an array, or a symbol
        """The signals with features, normalised if conditions are told apart; NaN = missing."""
        told, seen = self._told_and_seen(X)
        return seen if told is None else self.conditions_.compute(told, seen)

    def _told_and_seen(self, X: Any) -> tuple[Any, Any]:  # noqa: ANN401  an array, or a symbol
        """The signals that tell the condition, or None; and those, derived last, with features."""
        x = X.astype(np.float64)
        columns = {name: x[:, :, at : at + 1] for at, name in enumerate(self.signals)}
        with np.errstate(all="ignore"):
            for name, text in self.derived:
                value = Expression(text).evaluate(columns)
                columns[name] = np.where(np.abs(value) < _LARGEST, value, np.nan)
        telling = () if self.conditions is None else self.conditions.signals
        told = np.concatenate([columns[name] for name in telling], 2) if telling else None
        further = [columns[name] for name, _ in self.derived]
        if self.described:
            seen = [columns[name] for name in columns if name in self.described]
            return told, np.concatenate(seen, 2)
        return told, np.concatenate([x, *further], axis=2) if further else x

    def _fit_conditions(self, X: NDArray[np.float32], spec: ConditionSpec) -> None:
        told, seen = self._told_and_seen(X)
        every = [*self.signals, *(name for name, _ in self.derived)]
        described = [name for name in every if name in self.described] or every
        own = np.array([name in spec.signals for name in described])
        self.conditions_ = Conditions().fit(told[:, 0], seen[:, 0], spec, own)

    def _copies(self, channels: int) -> int:
        """How much more memory than a window its features take while they are computed."""
        if self._has_kernels:
            return COUNT
        if self.conditions is None:
            return 1
        return 1 + len(self.conditions_.centres) // channels

    @property
    def _has_kernels(self) -> bool:
        return "kernels" in self.kinds and self.length_ >= TAPS

    def _kinds(self) -> list[str]:
        alone = self.length_ == 1
        return [kind for kind in self.kinds if not alone or kind in {"last", "residual"}] or [
            "last"
        ]

    def _stretches(self) -> list[int]:
        """Numbers of last samples that statistics are computed over, the whole window first."""
        if self.length_ == 1:
            return []
        shorter = sorted({n for n in self.lengths if 1 < n < self.length_}, reverse=True)
        return [self.length_, *shorter]

    def _features(self) -> list[str]:
        """Name of each feature of one signal, in order."""
        found = []
        for kind in self._kinds():
            if kind in {"last", "residual"}:
                found.append(kind)
            elif kind == "bands":
                found += [f"band {low}-{high - 1}" for low, high in self._octaves()]
            elif kind == "kernels":
                found += self.kernels_.names() if self._has_kernels else []
            elif kind == "lags":
                found += [f"lag {lag}" for lag in self._lags()]
            else:
                found += [f"{kind} {length}" for length in self._stretches()]
        return found

    def _lags(self) -> list[int]:
        """How many samples before the last one each sample of the kind `lags` lies."""
        every = self.lags or sparse_lags(self.length_)
        return [lag for lag in every if lag < self.length_ and (lag or "last" not in self.kinds)]

    def _octaves(self) -> list[tuple[int, int]]:
        """First bin of each octave band, and the bin after its last, of the longest spectrum."""
        size = self._spectrum_length()
        if size < _SHORTEST_SPECTRUM:
            return []
        edges = [1 << k for k in range(size.bit_length() - 1)]
        bands = list(pairwise(edges))
        return [*bands[:-1], (bands[-1][0], size // 2 + 1)]

    def _spectrum_length(self) -> int:
        """The largest power of two that is not longer than the window."""
        size: int = 1 << (self.length_.bit_length() - 1)
        return size

    def _bands(self, x: Any) -> list[Any]:  # noqa: ANN401  an array, or a symbol
        """Root mean square of each octave band, by Parseval's theorem."""
        size = self._spectrum_length()
        if not self._octaves():
            return []
        stretch = _Stretch(x[:, -size:], size)
        share = np.full((size // 2 + 1, 1), 2.0 / size**2)
        share[-1] = 1.0 / size**2  # the highest frequency has no mirror image
        power = power_spectrum(stretch.apart, size) * share
        floor = np.sqrt(stretch.variance) * _SILENT
        found = []
        for low, high in self._octaves():
            band = np.sqrt(power[:, low:high].sum(axis=1))
            found.append(np.where(band > floor, band, 0.0))
        return found

    def _fit_plane(self, X: NDArray[np.float32]) -> None:
        means = np.concatenate([self._filled(block).mean(axis=1) for block in in_blocks(X)])
        self.centre_ = means.mean(axis=0)
        deviation = means.std(axis=0)
        # Rounding of float32 alone gives a constant signal a deviation of about this.
        steady = deviation <= np.abs(self.centre_) * np.finfo(np.float32).eps
        self.scale_ = np.where(steady, 1.0, deviation)
        z = (means - self.centre_) / self.scale_
        variances, axes = np.linalg.eigh(z.T @ z / len(z))
        explained = np.cumsum(variances[::-1]) / max(float(variances.sum()), _TINY)
        kept = min(int(np.searchsorted(explained, _EXPLAINED)) + 1, len(variances))
        self.plane_ = axes[:, ::-1][:, :kept] @ axes[:, ::-1][:, :kept].T

    def _residual(self, means: Any) -> Any:  # noqa: ANN401  an array, or a symbol
        z = (means - self.centre_) / self.scale_
        return (z - z @ self.plane_) * self.scale_


def sparse_lags(length: int) -> list[int]:
    """Lags over a window of `length` samples: dense near its end, then ever further apart.

    The distance grows in proportion to the lag, because the response of a first-order process
    becomes flatter with the time since its cause; the last lag is the window's first sample.
    """
    found, lag = [], 0
    while lag < length - 1:
        found.append(lag)
        lag += max(1, round(lag * _SPARSE))
    return [*found, length - 1]


def in_blocks(X: NDArray[np.float32], times: int = 1) -> Iterator[NDArray[np.float32]]:
    """Blocks of windows that do not fill the memory, even if `times` features are made of each."""
    step = max(1, _BLOCK_VALUES // (X.shape[1] * X.shape[2] * times))
    for at in range(0, len(X), step):
        yield X[at : at + step]
