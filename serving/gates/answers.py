"""What a model has answered to a batch of windows, as gates look at it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """Answers to the same windows, in the order in which they were made.

    Attributes:
        value: value of each window: a number, or the index of a class, `[n]`.
        output: score of each window, or its value where the model has no score, `[n]`; what the
            bundle's reference calls the score.
        alarm: whether the answer is an alarm, `[n]`; all False where answers are no alarms.
        quality: quality of each answer as `models.input.quality.Quality`, `[n]`.
    """

    value: NDArray[np.float64]
    output: NDArray[np.float64]
    alarm: NDArray[np.bool_]
    quality: NDArray[np.int8]
