"""Blocks that are permuted are as long as the values are alike."""

import numpy as np

from trainer.evaluation.autocorrelation import memory


def test_blocks_grow_with_the_memory_of_the_series() -> None:
    asset = np.zeros(2000, dtype=np.int64)
    drawn = np.random.default_rng(0).normal(size=(2000, 3))
    for row in range(1, 2000):
        drawn[row] += np.array([0.0, 0.5, 0.9]) * drawn[row - 1]
    lengths = [memory(series, asset) for series in drawn.T]
    assert lengths[0] <= 3
    assert lengths[0] < lengths[1] < lengths[2]
    assert memory(np.ones(2000), asset) == 1
