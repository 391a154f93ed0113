"""A model in the shadow of the one that serves: it answers the same windows, for comparison only.

The windows are those that the champion was given, and are offered once its answers are encoded. The
candidate is asked at the end of the turn, when these have been handed to the socket, and only for
as long as there is time: what is left out is counted by reason. Nothing of what it answers leaves
the agent but counters.
"""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agent.shadow.comparison import Comparison
from agent.shadow.spare_time import SpareTime
from models.input.quality import Quality
from models.windowing.windows import Batch
from serving.clock import SteadyClock
from serving.errors import InferenceError, ModelFailedError
from serving.incidents.under_way import UnderWay
from serving.model import Model
from serving.pace import Pace
from serving.time_limit import TimeLimit

NS_PER_MS: Final = 1_000_000
TURN_FULL: Final = "turn_full"
UNANSWERED: Final = "unanswered"
FAILED: Final = "failed"


class _Offered(NamedTuple):
    """Windows, and what the champion has answered to them."""

    batch: Batch
    values: Sequence[Any]
    scores: Sequence[Any]


class Marks(NamedTuple):
    """What has to know of an inference while it is under way.

    Attributes:
        under_way: notes whose model infers, should the process die of it.
        time_limit: interrupts an inference that takes too long.
        clock: measures how long one takes.
    """

    under_way: UnderWay
    time_limit: TimeLimit
    clock: SteadyClock


class Turn:
    """The candidates that have something to answer at the end of a turn of the hot loop.

    Args:
        spare: how much time they may take.

    Attributes:
        due: those that were offered windows in this turn.
    """

    def __init__(self, spare: SpareTime) -> None:
        self.due: list[Candidate] = []
        self._spare = spare

    def end(self) -> None:
        """Have them answer, as far as there is time."""
        due, self.due = self.due, []
        for candidate in due:
            candidate.answer(self._spare)


class Candidate:
    """One model in the shadow.

    All methods belong to the hot thread.

    Args:
        model: the model.
        comparison: is given the answers of both models.
        marks: what has to know of its inferences.
        turn: asks it at the end of the turn.
        most: windows that wait for the end of a turn at most; those of one call of the champion are
            taken in any case.
    """

    def __init__(
        self, model: Model, comparison: Comparison, marks: Marks, turn: Turn, most: int
    ) -> None:
        self.model, self.comparison = model, comparison
        self._digest = bytes.fromhex(model.sha256)
        outputs = [str(output.name) for output in model.manifest.outputs]
        self._names = [name for name in outputs if name != "probabilities"]
        self._marks, self._turn, self._most = marks, turn, most
        self._pace = Pace()
        self._offered: list[_Offered] = []
        self._held = self._turns = 0

    def offer(self, batch: Batch, values: Sequence[Any], scores: Sequence[Any]) -> None:
        """Take windows that the champion has answered.

        Args:
            batch: the windows.
            values: what the champion has answered to each; None where it has not.
            scores: its score of each; None where there is none.
        """
        if self.comparison.tripped is not None:
            return
        if self._held and self._held + len(values) > self._most:
            self.comparison.leave_out(TURN_FULL, len(values))
            return
        if not self._offered:
            self._turn.due.append(self)
        self._offered.append(_Offered(batch, values, scores))
        self._held += len(values)

    def answer(self, spare: SpareTime) -> None:
        """Answer what was offered in this turn, as far as there is time."""
        offered, self._offered, self._held = self._offered, [], 0
        self._turns += 1
        for one in offered:
            if self.comparison.tripped is None:
                self._answer(one, spare)

    def _answer(self, offered: _Offered, spare: SpareTime) -> None:
        batch, values, scores = offered
        places = [
            place
            for place, (value, score) in enumerate(zip(values, scores, strict=True))
            if value is not None and isfinite(value) and (score is None or isfinite(score))
        ]
        self.comparison.leave_out(UNANSWERED, len(values) - len(places))
        room = spare.room(self._pace)
        if room < len(places):
            self.comparison.leave_out(TURN_FULL, len(places) - room)
            # Another part each time, as the assets of a batch may always come in the same order.
            first = self._turns * room % (len(places) - room + 1)
            places = places[first : first + room]
        if not places:
            return
        windows = batch.values if len(places) == len(values) else batch.values[places]
        answered = self._run(windows, spare)
        if answered is None:
            self.comparison.leave_out(FAILED, len(places))
            return
        at_ms = np.array([batch.times_ns[place] for place in places], np.int64) // NS_PER_MS
        qualities = [batch.qualities[place] for place in places]
        given = {"value": np.array([values[place] for place in places], np.float64)}
        if scores[places[0]] is not None:
            given["score"] = np.array([scores[place] for place in places], np.float64)
        champion = self.comparison.champion.answers(given, qualities)
        is_number = np.isfinite(answered["value"].ravel().astype(np.float64))
        own = [q if ok else Quality.BAD for q, ok in zip(qualities, is_number, strict=True)]
        candidate = self.comparison.candidate.answers(answered, own)
        self.comparison.add(at_ms, champion, candidate)

    def _run(
        self, windows: NDArray[np.float32], spare: SpareTime
    ) -> Mapping[str, NDArray[Any]] | None:
        """Outputs for some windows; None if the model fails on them."""
        under_way, time_limit, clock = self._marks
        session = self.model.session
        began_ns = clock.monotonic_ns()
        time_limit.under_way = began_ns, session.options
        under_way.infer(self._digest)
        try:
            outputs = session.run(windows)
            if any(outputs[name].size != len(windows) for name in self._names):
                shapes = {name: list(array.shape) for name, array in outputs.items()}
                raise ModelFailedError(f"{self.model.ref}: outputs have the shapes {shapes}")
        except InferenceError as exc:
            self.comparison.fail(exc)
            return None
        finally:
            under_way.done()
            time_limit.under_way = None
            elapsed_ns = clock.monotonic_ns() - began_ns
            spare.spend(elapsed_ns)
            if elapsed_ns >= time_limit.doubtful_ns:
                session.renew_options()  # the flag in the old ones may have been set
        self._pace.note(len(windows), elapsed_ns)
        self.comparison.took(elapsed_ns / len(windows) / NS_PER_MS)
        return outputs
