"""The bundle that serves on probation: the former one answers the same windows in its shadow.

The models have changed places, so that what is compared is turned round: the gates are asked
whether the one that serves is worse than the one in its shadow.
"""

import numpy as np
from numpy.typing import NDArray

from agent.shadow.comparison import Comparison
from serving.errors import InferenceError
from serving.gates.answers import Answers


class Probation:
    """A comparison whose candidate serves, and whose champion is in the shadow.

    Args:
        comparison: compares the former bundle, as the champion, with the one that serves.

    Attributes:
        champion: how the answers of the model that serves are read.
        candidate: how those of the model in the shadow are read.
        takes_every_window: windows that the model that serves has not answered count as well.
        is_over: whether the former bundle has failed itself, so that it says nothing any more.
    """

    takes_every_window = True

    def __init__(self, comparison: Comparison) -> None:
        self.is_over = False
        self.champion = comparison.candidate
        self.candidate = comparison.champion
        self._comparison = comparison
        self._serving_ms: float | None = None

    @property
    def tripped(self) -> tuple[str, str] | None:
        """Code and words of the gate that speaks against the bundle that serves."""
        return self._comparison.tripped

    def leave_out(self, reason: str, windows: int) -> None:
        """Count windows that the former bundle has not answered."""
        self._comparison.leave_out(reason, windows)

    def took_champion(self, milliseconds: float) -> None:
        """Take how long the model that serves has needed for a window."""
        self._serving_ms = milliseconds

    def took(self, milliseconds: float) -> None:
        """Take how long the former one has needed for a window of the same batch."""
        serving_ms, self._serving_ms = self._serving_ms, None
        if serving_ms is not None:
            self._comparison.took_champion(milliseconds)
            self._comparison.took(serving_ms)

    def fail(self, error: InferenceError) -> None:
        """Take what the former one has failed with: it is no measure any more."""
        del error
        self.is_over = True

    def add(self, at_ms: NDArray[np.int64], champion: Answers, candidate: Answers) -> None:
        """Take answers of both models to the same windows, as `Comparison.add` does."""
        self._comparison.add(at_ms, candidate, champion)
