"""E-values of signs: evidence that may be looked at at any moment.

An e-value is what a bet against a hypothesis has made of a stake of 1. If the hypothesis is true,
the probability that it ever reaches 1 / alpha is at most alpha, however often one looks (Ville,
1939). A bet that is spread over several alternatives is the mean of their e-values. Sources:
Robbins (1970), Statistical methods related to the law of the iterated logarithm; Shafer (2021),
Testing by betting.
"""

from math import exp, inf, log, log1p
from typing import Final

_SIDES: Final = tuple(at / 100 for at in range(55, 100, 5))
"""Probabilities of one sign that are bet on; those of the other sign are 1 minus these."""
_TIMES_ABOVE: Final = (1.5, 2.0, 3.0, 5.0, 10.0, 20.0)
"""Multiples of the limit that are bet on where a rate may be above it."""
_TIMES_BELOW: Final = (0.0, 0.1, 0.25, 0.5, 0.75)
"""Multiples of the limit that are bet on where a rate may be below it."""
_MOST: Final = 0.999


def log_unequal(more: int, fewer: int) -> float:
    """Logarithm of the e-value against "neither sign is more likely than the other".

    It grows where one sign is the more frequent one, whichever it is.

    Args:
        more: independent signs of one kind.
        fewer: independent signs of the other.
    """
    return _log_mean([_log_bet(more, fewer, p, 0.5) for side in _SIDES for p in (side, 1 - side)])


def log_above(hits: int, misses: int, limit: float) -> float:
    """Logarithm of the e-value against "a hit has at most the probability `limit`".

    Args:
        hits: independent trials that were hits.
        misses: those that were none.
        limit: probability, above 0 and below 1.
    """
    alternatives = {min(limit * times, _MOST) for times in _TIMES_ABOVE if limit < _MOST}
    return _log_mean([_log_bet(hits, misses, p, limit) for p in sorted(alternatives)])


def log_below(hits: int, misses: int, limit: float) -> float:
    """Logarithm of the e-value against "a hit has at least the probability `limit`".

    Args:
        hits: independent trials that were hits.
        misses: those that were none.
        limit: probability, above 0 and below 1.
    """
    return _log_mean([_log_bet(hits, misses, limit * times, limit) for times in _TIMES_BELOW])


def trials_to_show(hits: int, limit: float, alpha: float, most: int) -> int | None:
    """Trials in all after which a rate is shown to be below the limit, if no further one is a hit.

    Args:
        hits: hits so far.
        limit: probability, above 0 and below 1.
        alpha: probability of showing it falsely.
        most: trials that are possible.

    Returns:
        The number; None where more than `most` are needed.
    """
    wanted = log(1 / alpha)
    if log_below(hits, most - hits, limit) < wanted:
        return None
    low, high = hits, most
    while low < high:
        middle = (low + high) // 2
        if log_below(hits, middle - hits, limit) >= wanted:
            high = middle
        else:
            low = middle + 1
    return low


def _log_bet(hits: int, misses: int, p: float, p0: float) -> float:
    """Logarithm of the likelihood ratio of `p` to `p0`."""
    if p == 0:
        return -inf if hits else -misses * log1p(-p0)
    return hits * log(p / p0) + misses * (log1p(-p) - log1p(-p0))


def _log_mean(logs: list[float]) -> float:
    greatest = max(logs)
    if greatest == -inf:
        return -inf
    return greatest + log(sum(exp(one - greatest) for one in logs) / len(logs))
