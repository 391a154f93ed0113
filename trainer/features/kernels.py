"""Shares of positive values after fixed convolutions, which tell waveforms apart by their shape.

The transform is MiniRocket: A. Dempster, D. F. Schmidt, G. I. Webb, "MiniRocket: a very fast
(almost) deterministic transform for time series classification" (KDD 2021, arXiv 2012.08791). It
has 84 kernels of nine weights, six of them -1 and three 2, at several dilations. A feature is the
share of samples at which the convolution is above a limit, and limits are quantiles of the
convolutions of training windows.

Three things differ from the paper. The kernels see one signal at a time, so that an answer can be
explained by signals. The mean of the window is subtracted first, so that the zeros around a padded
window are no step. Limits are quantiles over several windows rather than one.

Before the convolution a signal is rounded to whole steps, a millionth of the range that is
used. Sums of whole numbers below 2**24 are exact in float32 in any order, so the graph counts just
the samples that NumPy counts, on any processor.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from trainer.features.symbols import convolution

TAPS = 9
"""Weights of a kernel, and with that the fewest samples of a window that has such features."""
COUNT = 84
"""Kernels, one for each way to put three weights of 2 among nine."""
DEFAULT_MOST = 1_000
"""Most features of all signals together, where the recipe does not say it."""
MAX_VALUES = 16_384
"""Most values in a window: the convolutions of a batch take up to 170 times its memory."""
_MAX_DILATIONS = 32
_GOLDEN = (5**0.5 + 1) / 2
# A deviation has so many steps, and whatever is 64 deviations from the mean counts as that far. A
# convolution has at most 12 times the steps of a value, and so stays below 2**24.
_STEPS = 8192.0
_FARTHEST = 64 * _STEPS
# Values of a signal that limits are found on; sorting many more would take longer than fitting.
_SAMPLES = 10_000

Array = NDArray[np.float64]


class Kernels:
    """The fitted limits, and the scale of each signal.

    Attributes:
        length: number of samples in a window.
        step: size of a step of each signal, in its unit, `[signals]`.
        passes: dilation, padding, indices of the kernels, and limits `[kernels, signals, limits]`
            of each convolution.
    """

    def fit(self, x: Array, most: int) -> Self:
        """Find the steps and the limits.

        Args:
            x: windows without gaps, `[n, length, signals]`.
            most: most features of all signals together.
        """
        _, self.length, signals = x.shape
        deviation = (x - x.mean(axis=1, keepdims=True)).std(axis=(0, 1))
        self.step = np.where(deviation > 0, deviation, 1.0) / _STEPS
        self.passes = []
        z, at = self._rounded(x), 0
        for dilation, padding, chosen, count in _passes(self.length, most // (COUNT * signals)):
            found = convolution(z, _WEIGHTS[chosen], dilation, padding)
            values = np.sort(np.moveaxis(found, 0, 2).reshape(len(chosen), signals, -1), axis=2)
            number = 1 + at + np.arange(len(chosen) * count).reshape(-1, 1, count)
            # Multiples of the golden ratio, without their whole part, are spread evenly.
            place = ((number * _GOLDEN % 1) * values.shape[2]).astype(np.int64)
            place = np.broadcast_to(place, (len(chosen), signals, count))
            limits = np.take_along_axis(values, place, axis=2)
            self.passes.append((dilation, padding, chosen, limits))
            at += number.size
        return self

    def names(self) -> list[str]:
        """Name of each feature of one signal, in order."""
        return [
            f"kernel {kernel} dilation {dilation} limit {number}"
            for dilation, _, chosen, limits in self.passes
            for number in range(1, limits.shape[2] + 1)
            for kernel in chosen
        ]

    def compute(self, x: Any) -> list[Any]:  # noqa: ANN401  an array, or a symbol
        """The shares of windows without gaps `[n, length, signals]`, as parts to concatenate.

        Each part is float64 `[n, kernels * signals]`, all signals of a kernel side by side.
        """
        z, found = self._rounded(x), []
        for dilation, padding, chosen, limits in self.passes:
            positions = self.length + 2 * padding - dilation * (TAPS - 1)
            values = convolution(z, _WEIGHTS[chosen], dilation, padding)
            for number in range(limits.shape[2]):
                above = (values > limits[:, :, number : number + 1]).astype(np.float32)
                share = above.sum(axis=3).reshape(-1, limits.shape[0] * limits.shape[1])
                found.append(share.astype(np.float64) / positions)
        return found

    def _rounded(self, x: Any) -> Any:  # noqa: ANN401  an array, or a symbol
        """The signals around their mean in whole steps, float32 `[n, 1, signals, length]`."""
        apart = (x - x.sum(axis=1, keepdims=True) / self.length) / self.step
        whole = np.rint(np.minimum(np.maximum(apart, -_FARTHEST), _FARTHEST)).astype(np.float32)
        return np.transpose(whole, (0, 2, 1)).reshape(-1, 1, len(self.step), self.length)


def sampled(X: NDArray[np.float32]) -> NDArray[np.float32]:
    """Some of the windows `[n, length, signals]`, always the same, to find limits on."""
    count = max(1, _SAMPLES // X.shape[1])
    return X[np.sort(np.random.default_rng(0).permutation(len(X))[:count])]


def kernel_mistakes(length: int, signals: int, most: int) -> list[str]:
    """Why windows of this many samples and signals cannot have these features; empty if they can.

    Args:
        length: number of samples that the features see.
        signals: number of signals that have features.
        most: most features of all signals together.
    """
    found = []
    if length < TAPS:
        found.append(
            f"a kernel has {TAPS} weights, and features see {length} samples; lengthen "
            "window.length, or leave 'kernels' out"
        )
    if signals * COUNT > most:
        found.append(
            f"{COUNT} kernels of {signals} signals make {signals * COUNT} features or more, and "
            f"features.kernels allows {most}; raise it, or name fewer signals in features.signals"
        )
    if length * signals > MAX_VALUES:
        found.append(
            f"windows of {length} samples of {signals} signals have {length * signals} values, "
            f"allowed are {MAX_VALUES}; shorten window.length, or name fewer signals in "
            "features.signals"
        )
    return found


def _passes(length: int, each: int) -> Iterator[tuple[int, int, NDArray[np.int64], int]]:
    """Dilation, padding, kernels and number of limits of each convolution.

    Half of the kernels see a padded window, in turn with the dilation. Dilations grow by a constant
    factor, up to kernels as long as the window.

    Args:
        length: number of samples in a window.
        each: number of features of each kernel.
    """
    for order, (dilation, count) in enumerate(_dilations(length, max(1, each))):
        for half in range(2):
            is_padded = (order + half) % 2 == 0
            padding = dilation * (TAPS // 2) if is_padded else 0
            yield dilation, padding, np.arange(half, COUNT, 2), count


def _dilations(length: int, each: int) -> Sequence[tuple[int, int]]:
    """Each dilation, and how many of `each` features a kernel has there."""
    number = min(each, _MAX_DILATIONS)
    longest = np.log2((length - 1) / (TAPS - 1))
    drawn = np.logspace(0, longest, number, base=2).astype(np.int64)
    dilations, times = np.unique(drawn, return_counts=True)
    counts = times * each // number
    counts[: each - counts.sum()] += 1
    return [*zip(dilations.tolist(), counts.tolist(), strict=True)]


def _weights() -> NDArray[np.float32]:
    weights = np.full((COUNT, TAPS), -1, np.float32)
    for kernel, places in enumerate(combinations(range(TAPS), 3)):
        weights[kernel, list(places)] = 2
    return weights


_WEIGHTS = _weights()
