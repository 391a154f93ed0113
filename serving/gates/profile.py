"""What a bundle says of its own answers, which gates need to compare them with another's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from models.bundle.manifest import Manifest, Task
from models.bundle.reference import Document
from serving.gates.answers import Answers

ERRORS: Final = 3.0
"""Two numbers are apart if they differ by more than this many root mean squared errors.

A candidate that is always right differs from the champion by the champion's own error, which is
beyond three of them in 0.3 % of the windows if errors are normal, and in 1.4 % if they are Laplace.
"""
_WIDTHS: Final = 0.25
"""Where no error is known: as many widths of the range of the answers in training."""


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """How the answers of a bundle are read.

    Attributes:
        task: what the model answers.
        classes: names of its classes, by index; empty for a regression.
        alarms: indices of the classes that are an alarm.
        tolerance: difference of two numbers up to which they count as the same; infinite where
            nothing is known, and of no use where there are classes.
        quantiles: answers to held-out training windows, rising; empty where they are not known.
        shares: share of those windows with a smaller answer, by quantile.
        latency_ms: milliseconds for one window that the bundle allows itself.
        alarm_share: share of those windows with an alarm; None where that is not known.
    """

    task: Task
    classes: tuple[str, ...]
    alarms: tuple[int, ...]
    tolerance: float
    quantiles: NDArray[np.float64]
    shares: NDArray[np.float64]
    latency_ms: float
    alarm_share: float | None = None

    @classmethod
    def of(cls, manifest: Manifest, reference: Document | None) -> Self:
        """The profile of a bundle.

        Args:
            manifest: the manifest of the bundle.
            reference: its reference; None where it has none that can be read.
        """
        known = {} if reference is None else reference.score.quantiles
        pairs = sorted((value, float(share)) for share, value in known.items())
        quantiles = np.array([value for value, _ in pairs])
        error = manifest.metrics.values.get("rmse", 0.0)
        shares = np.array([share for _, share in pairs])
        width = float(np.ptp(quantiles)) if pairs else 0.0
        score = manifest.output("score")
        limit = None if score is None or not pairs else score.threshold
        return cls(
            task=manifest.task,
            classes=manifest.outputs[0].classes,
            alarms=_alarms(manifest),
            tolerance=ERRORS * error or _WIDTHS * width or np.inf,
            quantiles=quantiles,
            shares=shares,
            latency_ms=manifest.budget.latency_ms_p99,
            alarm_share=None if limit is None else 1 - float(np.interp(limit, quantiles, shares)),
        )

    def answers(self, outputs: Mapping[str, NDArray[Any]], quality: Sequence[int]) -> Answers:
        """The answers of the model in the form that gates take.

        Args:
            outputs: outputs of the graph by name: `value` `[n]` and, where it has one, `score`.
            quality: quality of each answer as `models.input.quality.Quality`, `[n]`.
        """
        value = outputs["value"].ravel().astype(np.float64)
        score = outputs.get("score")
        return Answers(
            value=value,
            output=value if score is None else score.ravel().astype(np.float64),
            alarm=np.isin(value, self.alarms) if self.alarms else np.zeros(len(value), np.bool_),
            quality=np.asarray(quality, dtype=np.int8),
        )

    def ranks(self, output: NDArray[np.float64]) -> NDArray[np.float64]:
        """Share of the training answers below each output, 0 to 1, `[n]`; NaN if not known."""
        if not len(self.quantiles):
            return np.full(len(output), np.nan)
        return np.interp(output, self.quantiles, self.shares)


def _alarms(manifest: Manifest) -> tuple[int, ...]:
    """Classes that are an alarm; of two classes without a word on it, the second."""
    if manifest.task == "regression":
        return ()
    if manifest.explain is not None and manifest.explain.alarms:
        return tuple(manifest.explain.alarms)
    return (1,) if manifest.task == "anomaly" or len(manifest.outputs[0].classes) == 2 else ()  # noqa: PLR2004  an alarm or none
