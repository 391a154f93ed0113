"""Windows that are made up from ranges and moments, for golden vectors.

Golden vectors travel with the bundle to every gateway, and are nobody's secret there. So they are
no rows of a recording: of the training windows only the range of each signal is used, its mean and
deviation, how signals move together, and how much they move within a window. All of this but the
last is in `reference.json` anyway.

To prove a graph, the windows must reach its branches: a tree that was damaged in one leaf is found
only by a window that ends in this leaf. Half of the windows are as likely as those of training, so
that they meet the thresholds that the trees have learned; the other half spreads evenly over the
ranges, where such windows are rare.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from models.bundle.manifest import Channel

Floats = NDArray[np.float64]
Window = NDArray[np.float32]

# Windows from which moments are taken, and the values of all of them together at most.
_MOST_WINDOWS: Final = 4096
_MOST_VALUES: Final = 8_000_000
# The cost of correlations grows with the square of the number of signals.
_MOST_CORRELATED: Final = 128
# Added to correlations, so that signals that are copies of each other have a factor.
_RIDGE: Final = 1e-6
# How much a window moves, in multiples of the usual deviation within a window.
_SCALES: Final = (0.0, 0.5, 1.0, 2.0)
_LARGEST: Final = float(np.finfo(np.float32).max)


@dataclass(frozen=True, slots=True)
class Profile:
    """Ranges and moments of signals.

    Attributes:
        lowest: least value of each signal, `[channels]`.
        highest: greatest value of each signal, `[channels]`.
        mean: mean of each signal, `[channels]`.
        factor: lower triangle whose product with itself is the covariance of the windows' means,
            `[channels, channels]`.
        within: deviation of the samples from the mean of their window, `[channels]`.
        memory: correlation of this deviation with the one of the sample before, `[channels]`.
        length: number of samples in a window.
    """

    lowest: Floats
    highest: Floats
    mean: Floats
    factor: Floats
    within: Floats
    memory: Floats
    length: int

    @classmethod
    def of(cls, windows: Window) -> "Profile":
        """The profile of windows `[n, length, channels]`, NaN = missing, at least one."""
        count, length, width = windows.shape
        most = max(1, min(count, _MOST_WINDOWS, _MOST_VALUES // (length * width)))
        spread = np.linspace(0, count - 1, most).round().astype(np.int64)
        x = windows[spread].astype(np.float64)
        known = ~np.isnan(x)
        level = _mean(x, known, axis=1)
        mean = _mean(level, ~np.isnan(level), axis=0)
        mean = np.where(np.isnan(mean), 0.0, mean)
        apart = np.where(known, x - level[:, np.newaxis], 0.0)
        power = (apart**2).sum(axis=(0, 1))
        along = (apart[:, 1:] * apart[:, :-1]).sum(axis=(0, 1))
        return cls(
            lowest=_short(np.where(known, x, np.inf).min(axis=(0, 1)), mean),
            highest=_short(np.where(known, x, -np.inf).max(axis=(0, 1)), mean),
            mean=_short(mean, mean),
            factor=_factor(np.where(np.isnan(level), 0.0, level - mean)),
            within=_short(np.sqrt(power / np.maximum(known.sum(axis=(0, 1)), 1)), mean),
            memory=np.clip(along / np.maximum(power, np.finfo(float).tiny), 0.0, 0.99).round(2),
            length=length,
        )

    def reaching(self, channels: tuple[Channel, ...]) -> tuple[Window, Window]:
        """Lowest and highest value of each signal, `[channels]`: its range, or its extremes."""
        lowest, highest = self.lowest.copy(), self.highest.copy()
        for index, channel in enumerate(channels):
            if channel.valid_range is not None:
                low, high = channel.valid_range
                lowest[index], highest[index] = low - channel.offset, high - channel.offset
        return _single(lowest), _single(highest)

    def windows(self, count: int) -> Window:
        """Windows within the ranges, the same at every call, without missing values.

        One in the middle is the mean, the next one the middle of the ranges; the others are random.

        Args:
            count: number of windows, at least three.

        Returns:
            Float32 `[count, length, channels]`.
        """
        drawn = np.random.default_rng(0)
        usual = count // 2
        level = np.empty((count, len(self.mean)))
        level[:usual] = self.mean + drawn.standard_normal((usual, len(self.mean))) @ self.factor.T
        share = drawn.random((count - usual, len(self.mean)))
        level[usual:] = self.lowest * (1 - share) + self.highest * share
        scale = np.ones(count)
        scale[usual:] = np.resize(_SCALES, count - usual)
        moved = self._moves(drawn, count) * scale[:, np.newaxis, np.newaxis]
        found = level[:, np.newaxis] + moved
        found[usual], found[usual + 1] = self.mean, self.lowest / 2 + self.highest / 2
        return _single(np.clip(found, self.lowest, self.highest))

    def around(self, level: Floats, count: int) -> Window:
        """Windows whose mean is a level, the same at every call, without missing values.

        The first one stands still, the others move as windows usually do.

        Args:
            level: level of each signal, `[channels]`; one outside the extremes is taken in.
            count: number of windows, at least one.

        Returns:
            Float32 `[count, length, channels]`.
        """
        moved = self._moves(np.random.default_rng(0), count)
        moved -= moved.mean(axis=1, keepdims=True)
        moved[0] = 0.0
        return _single(np.clip(level + moved, self.lowest, self.highest))

    def _moves(self, drawn: np.random.Generator, count: int) -> Floats:
        """Deviations from the level, in which each sample remembers the one before."""
        noise = drawn.standard_normal((count, self.length, len(self.mean))) * self.within
        fresh = np.sqrt(1 - self.memory**2)
        for step in range(1, self.length):
            noise[:, step] = self.memory * noise[:, step - 1] + fresh * noise[:, step]
        return noise


def _mean(values: Floats, known: NDArray[np.bool_], axis: int) -> Floats:
    """The mean of the known values; NaN where there is none."""
    count = known.sum(axis=axis)
    total = np.where(known, values, 0.0).sum(axis=axis)
    mean = np.full(total.shape, np.nan)
    np.divide(total, count, out=mean, where=count > 0)
    return mean


def _factor(level: Floats) -> Floats:
    deviation = np.sqrt((level**2).mean(axis=0))
    if len(deviation) > _MOST_CORRELATED:
        return np.diag(_short(deviation, deviation))
    z = level / np.where(deviation > 0, deviation, 1.0)
    with threadpool_limits(limits=1):  # the order of a sum affects its last digit
        related = (z.T @ z / len(z)).round(4)
        related += np.diag(1 - np.diag(related) + len(related) * 1e-4 + _RIDGE)
        factor = np.linalg.cholesky(related)
    return np.asarray(_short(deviation, deviation)[:, np.newaxis] * factor.round(6))


def _short(values: Floats, instead: Floats) -> Floats:
    """Values with six digits; `instead` where there is none, as for a signal without a value."""
    finite = np.where(np.isfinite(values), values, instead)
    return np.array([float(f"{value:.6g}") for value in finite])


def _single(values: Floats) -> Window:
    return np.asarray(np.clip(values, -_LARGEST, _LARGEST).astype(np.float32))
