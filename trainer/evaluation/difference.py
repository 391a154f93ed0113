"""The difference between the metrics of two models, with its interval."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from trainer.evaluation.intervals import Interval, Units, bounds_of
from trainer.evaluation.metrics import LOWER_IS_BETTER, WeightedMetrics, Weights


@dataclass(frozen=True, slots=True)
class Difference:
    """The metric of a challenger minus that of the champion.

    Attributes:
        metric: name of the metric.
        value: the difference on the test windows.
        interval: the 95 % interval of the difference, both models on the same resamples; None where
            there are too few groups for one.
    """

    metric: str
    value: float
    interval: Interval | None

    @property
    def verdict(self) -> Literal["better", "not shown to be better", "worse"]:
        """What the interval proves about the challenger."""
        low, high = self.interval or (0.0, 0.0)
        if self.metric in LOWER_IS_BETTER:
            low, high = -high, -low
        if low > 0:
            return "better"
        return "worse" if high < 0 else "not shown to be better"

    def __str__(self) -> str:
        """The difference in one sentence."""
        return f"{self.verdict}: {self.metric} {self.amount}"

    @property
    def amount(self) -> str:
        """The difference with its interval, if it has one."""
        if self.interval is None:
            return f"{self.value:+.3g} (no interval)"
        low, high = self.interval
        return f"{self.value:+.3g} ({low:+.3g} to {high:+.3g})"


def paired_difference(
    metric: str,
    champion: WeightedMetrics,
    challenger: WeightedMetrics,
    drawn: Units,
    *,
    seed: int = 0,
) -> Difference | None:
    """Measure the difference between a challenger and the champion on the same windows.

    Both are measured on the same resamples, so that windows which are hard for both cancel
    out. None if the metric is not defined.
    """

    def apart(weights: Weights) -> dict[str, NDArray[np.float64]]:
        # Under the name of a metric that may have any sign.
        return {"bias": challenger(weights)[metric] - champion(weights)[metric]}

    value = float(apart(np.ones((1, len(drawn.order))))["bias"][0])
    if drawn.too_few and np.isfinite(value):
        return Difference(metric, value, None)
    bounds = bounds_of(apart, drawn, seed).get("bias")
    return None if bounds is None or not np.isfinite(value) else Difference(metric, value, bounds)
