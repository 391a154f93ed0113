"""What a window says for or against a candidate: 1 against it, -1 for it, 0 nothing.

A gate counts the first window of a block that says something. The arrays are int8 `[n]`.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Votes = NDArray[np.int8]
_MIDDLE: Final = 0.5


def rank_votes(
    champion: NDArray[np.float64], candidate: NDArray[np.float64], *, upward: bool
) -> Votes:
    """Which model finds the window more unusual among the windows of its own training.

    A model whose scores have shifted finds windows unusual that are not. One that was trained anew,
    since the plant has changed, finds them less so, which is a vote for it.

    Args:
        champion: share of the champion's training answers below its answer, 0 to 1, `[n]`.
        candidate: the same of the candidate, `[n]`.
        upward: whether only great answers are unusual, as scores of alarms are; otherwise those far
            from the middle are.
    """
    more = candidate - champion
    if not upward:
        more = np.abs(candidate - _MIDDLE) - np.abs(champion - _MIDDLE)
    votes: Votes = np.sign(np.nan_to_num(more)).astype(np.int8)
    return votes


def latency_votes(
    champion_ms: float, candidate_ms: float, count: int, *, times: float, allowed_ms: float
) -> Votes:
    """Whether the candidate is slow on a batch: beyond its budget, and slower than the champion.

    Args:
        champion_ms: milliseconds of the champion for one window of the batch.
        candidate_ms: milliseconds of the candidate.
        count: number of windows of the batch.
        times: how many times as long as the champion the candidate may take.
        allowed_ms: milliseconds that it may take in any case.
    """
    is_slow = candidate_ms > allowed_ms and candidate_ms > times * champion_ms
    return np.full(count, 1 if is_slow else -1, dtype=np.int8)
