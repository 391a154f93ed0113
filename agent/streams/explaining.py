"""Explains predictions on the hot thread: which ones, how many a turn, and within what time.

An explanation asks the model about as many windows as some dozens of predictions do. So only those
predictions are explained for which the bundle says so, usually the first of an alarm. A prediction
is never delayed by more than `limits.turn_s` a turn, and never lost: what there is no time for is
published without its reasons, and counted.
"""

from collections import Counter
from collections.abc import Sequence
from math import isfinite
from typing import Any, Final

import numpy as np

from models.windowing.windows import Batch
from serving.clock import SteadyClock
from serving.errors import InferenceError
from serving.explanation.explainer import Explainer, Reasons
from serving.explanation.onset import Onset
from serving.pace import Pace
from serving.session import Session

MADE: Final = "made"
LEFT_OUT: Final = "left_out"
FAILED: Final = "failed"


class Explanations:
    """How many predictions of a stream were explained, and what a turn has left for more.

    Args:
        max_explained: predictions that a turn may explain.
        turn_s: seconds that this may take.
        clock: measures how long it takes.

    Attributes:
        outcomes: how many predictions were to be explained, by what has become of it.
        left: how many more the turn may explain.
        clock: as given.
    """

    def __init__(
        self, max_explained: int = 8, turn_s: float = 0.5, clock: SteadyClock | None = None
    ) -> None:
        self.outcomes: Counter[str] = Counter()
        self._most, self._turn_ns = max_explained, int(turn_s * 1e9)
        self.clock = clock or SteadyClock()
        self.left, self._left_ns = self._most, self._turn_ns
        self._begun_ns = self._taken_ns = 0

    def renew(self) -> None:
        """Begin a turn."""
        self.left, self._left_ns = self._most, self._turn_ns

    def begin(self) -> None:
        """Begin to explain a batch."""
        self._begun_ns = self.clock.monotonic_ns()

    def end(self) -> None:
        """End what `begin` has begun."""
        elapsed_ns = self.clock.monotonic_ns() - self._begun_ns
        self._taken_ns += elapsed_ns
        self._left_ns -= elapsed_ns

    @property
    def left_ns(self) -> int:
        """Nanoseconds that the turn has left, while a batch is explained."""
        return self._left_ns - (self.clock.monotonic_ns() - self._begun_ns)

    def taken_ns(self) -> int:
        """Nanoseconds that explanations took since the last call."""
        taken_ns, self._taken_ns = self._taken_ns, 0
        return taken_ns


class Explaining:
    """Explains the predictions of one model.

    Args:
        session: session of the model.
        explainer: explains its answers.
        max_assets: assets whose alarms are followed.
    """

    def __init__(self, session: Session, explainer: Explainer, max_assets: int) -> None:
        self._session, self._explainer = session, explainer
        self._onset = Onset(explainer.explain.alarms, max_assets)
        self._is_always = explainer.explain.when == "always"
        self._pace = Pace()

    def reasons(
        self, batch: Batch, values: Sequence[Any], explanations: Explanations
    ) -> Sequence[Reasons | None] | None:
        """The reasons of each prediction of a batch; None for all if none is to be explained.

        Args:
            batch: windows that the model has answered.
            values: value of each answer; None where there is none.
            explanations: what the turn has left; outcomes are counted there.
        """
        due = self._due(batch, values)
        if not due:
            return None
        found: list[Reasons | None] = [None] * len(values)
        explanations.begin()
        for place in due:
            outcome = LEFT_OUT
            if explanations.left > 0 and self._fits(batch.values[place], explanations):
                explanations.left -= 1
                found[place] = self._explained(batch.values[place], values[place], explanations)
                outcome = FAILED if found[place] is None else MADE
            explanations.outcomes[outcome] += 1
        explanations.end()
        return found

    def _due(self, batch: Batch, values: Sequence[Any]) -> Sequence[int]:
        if self._is_always:
            return [place for place, one in enumerate(values) if one is not None and isfinite(one)]
        return self._onset.of(batch.assets, values)

    def _fits(self, window: Any, explanations: Explanations) -> bool:  # noqa: ANN401  a row of the batch
        """Whether an explanation is expected to end within the turn.

        Where that is not known, or seems not to be so, the model is asked for one window: the time
        may be that of a moment at which the machine was busy.
        """
        needed = self._explainer.windows
        if self._pace.room(explanations.left_ns) < needed:
            self._run(window[np.newaxis], explanations)
        return self._pace.room(explanations.left_ns) >= needed

    def _explained(
        self,
        window: Any,  # noqa: ANN401  as above
        value: float,
        explanations: Explanations,
    ) -> Reasons | None:
        answers = []
        for block in self._explainer.blocks(window):
            outputs = self._run(block, explanations)
            if outputs is None:
                return None
            answers.append(self._explainer.explained(outputs, value))
        return self._explainer.reasons(window, np.concatenate(answers))

    def _run(self, windows: Any, explanations: Explanations) -> Any:  # noqa: ANN401  arrays by name
        """Outputs for some windows; None if the model fails on them."""
        began_ns = explanations.clock.monotonic_ns()
        try:
            return self._session.run(windows)
        except InferenceError:
            return None
        finally:
            self._pace.note(len(windows), explanations.clock.monotonic_ns() - began_ns)
