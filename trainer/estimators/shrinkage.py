"""The shrinkage of a covariance, chosen by the likelihood of rows that were held out.

Ledoit and Wolf (2004) find the shrinkage that is nearest to the true covariance in squared error. A
Mahalanobis distance needs its inverse, in which the small variances count most, and these are just
what is shrunk away: with 500 rows of 33 signals fewer faults are found than without. So shares of
their shrinkage compete, down to none, by the Gaussian likelihood of held-out blocks, which looks at
the inverse. Choosing shrinkage in this way: J. P. Hoffbeck, D. A. Landgrebe: Covariance matrix
estimation and classification with limited training data. IEEE Trans. PAMI 18(7), 1996, 763-767.
"""

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf_shrinkage

Array = NDArray[np.float64]
_SHARES = (1.0, 0.5, 0.25, 0.1, 0.0)
_BLOCKS = 5
# A smaller variance than this of a standardised feature is rounding, and its inverse means nothing.
_LEAST = 1e-9


def shrunk_covariance(z: Array) -> Array:
    """The covariance of standardised rows `[n, features]` about zero, shrunk towards a sphere."""
    whole = z.T @ z / len(z)
    shrinkage = float(ledoit_wolf_shrinkage(z, assume_centered=True)) * chosen_share(z)
    sphere = np.trace(whole) / len(whole) * np.eye(len(whole))
    covariance: Array = (1 - shrinkage) * whole + shrinkage * sphere
    return covariance


def chosen_share(z: Array) -> float:
    """The share of Ledoit and Wolf's shrinkage, 1 to 0, under which held-out rows are likeliest.

    Args:
        z: standardised rows in the order of time, `[n, features]`; blocks of it are held out, so
            that neighbours are rarely on both sides.
    """
    most = float(ledoit_wolf_shrinkage(z, assume_centered=True))
    losses = np.zeros(len(_SHARES))
    for held in np.array_split(np.arange(len(z)), _BLOCKS):
        fitted = np.delete(z, held, axis=0)
        if not len(held) or not len(fitted):
            return 1.0
        # A shrunk covariance has the axes of the sample's, so one decomposition serves all shares.
        variances, axes = np.linalg.eigh(fitted.T @ fitted / len(fitted))
        along = z[held] @ axes
        seen = (along * along).mean(axis=0)
        losses += [_loss(variances, seen, most * share) for share in _SHARES]
    return _SHARES[int(np.argmin(losses))]


def _loss(variances: Array, seen: Array, shrinkage: float) -> float:
    """Twice the negative log likelihood of a row but for a constant; infinite if it is singular.

    Args:
        variances: those of the fitted rows along the axes, `[features]`.
        seen: mean squares of the held-out rows along the same axes, `[features]`.
        shrinkage: weight of the sphere, 0 to 1.
    """
    shrunk = (1 - shrinkage) * np.maximum(variances, 0.0) + shrinkage * variances.mean()
    if shrunk.min() <= _LEAST:
        return float("inf")
    return float((np.log(shrunk) + seen / shrunk).sum())
