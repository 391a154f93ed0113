"""How long the answers and the signals of the training part stay correlated.

The answers are those of models that were not fitted on them. Two models disagree as a function of
the windows that both see. So their disagreements stay correlated no longer than what they read and
what they answer, of which the longest time counts (ADR 68).
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.bundle.correlation import Correlation, CorrelationTime
from trainer.drift.reference import Samples
from trainer.evaluation.correlation_time import MAX_VALUES, Estimate, correlation_time
from trainer.recipe.document import Recipe

_MOST_VALUES: Final = 20_000_000
"""Most values of all signals together, which bounds the time that this takes."""
_FEWEST: Final = 2_000
_PAUSE: Final = 20
"""A step so many times as long as the median one begins a new run."""
_NS_PER_S: Final = 10**9


def correlation(
    samples: Samples, recipe: Recipe, ended_ns: NDArray[np.int64] | None
) -> Correlation:
    """The correlation times of the score and of the signals that the model reads.

    Args:
        samples: samples of the training part, with the scores of models without them.
        recipe: the recipe, which names the signals that the model reads.
        ended_ns: time of each sample, nanoseconds since 1970, `[n]`; None without a time axis.
    """
    order = np.argsort(samples.asset, kind="stable")
    run, step_s = _runs(samples.asset[order], None if ended_ns is None else ended_ns[order])
    most = max(_FEWEST, min(MAX_VALUES, _MOST_VALUES // samples.values.shape[1]))
    answer = correlation_time(samples.scores[order], run, most)
    read = set(recipe.features.signals or [channel.name for channel in recipe.channels])
    found = {
        channel.name: correlation_time(samples.values[order, at], run, most)
        for at, channel in enumerate(recipe.channels)
        if channel.name in read
    }
    known = {name: one for name, one in found.items() if not one.is_bound}
    longest = max(known, key=lambda name: known[name].steps, default="")
    return Correlation(
        answer=_time(answer, step_s),
        signals=_time(known[longest], step_s) if longest else None,
        signal=longest,
        slow=tuple(name for name in found if name not in known),
        recorded=len(order),
    )


def _runs(
    asset: NDArray[np.int64], ended_ns: NDArray[np.int64] | None
) -> tuple[NDArray[np.int64], float | None]:
    """The number of each sample's run, and the median seconds from one to the next in a run."""
    is_new = np.diff(asset) != 0
    step_s = None
    if ended_ns is not None:
        steps = np.diff(ended_ns)
        own = steps[~is_new & (steps > 0)]
        if len(own):
            median = float(np.median(own))
            is_new |= steps > _PAUSE * median
            step_s = median / _NS_PER_S
    return np.concatenate([[0], np.cumsum(is_new)]).astype(np.int64), step_s


def _time(found: Estimate, step_s: float | None) -> CorrelationTime:
    return CorrelationTime(
        windows=_short(found.steps),
        seconds=None if step_s is None else _short(found.steps * step_s),
        is_bound=found.is_bound,
    )


def _short(value: float) -> float:
    return float(f"{value:.3g}")
