"""Detectors on their own."""

import numpy as np
import pytest

from trainer.estimators.detectors import Autoencoder

ROWS, FEATURES, MOVING = 200, 12, 6


@pytest.mark.parametrize("last_digits", range(5))
def test_autoencoder_learns_whatever_the_last_digits_are(last_digits: int) -> None:
    # Warnings are errors here, and a line search that finds no descent would warn.
    drawn = np.random.default_rng(0)
    normal = np.tanh(drawn.normal(size=(ROWS, MOVING))) @ drawn.normal(size=(MOVING, FEATURES))
    normal += 0.5 * drawn.normal(size=normal.shape)
    normal /= normal.std(axis=0)
    normal *= 1 + 1e-15 * np.random.default_rng(last_digits).normal(size=normal.shape)
    (left,) = Autoencoder().fit(normal, seed=0).statistics(normal)
    assert left.mean() / FEATURES == pytest.approx(0.21, abs=0.01)
