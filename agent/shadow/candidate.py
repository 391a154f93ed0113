"""A model in the shadow of the one that serves: it answers the same windows, for comparison only.

The windows are those that the champion was given, and are offered once its answers are encoded. The
candidate is asked at the end of the turn, when these have been handed to the socket, and only for
as long as there is time: what is left out is counted by reason. Nothing of what it answers leaves
the agent but counters.
"""

from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from agent.shadow.spare_time import SpareTime
from models.input.quality import Quality
from models.windowing.windows import Batch
from serving.clock import SteadyClock
from serving.errors import InferenceError, ModelFailedError
from serving.gates.answers import Answers
from serving.gates.profile import Profile
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


class Judge(Protocol):
    """Is given what two models have answered; see `agent.shadow.comparison.Comparison`."""

    takes_every_window: bool
    champion: Profile
    candidate: Profile

    @property
    def tripped(self) -> tuple[str, str] | None:
        """Code and words of the gate that has ended it; None while it goes on."""

    def leave_out(self, reason: str, windows: int) -> None:
        """Count windows that the candidate has not answered."""

    def took_champion(self, milliseconds: float) -> None:
        """Take how long the model that serves has needed for a window."""

    def took(self, milliseconds: float) -> None:
        """Take how long the candidate has needed for a window."""

    def fail(self, error: InferenceError) -> None:
        """Take what the candidate has failed with."""

    def add(self, at_ms: NDArray[np.int64], champion: Answers, candidate: Answers) -> None:
        """Take answers of both to the same windows."""


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
        judge: is given the answers of both models.
        marks: what has to know of its inferences.
        turn: asks it at the end of the turn.
        most: windows that wait for the end of a turn at most; those of one call of the champion are
            taken in any case.

    Attributes:
        model: as given.
        judge: as given.
        note: is given the asset, the time in nanoseconds and the answer of each window that the
            model has answered; None where nobody asks for them.
    """

    def __init__(self, model: Model, judge: Judge, marks: Marks, turn: Turn, most: int) -> None:
        self.model, self.judge = model, judge
        self.note: Callable[[Sequence[str], Sequence[int], list[float]], None] | None = None
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
        if self.judge.tripped is not None:
            return
        if self._held and self._held + len(values) > self._most:
            self.judge.leave_out(TURN_FULL, len(values))
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
            if self.judge.tripped is None:
                began_ns = self._marks.clock.monotonic_ns()
                windows = self._answer(one, spare.room(self._pace))
                elapsed_ns = self._marks.clock.monotonic_ns() - began_ns
                spare.spend(elapsed_ns)
                if windows:
                    self._pace.note(windows, elapsed_ns)

    def _answer(self, offered: _Offered, room: int) -> int:
        """Answer at most `room` of the windows; returns how many the model was given."""
        batch, values, scores = offered
        every = self.judge.takes_every_window
        places = [
            place
            for place, value in enumerate(values)
            if (every and batch.qualities[place] is not Quality.BAD)
            or (value is not None and isfinite(value))
        ]
        self.judge.leave_out(UNANSWERED, len(values) - len(places))
        if room < len(places):
            self.judge.leave_out(TURN_FULL, len(places) - room)
            # Another part each time, as the assets of a batch may always come in the same order.
            first = self._turns * room % (len(places) - room + 1)
            places = places[first : first + room]
        if not places:
            return 0
        windows = batch.values if len(places) == len(values) else batch.values[places]
        answered = self._run(windows)
        if answered is None:
            self.judge.leave_out(FAILED, len(places))
            return len(places)
        at_ms = np.array([batch.times_ns[place] for place in places], np.int64) // NS_PER_MS
        qualities = [batch.qualities[place] for place in places]
        # None becomes NaN.
        given = {"value": np.array([values[place] for place in places], np.float64)}
        if any(score is not None for score in scores):
            given["score"] = np.array([scores[place] for place in places], np.float64)
        champion = _read(self.judge.champion, given, qualities)
        self.judge.add(at_ms, champion, _read(self.judge.candidate, answered, qualities))
        if self.note is not None:
            assets = [batch.assets[place] for place in places]
            self.note(
                assets, [batch.times_ns[p] for p in places], answered["value"].ravel().tolist()
            )
        return len(places)

    def _run(self, windows: NDArray[np.float32]) -> Mapping[str, NDArray[Any]] | None:
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
            self.judge.fail(exc)
            return None
        finally:
            under_way.done()
            time_limit.under_way = None
            elapsed_ns = clock.monotonic_ns() - began_ns
            if elapsed_ns >= time_limit.doubtful_ns:
                session.renew_options()  # the flag in the old ones may have been set
        self.judge.took(elapsed_ns / len(windows) / NS_PER_MS)
        return outputs


def _read(
    profile: Profile, outputs: Mapping[str, NDArray[Any]], qualities: Sequence[Quality]
) -> Answers:
    """Answers of a model; one that is no number is BAD, whatever its input."""
    value = outputs["value"].ravel().astype(np.float64)
    own = [q if ok else Quality.BAD for q, ok in zip(qualities, np.isfinite(value), strict=True)]
    return profile.answers(outputs, own)
