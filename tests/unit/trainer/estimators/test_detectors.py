"""Detectors on their own."""

import numpy as np
import pytest
from sklearn.covariance import ledoit_wolf

from trainer.estimators.detectors import Autoencoder, Mahalanobis
from trainer.estimators.shrinkage import chosen_share, shrunk_covariance

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


def test_small_variances_are_not_shrunk_away_where_there_are_rows_enough() -> None:
    """Thirty-three signals follow eight causes; a fault is small, and off their plane."""
    drawn = np.random.default_rng(0)
    causes = drawn.normal(size=(8, 33))
    rows = drawn.normal(size=(2500, 8)) @ causes + 0.2 * drawn.normal(size=(2500, 33))
    rows /= rows[:500].std(axis=0)
    faults = rows[1500:] + 0.15 * drawn.choice([-1, 1], size=33)
    found = {}
    for name, covariance in {
        "chosen": shrunk_covariance(rows[:500]),
        "ledoit-wolf": ledoit_wolf(rows[:500], assume_centered=True)[0],
    }.items():
        inverse = np.linalg.inv(covariance)
        normal, faulty = (np.einsum("ni,ij,nj->n", z, inverse, z) for z in (rows[500:1500], faults))
        found[name] = (faulty > np.quantile(normal, 0.99)).mean()
    assert chosen_share(rows[:500]) < 1
    assert found["chosen"] > found["ledoit-wolf"] + 0.02


def test_few_rows_are_shrunk() -> None:
    few = np.random.default_rng(0).normal(size=(20, 33))
    assert chosen_share(few) == 1
    (distance,) = Mahalanobis().fit(few, seed=0).statistics(few)
    assert np.isfinite(distance).all()
    assert distance.max() < 100
