"""Stationary data, in which each sample depends on the one before."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from models.bundle.manifest import Channel
from models.bundle.reference import Document, Judgement, Reference
from trainer.drift.limits import calibrated
from trainer.drift.reference import Samples

WIDTH = 3
CHANNELS = tuple(Channel(name=f"s{index}") for index in range(WIDTH))


def repeating(rho: float, count: int, seed: int) -> NDArray[np.float32]:
    """An AR(1) series, `[count, WIDTH]`, with mean 0 and variance 1, half of it common to all."""
    alone: NDArray[np.float32] = assets(rho, count, seed, 1)[0]
    return alone


def assets(rho: float, count: int, seed: int, many: int) -> NDArray[np.float32]:
    """Independent series of this kind, `[many, count, WIDTH]`."""
    drawn = np.random.default_rng(seed).standard_normal((count, many, WIDTH + 1))
    series, scale = np.empty_like(drawn), np.sqrt(1 - rho**2)
    series[0] = drawn[0]
    for now in range(1, count):
        series[now] = rho * series[now - 1] + scale * drawn[now]
    mixed = (series[:, :, :-1] + series[:, :, -1:]) / np.sqrt(2)
    return np.ascontiguousarray(mixed.swapaxes(0, 1), dtype=np.float32)


def samples(values: NDArray[np.float32]) -> Samples:
    """The samples of one asset, whose score is the mean of its signals."""
    return Samples(np.zeros(len(values), np.int64), values, values.mean(axis=1))


def reference(values: NDArray[np.float32], window: int, false_alarms: float = 0.001) -> Reference:
    """The drift reference, with limits that were calibrated on five blocks in time."""
    found = Reference.of(document(values, window, false_alarms))
    assert found is not None
    return found


def document(values: NDArray[np.float32], window: int, false_alarms: float = 0.001) -> Document:
    """The drift reference as a document of the bundle."""
    bounds = np.arange(6) * len(values) // 5
    every = np.arange(len(values))
    blocks = [(every >= first) & (every < last) for first, last in pairwise(bounds)]
    folds = [(np.flatnonzero(~held), np.flatnonzero(held)) for held in blocks]
    judgement = Judgement(window=window, false_alarms=false_alarms)
    return calibrated(samples(values), CHANNELS, folds, judgement)
