"""A hash of each window, by which windows with the same samples are found."""

import numpy as np
from numpy.typing import NDArray

_BLOCK_VALUES = 1 << 22
_SHIFT = np.uint64(32)
# Multipliers of splitmix64's finalizer (Steele, Lea, Flood 2014), which mixes every bit.
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def fingerprints(windows: NDArray[np.float32]) -> NDArray[np.uint64]:
    """A 64-bit hash of each window of `[n, length, channels]`.

    Two different windows have the same hash with a chance of 1 in 10^19. Missing values are equal.
    """
    flat = windows.reshape(len(windows), -1)
    salt = np.random.default_rng(0).integers(0, 2**64, flat.shape[1], dtype=np.uint64)
    found = np.empty(len(flat), dtype=np.uint64)
    step = max(1, _BLOCK_VALUES // max(1, flat.shape[1]))
    for start in range(0, len(flat), step):
        block = flat[start : start + step] + np.float32(0)  # -0 becomes 0: the same reading
        block[np.isnan(block)] = np.nan
        mixed = (np.ascontiguousarray(block).view(np.uint32) + salt).astype(np.uint64)
        for multiplier in (_FIRST, _SECOND):
            mixed ^= mixed >> _SHIFT
            mixed *= multiplier
        found[start : start + step] = (mixed ^ (mixed >> _SHIFT)).sum(axis=1, dtype=np.uint64)
    return found
