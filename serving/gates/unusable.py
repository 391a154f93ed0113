"""The hard gate against answers that nobody can use where the champion's can be used."""

import numpy as np
from numpy.typing import NDArray

from models.input.quality import Quality
from serving.gates.answers import Answers


def not_finite(champion: Answers | None, candidate: Answers) -> NDArray[np.bool_]:
    """Windows whose answer is no number though the champion's is one, `[n]`.

    Args:
        champion: answers of the champion; None where it does not answer any more.
        candidate: answers of the candidate to the same windows.
    """
    is_lost = ~np.isfinite(candidate.output)
    return is_lost if champion is None else is_lost & np.isfinite(champion.output)


def bad_where_good(champion: Answers | None, candidate: Answers) -> NDArray[np.bool_]:
    """Windows whose answer is BAD though the champion's is GOOD, `[n]`; none without a champion.

    Args:
        champion: answers of the champion; None where it does not answer any more.
        candidate: answers of the candidate to the same windows.
    """
    if champion is None:
        return np.zeros(len(candidate.quality), dtype=np.bool_)
    is_good = champion.quality == Quality.GOOD
    return np.asarray(is_good & (candidate.quality == Quality.BAD))
