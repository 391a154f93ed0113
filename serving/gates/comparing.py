"""Compares the alarms of two models on the same windows, block by block."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from serving.gates.evidence import Evidence, Limits
from serving.gates.votes import Votes

_MS_PER_S: Final = 1000
Answered = NDArray[np.bool_] | NDArray[np.int64]
_BEFORE_ALL: Final = -(1 << 62)  # differences to it are still within 64 bits


class Comparing:
    """Counts blocks in which two models agree, or disagree.

    A block counts once, however many assets the stream has, because assets of a plant are disturbed
    together. Rows of a block that is over are ignored.

    Args:
        limits: how long a block is, and when a candidate is shown to be worse.
        directed: whether it also counts which of the models has the alarm.
        further: names of further gates, of those in `serving.gates.evidence.FURTHER`.

    Attributes:
        evidence: what was counted.
    """

    def __init__(
        self, limits: Limits, *, directed: bool = True, further: Sequence[str] = ()
    ) -> None:
        self.evidence = Evidence.begun(limits, directed=directed, further=further)
        self._block_ms = max(1, round(limits.block_s * _MS_PER_S))
        self._sampled = self._signed = _BEFORE_ALL
        self._voted = dict.fromkeys(further, _BEFORE_ALL)

    def add(
        self,
        at_ms: NDArray[np.int64],
        champion: Answered,
        candidate: Answered,
        votes: Mapping[str, Votes] | None = None,
    ) -> None:
        """Take answers of both models to the same windows, in the order in which they were made.

        Args:
            at_ms: time of each window's end, milliseconds since 1970, `[n]`.
            champion: whether the champion has an alarm, or its class, `[n]`.
            candidate: whether the candidate has one, or its class, `[n]`.
            votes: what each window says to the further gates, by name, see `serving.gates.votes`.
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
        for name, vote in (votes or {}).items():
            self._vote(name, block, vote[~is_late])

    def _vote(self, name: str, block: NDArray[np.int64], vote: Votes) -> None:
        """Count the first vote of each block."""
        gate = self.evidence.further[name]
        (cast,) = np.nonzero(vote)
        for row in cast[_firsts(block[cast], self._voted[name])].tolist():
            gate.hits += bool(vote[row] > 0)
            gate.misses += bool(vote[row] < 0)
            self._voted[name] = int(block[row])


def _firsts(block: NDArray[np.int64], after: int) -> NDArray[np.intp]:
    """Rows that begin a block later than `after`; blocks are in order of time."""
    return np.flatnonzero(np.diff(block, prepend=after) > 0)
