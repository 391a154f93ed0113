"""Compares the alarms of two models on the same windows, block by block."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from serving.gates.evidence import Evidence, Limits

_MS_PER_S: Final = 1000
_BEFORE_ALL: Final = -(1 << 62)  # differences to it are still within 64 bits


class Comparing:
    """Counts blocks in which two models agree, or disagree.

    A block counts once, however many assets the stream has, because assets of a plant are disturbed
    together. Rows of a block that is over are ignored.

    Args:
        limits: how long a block is, and when a candidate is shown to be worse.

    Attributes:
        evidence: what was counted.
    """

    def __init__(self, limits: Limits) -> None:
        self.evidence = Evidence(limits)
        self._block_ms = max(1, round(limits.block_s * _MS_PER_S))
        self._sampled = self._signed = _BEFORE_ALL

    def add(
        self, at_ms: NDArray[np.int64], champion: NDArray[np.bool_], candidate: NDArray[np.bool_]
    ) -> None:
        """Take answers of both models to the same windows, in the order in which they were made.

        Args:
            at_ms: time of each window's end, milliseconds since 1970, `[n]`.
            champion: whether the champion has an alarm, `[n]`.
            candidate: whether the candidate has one, `[n]`.
        """
        block = at_ms // self._block_ms
        is_late = block < np.maximum.accumulate(np.maximum(block, self._sampled))
        block, champion, candidate = block[~is_late], champion[~is_late], candidate[~is_late]
        found, disagrees = self.evidence, champion != candidate
        for row in _firsts(block, self._sampled):
            found.blocks += 1
            found.disagreeing += bool(disagrees[row])
            self._sampled = int(block[row])
        (apart,) = np.nonzero(disagrees)
        for row in apart[_firsts(block[apart], self._signed)].tolist():
            found.only_candidate += bool(candidate[row])
            found.only_champion += bool(champion[row])
            self._signed = int(block[row])


def _firsts(block: NDArray[np.int64], after: int) -> NDArray[np.intp]:
    """Rows that begin a block later than `after`; blocks are in order of time."""
    return np.flatnonzero(np.diff(block, prepend=after) > 0)
